"""The exact transcript as one JSON document, written and read back without a difference.

Times are seconds from the start of the medium. `ratio` and `rtfx` are for readers and are
computed anew on reading. Fields that this version does not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kb.errors import TranscriptionError
from kb.storage import Fields, read_json
from kb.types import (
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    SpeechSpan,
    Timestamps,
    Timing,
    Transcript,
    Word,
)

_HINT = "The transcript file is damaged: transcribe the medium again (kb ingest ... --again)."
_TIMINGS = ("load_s", "decode_s", "vad_s", "asr_s", "align_s", "total_s", "media_s")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """The document on one line.

    Raises TranscriptionError when a time is not a number (JSON has no NaN).
    """
    try:
        text = json.dumps(to_document(transcript), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise TranscriptionError(
            f"The transcript of {transcript.media.path} has a time that is not a number: {error}."
        ) from error
    return text + "\n"


def to_document(transcript: Transcript) -> dict[str, Any]:
    """The transcript as plain dicts, lists, strings and numbers."""
    coverage, timing = transcript.coverage, transcript.timing
    return {
        "media": {
            "path": transcript.media.path,
            "sha256": transcript.media.sha256,
            "duration_s": transcript.media.duration_s,
        },
        "language": transcript.language,
        "engine": transcript.engine,
        "model": transcript.model,
        "preset": transcript.preset,
        "chunk_s": transcript.chunk_s,
        "timestamps": transcript.timestamps,
        "segments": [_segment_document(segment) for segment in transcript.segments],
        "coverage": {
            "speech_s": coverage.speech_s,
            "covered_s": coverage.covered_s,
            "ratio": coverage.ratio,
            "gaps": [{"start": gap.start_s, "end": gap.end_s} for gap in coverage.gaps],
            "repaired": coverage.repaired,
        },
        "timing": {**{name: getattr(timing, name) for name in _TIMINGS}, "rtfx": timing.rtfx},
        "warnings": list(transcript.warnings),
    }


def _segment_document(segment: Segment) -> dict[str, Any]:
    document: dict[str, Any] = {
        "start": segment.start_s,
        "end": segment.end_s,
        "text": segment.text,
        "words": [
            {
                "start": word.start_s,
                "end": word.end_s,
                "text": word.text,
                "probability": word.probability,
            }
            for word in segment.words
        ],
    }
    if segment.language is not None:
        document["language"] = segment.language
    return document


def from_document(document: Mapping[str, Any], *, source: str = "transcript") -> Transcript:
    """The transcript that a document tells; `source` names it in errors.

    Raises LibraryError naming source and field.
    """
    fields = Fields(document, source, hint=_HINT)
    media = fields.inner("media")
    coverage = fields.inner("coverage")
    timing = fields.inner("timing")
    duration_s = media.number("duration_s", 0.0)
    times = {name: timing.number(name, 0.0) for name in _TIMINGS if name != "media_s"}
    return Transcript(
        media=MediaRef(media.text("path", ""), media.text("sha256", ""), duration_s),
        segments=tuple(_segment(row) for row in fields.objects("segments", required=True)),
        language=fields.text("language", ""),
        engine=fields.text("engine", ""),
        model=fields.text("model", ""),
        preset=fields.text("preset", ""),
        coverage=Coverage(
            speech_s=coverage.number("speech_s", 0.0),
            covered_s=coverage.number("covered_s", 0.0),
            gaps=tuple(
                SpeechSpan(gap.number("start"), gap.number("end"))
                for gap in coverage.objects("gaps")
            ),
            repaired=coverage.whole("repaired", 0),
        ),
        timing=Timing(**times, media_s=timing.number("media_s", duration_s)),
        chunk_s=fields.number("chunk_s", 30.0),
        timestamps=_timestamps(fields),
        warnings=fields.texts("warnings"),
    )


def read(path: Path) -> Transcript:
    """The transcript in a `.transcript.json` file.

    Raises LibraryError when the file cannot be read or is damaged.
    """
    return from_document(read_json(path), source=str(path))


def _timestamps(fields: Fields) -> Timestamps:
    value = fields.text("timestamps", "segment")
    if value == "word":
        return "word"
    if value == "segment":
        return "segment"
    raise fields.error("timestamps", f"'segment' or 'word' expected, found {value!r}")


def _segment(row: Fields) -> Segment:
    return Segment(
        start_s=row.number("start"),
        end_s=row.number("end"),
        text=row.text("text"),
        words=tuple(
            Word(
                start_s=word.number("start"),
                end_s=word.number("end"),
                text=word.text("text"),
                probability=word.number("probability", 1.0),
            )
            for word in row.objects("words")
        ),
        language=row.text("language", None),
    )
