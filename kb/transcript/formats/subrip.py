"""SubRip subtitles: readable cues, or one cue per word when timestamps are `word`.

SubRip has no times inside a cue, so word timestamps need one cue for each word. It has no escapes
either; see `markup.subrip`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import cast

import srt

from kb.transcript.formats.highlight import highlighted
from kb.transcript.formats.markup import JOINER, subrip
from kb.transcript.formats.subtitle_cues import phrase_cues, word_cues
from kb.types import MediaItem, Transcript

GROUP = "subtitles"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; empty if there are no words."""
    cues = list(_cues(transcript))
    subtitles = [
        srt.Subtitle(
            number, timedelta(milliseconds=start_ms), timedelta(milliseconds=end_ms), content
        )
        for number, (start_ms, end_ms, content) in enumerate(cues, 1)
    ]
    if subtitles and re.search(r"\n *[0-9]+ *$", subtitles[-1].content):
        # pysubs2 takes a number in the last line of a file for that of a cue.
        subtitles[-1].content += JOINER
    # The cues are numbered above, because the srt library does not number cues that it finds empty.
    return cast(str, srt.compose(subtitles, reindex=False))


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds, and the text."""
    if transcript.layout.highlight_words:
        for cue in phrase_cues(transcript):
            yield from highlighted(cue, partial(subrip, with_tags=True))
        return
    by_word = transcript.timestamps == "word"
    for cue in word_cues(transcript) if by_word else phrase_cues(transcript):
        yield cue.start_ms, cue.end_ms, subrip(cue.text)
