"""The head of a document for reading: title, facts of the medium, remarks on the transcript."""

from __future__ import annotations

from kb.transcript.chunks import format_timestamp
from kb.types import MediaItem, Transcript
from kb.types.safe_text import web_address

UNTITLED = "Untitled"
LINK = "Link"  # the only fact that is an address


def facts(transcript: Transcript, item: MediaItem) -> tuple[tuple[str, str], ...]:
    """Return names and values; facts without a value are left out."""
    length_s = transcript.media.duration_s
    found = (
        ("Artist" if item.source == "file" else "Channel", item.channel),
        ("Date", item.published),
        (LINK, web_address(item.url)),
        ("Length", format_timestamp(length_s) if length_s else ""),
        ("Language", transcript.language),
        ("Model", transcript.model),
        ("Id", item.id),
    )
    return tuple((name, value) for name, value in found if value)


def coverage_remark(transcript: Transcript) -> str:
    """Return the sentence about speech without words; empty if there is none or it is unknown."""
    if not (transcript.coverage.speech_s > 0 and transcript.coverage.ratio < 1):
        return ""
    return f"Words were found for {100 * transcript.coverage.ratio:.1f} % of the detected speech."
