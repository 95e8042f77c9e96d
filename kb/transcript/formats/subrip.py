"""SubRip subtitles: readable cues, or one cue per word when timestamps are `word`.

SubRip has no times inside a cue, so word timestamps need one cue for each word. It has no escapes
either: text that players take for markup (`<i>`, `{\\an8}`) is made ineffective by an invisible
word joiner, and by full-width braces, because some players hide whatever is between braces.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import cast

import srt

from kb.transcript.formats.subtitle_cues import phrase_cues, word_cues
from kb.types import MediaItem, Transcript

_JOINER = "\N{WORD JOINER}"
_FULL_WIDTH = str.maketrans("{}", "｛｝")
_BRACES = re.compile(r"\{[^{}]*\}|\{(?=\\)")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; empty if there are no words."""
    cues = word_cues(transcript) if transcript.timestamps == "word" else phrase_cues(transcript)
    subtitles = (
        srt.Subtitle(
            number,
            timedelta(milliseconds=cue.start_ms),
            timedelta(milliseconds=cue.end_ms),
            _plain(cue.text),
        )
        for number, cue in enumerate(cues, 1)
    )
    # The cues are numbered above, because the srt library does not number cues that it finds empty.
    return cast(str, srt.compose(subtitles, reindex=False))


def _plain(text: str) -> str:
    """Return text in which no player finds markup."""
    text = re.sub(r"<(?=\s*/?\s*[A-Za-z][^<>]*>)", f"<{_JOINER}", text)
    return _BRACES.sub(lambda found: found[0].translate(_FULL_WIDTH), text)
