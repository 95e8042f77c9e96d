"""Captions for YouTube (sbv): times and text of each cue, with an empty line between cues."""

from __future__ import annotations

from kb.transcript.formats.markup import sbv
from kb.transcript.formats.subtitle_cues import phrase_cues, word_cues
from kb.types import MediaItem, Transcript

GROUP = "subtitles"
MARKS_WORDS = False


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the captions; one cue per word with word timestamps; empty if there are no words."""
    cues = word_cues(transcript) if transcript.timestamps == "word" else phrase_cues(transcript)
    return "\n".join(
        f"{_time(cue.start_ms)},{_time(cue.end_ms)}\n{sbv(cue.text)}\n" for cue in cues
    )


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
