"""Plain text: one line per chunk, `[MM:SS - MM:SS] text`, with hours from one hour on."""

from __future__ import annotations

from kb.transcript.chunks import chunks, format_time_range
from kb.types import MediaItem, Transcript


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per chunk of at most `transcript.chunk_s` seconds; empty without words."""
    return "".join(
        f"[{format_time_range(chunk.start_s, chunk.end_s)}] {chunk.text}\n"
        for chunk in chunks(transcript, transcript.chunk_s)
    )
