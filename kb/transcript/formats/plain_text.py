"""Plain text: one line per chunk, `[MM:SS - MM:SS] text`, with hours from one hour on.

With a time for each word it is one line per word, `[MM:SS.mmm - MM:SS.mmm] word`.
"""

from __future__ import annotations

from kb.transcript.chunks import chunks, format_exact_time, format_time_range, pieces
from kb.types import MediaItem, Transcript

GROUP = "reading"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per chunk of at most `transcript.chunk_s` seconds; empty without words."""
    if transcript.times_each_word:
        return "".join(
            f"[{format_exact_time(word.start_s)} - {format_exact_time(word.end_s)}] {word.text}\n"
            for segment in transcript.segments
            for word in pieces(segment)
        )
    return "".join(
        f"[{format_time_range(chunk.start_s, chunk.end_s)}] {chunk.text}\n"
        for chunk in chunks(transcript, transcript.chunk_s)
    )
