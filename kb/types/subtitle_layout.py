"""The layout of subtitles: width and number of lines, durations, gaps and reading speed.

The figures of `LAYOUTS` are those of Netflix's Timed Text Style Guides (42 columns, 2 lines, 5/6
to 7 seconds, 2 frames between cues, small gaps closed), of the BBC's Subtitle Guidelines (37
columns of teletext, 160 to 180 words a minute, no gap below 1 second) and of common practice for
single words and for upright video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LayoutName = Literal["standard", "netflix", "bbc", "one-word", "vertical"]

TWO_FRAMES_S = 2 / 24


@dataclass(frozen=True, slots=True)
class SubtitleLayout:
    """The figures of a layout. Times are in seconds; a full-width character has two columns.

    `chinese_columns` and `japanese_columns` replace `line_columns` where the text is Chinese or
    Korean, and Japanese. `reading_pace` multiplies the reading speed of each script; with
    `chars_per_s` that speed holds for every script. Two cues with less than `close_gap_s` between
    them are brought to `gap_s`. `words_per_line` 0 means no limit. With `highlight_words` formats
    that can do it mark the word that is being spoken.
    """

    line_columns: int = 42
    chinese_columns: int = 42
    japanese_columns: int = 42
    lines: int = 2
    words_per_line: int = 0
    reading_pace: float = 1.0
    chars_per_s: float | None = None
    gap_s: float = TWO_FRAMES_S
    close_gap_s: float = 0.5
    min_s: float = 5 / 6
    max_s: float = 7.0
    highlight_words: bool = False


STANDARD = SubtitleLayout()
ONE_WORD = SubtitleLayout(lines=1, words_per_line=1, gap_s=0.0)

LAYOUTS: Mapping[LayoutName, SubtitleLayout] = {
    "standard": STANDARD,
    "netflix": SubtitleLayout(chinese_columns=32, japanese_columns=26),
    "bbc": SubtitleLayout(
        line_columns=37,
        chinese_columns=37,
        japanese_columns=37,
        reading_pace=15 / 17,
        close_gap_s=1.0,
    ),
    "one-word": ONE_WORD,
    "vertical": SubtitleLayout(line_columns=20, chinese_columns=20, japanese_columns=20, max_s=3.5),
}
