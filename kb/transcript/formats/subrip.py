"""SubRip subtitles: readable cues, or one cue per word when timestamps are `word`.

SubRip has no times inside a cue, so word timestamps need one cue for each word.
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast

import srt

from kb.transcript.formats.subtitle_cues import phrase_cues, word_cues
from kb.types import MediaItem, Transcript


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; empty if there are no words."""
    cues = word_cues(transcript) if transcript.timestamps == "word" else phrase_cues(transcript)
    subtitles = (
        srt.Subtitle(
            number,
            timedelta(milliseconds=cue.start_ms),
            timedelta(milliseconds=cue.end_ms),
            cue.text,
        )
        for number, cue in enumerate(cues, 1)
    )
    # The cues are numbered above, because the srt library does not number cues that it finds empty.
    return cast(str, srt.compose(subtitles, reindex=False))
