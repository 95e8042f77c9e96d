"""WebVTT subtitles; with word timestamps each word has its time inside a readable cue.

The format has cue timestamps for this (W3C WebVTT, "cue timestamp"): a page can show words that are
not spoken yet in another way, with `::cue(:future)` in its own style sheet. A file of ours has no
style: ffmpeg before version 6 finds no cue in a file that begins with a STYLE block, and several
readers refuse it.

Where the transcript names speakers, each cue is a voice span (`<v Name>`): players show the text
alone, and a page can show the name or a colour for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from kb.transcript.chunks import Piece
from kb.transcript.formats.highlight import highlighted
from kb.transcript.formats.markup import webvtt
from kb.transcript.formats.subtitle_cues import Cue, clock_time, phrase_cues
from kb.types import MediaItem, Transcript

MIME_TYPE = "text/vtt"
GROUP = "subtitles"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the subtitles; only the header if there are no words."""
    parts = ["WEBVTT\n\n"]
    for start_ms, end_ms, text in _cues(transcript):
        parts.append(f"{clock_time(start_ms)} --> {clock_time(end_ms)}\n{text}\n\n")
    return "".join(parts).rstrip("\n") + "\n"


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds, and the text with its tags."""
    for cue in phrase_cues(transcript):
        voice = f"<v {webvtt(cue.speaker)}>" if cue.speaker else ""
        if transcript.layout.highlight_words:
            for start_ms, end_ms, text in highlighted(cue, webvtt):
                yield start_ms, end_ms, voice + text
        elif transcript.timestamps == "word":
            yield cue.start_ms, cue.end_ms, voice + _timed_text(cue)
        else:
            yield cue.start_ms, cue.end_ms, voice + webvtt(cue.text)


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
                text += f"<{clock_time(at)}>"
            text += webvtt(piece.text)
        lines.append(text)
    return "\n".join(lines)


def _inner_time(piece: Piece, latest_ms: int, cue: Cue) -> int | None:
    """Return the word's time in milliseconds, None where the format allows none.

    The time must be later than the previous one and inside the cue.
    """
    at = round(piece.start_s * 1000)
    return at if latest_ms < at < cue.end_ms else None
