"""Renderers of transcripts as text: one file per format, found by name in `FORMATS`.

A new format is one file with `render(transcript, *, item=None) -> str` and one line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from kb.errors import UsageError
from kb.transcript.cleaning import cleaned_item, cleaned_transcript
from kb.transcript.time_order import check_times, in_time_order
from kb.types import MediaItem, Transcript
from kb.types.safe_text import clean, printable_json

# Name of a format -> "module:function". A module is imported on its first use, so that an unused
# format takes no time.
FORMATS: dict[str, str] = {
    "txt": "kb.transcript.formats.plain_text:render",
    "json": "kb.transcript.formats.json_document:render",
    "srt": "kb.transcript.formats.subrip:render",
    "vtt": "kb.transcript.formats.webvtt:render",
    "csv": "kb.transcript.formats.csv_table:render",
    "md": "kb.transcript.formats.markdown:render",
}


class Renderer(Protocol):
    """A function of `FORMATS`; it returns the document as text, with `\\n` between lines."""

    def __call__(self, transcript: Transcript, *, item: MediaItem | None = None) -> str: ...


def renderer(format: str) -> Renderer:
    """Return the function of a format.

    Raises UsageError, naming the known formats, for an unknown one.
    """
    try:
        module, function = FORMATS[format].split(":")
    except KeyError:
        raise UsageError(
            "format.unknown",
            "Unknown format {format!r}.",
            hint="Known formats: {known}.",
            format=format,
            known=", ".join(FORMATS),
        ) from None
    return cast(Renderer, getattr(import_module(module), function))


def mime_type(format: str) -> str:
    """Return the media type of a format: `MIME_TYPE` of its module, `text/plain` without one.

    Raises UsageError, naming the known formats, for an unknown one.
    """
    module = import_module(renderer(format).__module__)
    return str(getattr(module, "MIME_TYPE", "text/plain"))


def render(transcript: Transcript, format: str, *, item: MediaItem | None = None) -> str:
    """Return the transcript in a format of `FORMATS`: text that ends with a newline unless empty.

    `item` has title, date and links for the formats that show them (md). An empty transcript
    gives a valid document without content. Control sequences are escaped. The exact document (json)
    has the segments as they are; the other formats have them in order of time. Raises UsageError
    for an unknown format, and TranscriptionError, with segment and word, for a time that no medium
    has.
    """
    if format == "json":  # exact, by escapes
        return printable_json(renderer(format)(transcript, item=item))
    check_times(transcript)
    transcript = in_time_order(cleaned_transcript(transcript))
    item = cleaned_item(item) if item else None
    return clean(renderer(format)(transcript, item=item))
