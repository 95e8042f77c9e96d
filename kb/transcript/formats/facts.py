"""The head of a document for reading: title, facts of the medium, remarks on the transcript."""

from __future__ import annotations

from kb.transcript.chunks import format_timestamp
from kb.types import MediaItem, Transcript
from kb.types.quality import likely_wrong
from kb.types.safe_text import web_address

UNTITLED = "Untitled"
MOST_PLACES = 12  # places to check that a document names
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
        ("Words from", ", ".join(transcript.words_from)),
        ("Id", item.id),
    )
    return tuple((name, value) for name, value in found if value)


def quality_remark(transcript: Transcript) -> str:
    """Return sentences about speech without words, places to check, and likely wrong words.

    Empty if there is nothing to remark, or if it is unknown.
    """
    said: list[str] = []
    if transcript.coverage.speech_s > 0 and transcript.coverage.ratio < 1:
        share = 100 * transcript.coverage.ratio
        said.append(f"Words were found for {share:.1f} % of the detected speech.")
    if spans := transcript.doubtful_spans:
        times = ", ".join(
            f"{format_timestamp(span.start_s)} ({span.duration_s:.1f} s)"
            for span in spans[:MOST_PLACES]
        )
        more = f" and {len(spans) - MOST_PLACES} more" if len(spans) > MOST_PLACES else ""
        said.append(f"To be checked by ear: {times}{more}.")
    errors = transcript.expected_errors
    if errors is not None and errors.grade != "A":
        words = likely_wrong(errors.share)
        said.append(f"{words[0].upper()}{words[1:]} ({100 * errors.share:.0f} % are expected).")
    return " ".join(said)
