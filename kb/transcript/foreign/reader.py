"""Reads a transcript file of another program; the form is found by the content."""

from __future__ import annotations

import json
from pathlib import Path

from kb import storage
from kb.errors import KBError, LibraryError
from kb.transcript import caption_parser
from kb.transcript.foreign import json_forms, text_lines
from kb.transcript.foreign.rows import Found, Row, segments_of
from kb.transcript.foreign.text_encoding import decode
from kb.transcript.formats import json_document
from kb.types import Coverage, MediaRef, Timing, Transcript

ENGINE = "imported"
SUFFIXES = (".json", ".vtt", ".srt", ".tsv", ".txt")
"""Endings of files that are read, those with the most exact times first."""
UNREAD_SUFFIXES = (
    ".sbv", ".lrc", ".ass", ".ssa", ".ttml", ".dfxp", ".rtf", ".docx", ".odt", ".pdf",
)  # fmt: skip
"""Endings of transcripts in forms that are not read."""
MAX_BYTES = 2**28


def read(path: Path, media: MediaRef) -> Transcript:
    """Return the transcript in a file: text, subtitles or JSON, in any usual encoding.

    Its `engine` is `imported`, its `model` is the file's ending, and its coverage is unknown. A
    warning names the file and says which times are exact. A document of this project is returned
    as it is. Raises LibraryError for a file that cannot be read, is no text, is of an unknown form
    or has no words.
    """
    if path.suffix.lower() in UNREAD_SUFFIXES:
        raise _not_read(path, f"the form {path.suffix.lower()[1:]} is not known")
    try:
        data = storage.read_user_bytes(path, MAX_BYTES)
    except OSError as error:
        raise storage.library_error(error, path, "read") from error
    except storage.UnreadableText as error:
        raise _not_read(path, error.message) from error
    try:
        text = decode(data)
        if path.suffix.lower() == ".json":
            return _from_json(path, text, media)
        found = _subtitles(path, text) or text_lines.parse(text, media.duration_s)
    except (ValueError, RecursionError) as error:
        raise _not_read(path, str(error)) from error
    return _transcript(path, found, media)


def _from_json(path: Path, text: str, media: MediaRef) -> Transcript:
    document = json.loads(text)
    if isinstance(document, dict) and {"segments", "coverage", "timing"} <= document.keys():
        return json_document.from_document(document, source=str(path))
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        found = _captions(text, ".json3")
    else:
        found = json_forms.parse(document)
    if found is None:
        raise ValueError("it is JSON of an unknown form")
    return _transcript(path, found, media)


def _subtitles(path: Path, text: str) -> Found | None:
    """Return the cues of a subtitle file; None if its reader finds none."""
    head = text.lstrip("\ufeff \n")
    if head.startswith("WEBVTT"):
        return _captions(head, ".vtt")
    return _captions(text, ".srt") if path.suffix.lower() == ".srt" else None


def _captions(text: str, suffix: str) -> Found | None:
    try:
        cues = caption_parser.cues(text, suffix)
    except caption_parser.PARSE_ERRORS:
        return None  # read as lines with times
    rows = tuple(
        Row(" ".join(cue.lines), cue.start_s, cue.end_s, cue.words) for cue in cues if cue.lines
    )
    return Found(rows) if any(row.text.strip() for row in rows) else None


def _transcript(path: Path, found: Found, media: MediaRef) -> Transcript:
    segments = tuple(segments_of(found.rows, media.duration_s))
    if not any(letter.isalnum() for segment in segments for letter in segment.text):
        raise _not_read(path, "it has no words")
    times = (
        "words have their own times"
        if any(segment.words for segment in segments)
        else "times are those of its lines"
        if found.has_times
        else "it has no times, and those shown are estimated"
    )
    return Transcript(
        media=media,
        segments=segments,
        language=found.language,
        engine=ENGINE,
        model=path.suffix.lower().removeprefix("."),
        preset="",
        coverage=Coverage(speech_s=0.0, covered_s=0.0),
        timing=Timing(),
        warnings=(f"Taken in from {path.name}: {times}; nothing was checked against the sound.",),
    )


def _not_read(path: Path, reason: str) -> KBError:
    return LibraryError(
        "transcript.not_read",
        "{path} is not read as a transcript: {reason}.",
        hint="Known are text, SubRip (srt), WebVTT (vtt) and the JSON of Whisper.",
        path=path,
        reason=reason,
    )
