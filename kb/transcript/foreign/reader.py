"""Reads a transcript file of another program; the form is found by the content and the ending."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kb import storage
from kb.errors import KBError, LibraryError
from kb.library.transcript_names import split_name
from kb.transcript.chunks import BY_SEGMENT
from kb.transcript.foreign import (
    cutting,
    documents,
    json_forms,
    praat,
    substation,
    subtitles,
    tables,
    text_lines,
    timed_text,
)
from kb.transcript.foreign.rows import (
    Found,
    ImpossibleTime,
    Row,
    check_times,
    segments_of,
    with_speakers,
)
from kb.transcript.foreign.suffixes import SUFFIXES, UNREAD_SUFFIXES
from kb.transcript.foreign.text_encoding import decode
from kb.transcript.formats import json_document
from kb.types import IMPORTED, Coverage, MediaRef, Timing, Transcript

ENGINE = IMPORTED
MAX_BYTES = 2**28
_OTHER_JSON = "it is JSON of a form that is not read; SRT and WebVTT of the same program are"
_NO_COLUMNS = "it has no columns for start, end and text"


def read(path: Path, media: MediaRef) -> Transcript:
    """Return the transcript in a file: text, subtitles, table, document or JSON.

    Text may have any usual encoding. The transcript's `engine` is `imported`, its `model` is the
    file's ending, its language that of the file, else of its name, and its coverage is unknown. A
    warning names the file and says which times are exact. A document of this project is returned
    as it is. Raises LibraryError for a file that cannot be read, is no text, is of an unknown form,
    has no words, or has a time that no recording has.
    """
    if path.suffix.lower() in UNREAD_SUFFIXES:
        raise _not_read(path, f"the form {path.suffix.lower()[1:]} is not known")
    try:
        data = storage.read_user_bytes(path, MAX_BYTES)
    except OSError as error:
        raise storage.input_error(error, path) from error
    except storage.UnreadableText as error:
        raise _not_read(path, error.message) from error
    try:
        return _read(path, data, media)
    except ImpossibleTime as error:
        raise LibraryError(
            "transcript.foreign_time",
            "{path} is not read as a transcript: {place} has the time {time}, which no recording "
            "has.",
            hint="Correct the time in the file, then run: kb reindex",
            path=path,
            place=error.place,
            time=error.time,
        ) from error
    except (ValueError, RecursionError) as error:
        raise _not_read(path, str(error)) from error


def _read(path: Path, data: bytes, media: MediaRef) -> Transcript:
    suffix = path.suffix.lower()
    if suffix == ".docx":
        return _transcript(path, documents.word_rows(data, media.duration_s), media)
    if suffix == ".xlsx":
        return _transcript(path, _workbook(data), media)
    text = decode(data)
    if suffix == ".json":
        return _from_json(path, text, media)
    if path.stem.lower().endswith(".plain"):  # an export that has no times
        return _transcript(path, text_lines.paragraphs(text), media)
    found = _BY_SUFFIX.get(suffix, _text)(text, media.duration_s)
    return _transcript(path, found, media)


def _workbook(data: bytes) -> Found:
    found = tables.workbook_rows(data)
    if found is None:
        raise ValueError(_NO_COLUMNS)
    return found


def _from_json(path: Path, text: str, media: MediaRef) -> Transcript:
    document = _json(text)
    if isinstance(document, dict) and {"segments", "coverage", "timing"} <= document.keys():
        own = json_document.from_document(document, source=str(path))
        for number, segment in enumerate(own.segments):
            place = f"segments[{number}]"
            check_times(Row("", segment.start_s, segment.end_s, segment.words, place=place))
        return own
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        return _transcript(path, subtitles.youtube_rows(text) or Found(()), media)
    found = json_forms.parse(document)
    if found is None:
        raise ValueError(_OTHER_JSON)
    return _transcript(path, found, media)


def _json(text: str) -> object:
    """Return a document, or the list of those of a file with one on each line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith("{") for line in lines):
            raise
        return [json.loads(line) for line in lines]


