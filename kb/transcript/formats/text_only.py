"""The words alone, without times: paragraphs with an empty line between them."""

from __future__ import annotations

from kb.transcript.formats.paragraphs import paragraphs
from kb.types import MediaItem, Transcript

SUFFIX = "plain.txt"
GROUP = "reading"
TIMES_WORDS = False


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per paragraph; empty without words."""
    found = paragraphs(transcript.segments, transcript.chunk_s)
    return "\n".join(f"{paragraph.text}\n" for paragraph in found)
