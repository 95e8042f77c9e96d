"""Renderers of transcripts: one file per format, found by name in `FORMATS`.

A new format is one file with `render(transcript, *, item=None) -> str | bytes` and one line here.
Its module may also define:

- `MIME_TYPE`: its media type; without one `text/plain`
- `SUFFIX`: the end of its file names behind the dot; without one the name of the format
- `GROUP`: its place in menus, one of `FORMAT_GROUPS`; without one `programs`
- `MARKS_WORDS`: False if it is a subtitle format that cannot mark the word that is being spoken
- `TIMES_WORDS`: False if it has no time for each word, so that asking for them is an error
- `unavailable(transcript, item) -> UsageError | None`: the error for a transcript that lacks what
  the format consists of
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from types import ModuleType
from typing import Protocol, cast

from kb.errors import UsageError
from kb.transcript.cleaning import cleaned_item, cleaned_transcript
from kb.transcript.time_order import check_times, in_time_order
from kb.types import MediaItem, Transcript
from kb.types.safe_text import clean, printable_json, spreadsheet_file

# Name of a format -> "module:function". A module is imported on its first use, so that an unused
# format takes no time.
FORMATS: dict[str, str] = {
    "txt": "kb.transcript.formats.plain_text:render",
    "plain": "kb.transcript.formats.text_only:render",
    "md": "kb.transcript.formats.markdown:render",
    "docx": "kb.transcript.formats.word_document:render",
    "html": "kb.transcript.formats.web_page:render",
    "notes": "kb.transcript.formats.notes:render",
    "screen": "kb.transcript.formats.screen:render",
    "srt": "kb.transcript.formats.subrip:render",
    "vtt": "kb.transcript.formats.webvtt:render",
    "ass": "kb.transcript.formats.substation:render",
    "ttml": "kb.transcript.formats.ttml:render",
    "sbv": "kb.transcript.formats.youtube_captions:render",
    "lrc": "kb.transcript.formats.lyrics:render",
    "csv": "kb.transcript.formats.csv_table:render",
    "xlsx": "kb.transcript.formats.workbook:render",
    "json": "kb.transcript.formats.json_document:render",
    "verbose_json": "kb.transcript.formats.verbose_json:render",
    "notes_json": "kb.transcript.formats.notes_document:render",
    "tsv": "kb.transcript.formats.whisper_table:render",
    "textgrid": "kb.transcript.formats.textgrid:render",
    "rttm": "kb.transcript.formats.rttm:render",
    "chapters": "kb.transcript.formats.youtube_chapters:render",
    "edl": "kb.transcript.formats.edl_markers:render",
    "markers": "kb.transcript.formats.marker_table:render",
    "audacity": "kb.transcript.formats.audacity_labels:render",
}
FORMAT_GROUPS = ("reading", "subtitles", "spreadsheet", "programs", "cutting")


class Renderer(Protocol):
    """A function of `FORMATS`; it returns a text, with `\\n` between lines, or the file's bytes."""

    def __call__(self, transcript: Transcript, *, item: MediaItem | None = None) -> str | bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A format as menus and writers of files need it; `suffix` has no dot before it."""

    name: str
    suffix: str
    mime_type: str
    group: str
    times_words: bool
    marks_words: bool


def renderer(format: str) -> Renderer:
    """Return the function of a format. Raises UsageError, naming the known formats."""
    module = _module(format)
    return cast(Renderer, getattr(module, FORMATS[format].split(":")[1]))


def format_named(name: str) -> Format:
    """Return a format of `FORMATS`. Raises UsageError, naming the known formats."""
    module = _module(name)
    group = str(getattr(module, "GROUP", "programs"))
    return Format(
        name,
        str(getattr(module, "SUFFIX", name)),
        str(getattr(module, "MIME_TYPE", "text/plain")),
        group,
        bool(getattr(module, "TIMES_WORDS", True)),
        group == "subtitles" and bool(getattr(module, "MARKS_WORDS", True)),
    )


def unavailable(
    transcript: Transcript, name: str, *, item: MediaItem | None = None
) -> UsageError | None:
    """Return the error for a format that needs what the transcript or its item lacks; else None.

    Raises UsageError for an unknown format.
    """
    check = getattr(_module(name), "unavailable", None)
    return cast(UsageError | None, check(transcript, item)) if check else None


def render(transcript: Transcript, format: str, *, item: MediaItem | None = None) -> str:
    """Return the transcript as text in a format of `FORMATS`; it ends with a newline unless empty.

    Raises UsageError as `render_document` does, and for a format that is no text.
    """
    document = render_document(transcript, format, item=item)
    if isinstance(document, bytes):
        raise UsageError(
            "format.no_text",
            "A document in the format {format!r} is no text.",
            hint="Write it to a folder: -o FOLDER",
            format=format,
        )
    return document


@contextmanager
def _no_cycle_collection() -> Iterator[None]:
    """Switch the search for cycles of garbage off within the block.

    A document is made of hundreds of thousands of small values without cycles, and the search for
    them takes a third of the time of subtitles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def render_document(
    transcript: Transcript, format: str, *, item: MediaItem | None = None
) -> str | bytes:
    """Return the transcript in a format of `FORMATS`: a text, or the bytes of a file.

    `item` has title, date and links for the formats that show them. An empty transcript gives a
    valid document without content. The exact document (json) has every character, by escapes, and
    the segments as they are; the other formats have clean text in order of time. Raises UsageError
    for an unknown format and for one that needs what the transcript or the item lacks, and
    TranscriptionError, with segment and word, for a time that no medium has.
    """
    problem = unavailable(transcript, format, item=item)
    if problem is not None:
        raise problem
    with _no_cycle_collection():
        if format == "json":
            return printable_json(cast(str, renderer(format)(transcript, item=item)))
        check_times(transcript)
        transcript = in_time_order(cleaned_transcript(transcript))
        document = renderer(format)(transcript, item=cleaned_item(item) if item else None)
        return document if isinstance(document, bytes) else clean(document)


def file_content(document: str | bytes, file_name: str) -> bytes:
    """Return the bytes of a file of this name with a document; text is UTF-8.

    A table (csv) begins with a byte order mark, without which Excel reads no UTF-8. A lone
    surrogate is written as `\\udcXX`.
    """
    if isinstance(document, bytes):
        return document
    if PurePath(file_name).suffix.lower() == ".csv":
        document = spreadsheet_file(document)
    return document.encode("utf-8", "backslashreplace")


def _module(name: str) -> ModuleType:
    """Return the module of a format. Raises UsageError, naming the known formats."""
    try:
        return import_module(FORMATS[name].split(":")[0])
    except KeyError:
        raise UsageError(
            "format.unknown",
            "Unknown format {format!r}.",
            hint="Known formats: {known}.",
            format=name,
            known=", ".join(FORMATS),
        ) from None