def _text(text: str, duration_s: float) -> Found:
    """Return the rows of a text of any form."""
    if text.lstrip("\ufeff \n").startswith("WEBVTT"):
        return _webvtt(text, duration_s)
    return tables.tab_rows(text) or cutting.label_rows(text) or text_lines.parse(text, duration_s)


def _webvtt(text: str, duration_s: float) -> Found:
    found = subtitles.webvtt_rows(text.lstrip("\ufeff \n"))
    return found or text_lines.parse(text, duration_s)


def _captions(text: str, _duration_s: float) -> Found:
    return subtitles.youtube_rows(text) or Found(())


def _subrip(text: str, duration_s: float) -> Found:
    return subtitles.subrip_rows(text) or _text(text, duration_s)


def _sbv(text: str, duration_s: float) -> Found:
    return subtitles.sbv_rows(text) or _text(text, duration_s)


def _substation(text: str, _duration_s: float) -> Found:
    return substation.rows(text) or Found(())


def _ttml(text: str, _duration_s: float) -> Found:
    return timed_text.ttml_rows(text)


def _lrc(text: str, _duration_s: float) -> Found:
    return timed_text.lrc_rows(text)


def _tsv(text: str, duration_s: float) -> Found:
    return tables.tab_rows(text) or tables.comma_rows(text) or _text(text, duration_s)


def _csv(text: str, _duration_s: float) -> Found:
    found = tables.comma_rows(text) or cutting.marker_rows(text)
    if found is None:
        raise ValueError(_NO_COLUMNS)
    return found


def _grid(text: str, _duration_s: float) -> Found:
    return praat.rows(text)


def _edl(text: str, _duration_s: float) -> Found:
    return cutting.edl_rows(text) or Found(())


def _page(text: str, _duration_s: float) -> Found:
    return documents.page_rows(text)


_BY_SUFFIX: dict[str, Callable[[str, float], Found]] = {
    ".json3": _captions,
    ".vtt": _webvtt,
    ".ass": _substation,
    ".ssa": _substation,
    ".ttml": _ttml,
    ".dfxp": _ttml,
    ".srt": _subrip,
    ".sbv": _sbv,
    ".lrc": _lrc,
    ".tsv": _tsv,
    ".textgrid": _grid,
    ".csv": _csv,
    ".edl": _edl,
    ".html": _page,
    ".htm": _page,
    ".md": documents.markdown_rows,
}


def _transcript(path: Path, found: Found, media: MediaRef) -> Transcript:
    if not found.has_words:
        raise _not_read(path, "it has no words")
    segments = tuple(segments_of(with_speakers(found.rows), media.duration_s))
    times = (
        "words have their own times"
        if any(segment.words for segment in segments)
        else "times are those of its lines"
        if found.has_times
        else "it has no times, and those shown are estimated"
    )
    languages = Counter(segment.language for segment in segments if segment.language)
    spoken = languages.most_common(1)[0][0] if languages else ""
    taken_in = Transcript(
        media=media,
        segments=segments,
        language=found.language or spoken or split_name(path.name).language,
        engine=ENGINE,
        model=path.suffix.lower().removeprefix("."),
        preset="",
        coverage=Coverage(speech_s=0.0, covered_s=0.0),
        timing=Timing(),
        warnings=(f"Taken in from {path.name}: {times}; nothing was checked against the sound.",),
    )
    return replace(taken_in, chunk_s=BY_SEGMENT) if found.by_row else taken_in


def _not_read(path: Path, reason: str) -> KBError:
    return LibraryError(
        "transcript.not_read",
        "{path} is not read as a transcript: {reason}.",
        hint="These endings are read: {known}",
        path=path,
        reason=reason,
        known=" ".join(SUFFIXES),
    )
