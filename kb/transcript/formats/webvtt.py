"""WebVTT subtitles; with word timestamps each word has its time inside a readable cue.

The format has cue timestamps for this (W3C WebVTT, "cue timestamp"): a browser can mark the words
that are not spoken yet (`::cue(:future)`); other players show whole lines.
"""

from __future__ import annotations

from kb.transcript.chunks import Piece
from kb.transcript.formats.subtitle_cues import Cue, phrase_cues
from kb.types import MediaItem, Transcript

MIME_TYPE = "text/vtt"

_STYLE = "STYLE\n::cue(:future) { opacity: 0.55; }\n\n"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; only the header if there are no words."""
    by_word = transcript.timestamps == "word"
    cues = phrase_cues(transcript)
    parts = ["WEBVTT\n\n"]
    if by_word and cues:
        parts.append(_STYLE)
    for cue in cues:
        text = _timed_text(cue) if by_word else _escape(cue.text)
        parts.append(f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}\n{text}\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def _timed_text(cue: Cue) -> str:
    lines: list[str] = []
    latest = cue.start_ms
    for line in cue.lines:
        text = ""
        for place, piece in enumerate(line):
            at = _inner_time(piece, latest, cue)
            text += " " if place and not piece.glued else ""
            if at is not None:
                latest = at
                text += f"<{_time(at)}>"
            text += _escape(piece.text)
        lines.append(text)
    return "\n".join(lines)


def _inner_time(piece: Piece, latest_ms: int, cue: Cue) -> int | None:
    """Return the word's time in milliseconds, None where the format allows none.

    The time must be later than the previous one and inside the cue.
    """
    at = round(piece.start_s * 1000)
    return at if latest_ms < at < cue.end_ms else None


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
