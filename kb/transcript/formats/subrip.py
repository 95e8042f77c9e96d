"""SubRip subtitles: readable cues, or one cue per word when timestamps are `word`.

SubRip has no times inside a cue, so word timestamps need one cue for each word. It has no escapes
either; see `markup.subrip`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from kb.transcript.formats.highlight import highlighted
from kb.transcript.formats.markup import JOINER, subrip
from kb.transcript.formats.subtitle_cues import clock_time, phrase_cues, word_cues
from kb.types import MediaItem, Transcript

GROUP = "subtitles"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; empty if there are no words."""
    cues = list(_cues(transcript))
    if cues and re.search(r"\n *[0-9]+ *$", cues[-1][2]):
        # pysubs2 takes a number in the last line of a file for that of a cue.
        start_ms, end_ms, content = cues[-1]
        cues[-1] = start_ms, end_ms, content + JOINER
    return "".join(
        [
            f"{number}\n{clock_time(start_ms, ',')} --> {clock_time(end_ms, ',')}\n{content}\n\n"
            for number, (start_ms, end_ms, content) in enumerate(cues, 1)
        ]
    )


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds, and the text."""
    if transcript.layout.highlight_words:
        for cue in phrase_cues(transcript):
            yield from highlighted(cue, partial(subrip, with_tags=True))
        return
    by_word = transcript.timestamps == "word"
    for cue in word_cues(transcript) if by_word else phrase_cues(transcript):
        yield cue.start_ms, cue.end_ms, subrip(cue.text)
