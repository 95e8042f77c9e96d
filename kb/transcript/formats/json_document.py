"""The exact transcript as one JSON document; `from_document` restores it without a difference.

Times are in seconds from the start of the medium. `ratio`, `trusted`, `grade` and `rtfx` are for
people who read the document, and are computed again when it is read. Unknown fields are ignored.
`truncated` is always written: a document without it was written by a version without this field.
`expected_errors` is the estimated share of wrong words (null: not measured), `unsure` the passages
in which many words are likely wrong, `sound` the figures of the sound that explain them.
`on_screen` has the pages of text on the screen; it is in exports alone, and not read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kb.errors import LibraryError, TranscriptionError
from kb.storage import Fields, read_json
from kb.transcript.formats.json_parts import (
    caption_agreement_document,
    caption_agreement_of,
    revision_document,
    revision_of,
    segment_document,
    segment_of,
)
from kb.transcript.time_order import check_times
from kb.types import (
    Coverage,
    DecodingAttempt,
    ExpectedErrors,
    MediaItem,
    MediaRef,
    QualityFlag,
    SoundFacts,
    SpeechSpan,
    Timestamps,
    Timing,
    Transcript,
    UnsurePassage,
    WindowReport,
)
from kb.types.screen import ScreenPage

MIME_TYPE = "application/json"

_HINT = "The transcript file is damaged: transcribe the medium again (kb ingest ... --again)."
_TIMINGS = (
    "load_s", "decode_s", "vad_s", "asr_s", "align_s", "repair_s", "total_s", "media_s",
)  # fmt: skip
_SOUND = ("peak_db", "level_db", "bandwidth_hz", "clipped", "decay_s", "letters_per_s")
_TRUNCATED_ENDINGS = (": it looks truncated.", ": the file may be truncated.")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the document on one line.

    Raises TranscriptionError when a time is not a number (JSON has no NaN).
    """
    try:
        text = json.dumps(to_document(transcript), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise TranscriptionError(
            "transcript.bad_time",
            "The transcript of {path} has a time that is not a number: {cause}.",
            hint="Transcribe it again; with the same result, try another model.",
            path=transcript.media.path,
            cause=error,
        ) from error
    return text + "\n"


def to_document(transcript: Transcript) -> dict[str, Any]:
    """Return the transcript as plain dicts, lists, strings and numbers."""
    coverage, timing = transcript.coverage, transcript.timing
    return {
        "media": {
            "path": transcript.media.path,
            "sha256": transcript.media.sha256,
            "duration_s": transcript.media.duration_s,
            **({"tracks": list(transcript.media.tracks)} if transcript.media.tracks else {}),
        },
        "language": transcript.language,
        "engine": transcript.engine,
        "model": transcript.model,
        "preset": transcript.preset,
        "chunk_s": transcript.chunk_s,
        "timestamps": transcript.timestamps,
        "segments": [segment_document(segment) for segment in transcript.segments],
        "coverage": {
            "speech_s": coverage.speech_s,
            "covered_s": coverage.covered_s,
            "ratio": coverage.ratio if transcript.coverage_known else None,
            "gaps": _spans_document(coverage.gaps),
            "repaired": coverage.repaired,
            "suspect_s": coverage.suspect_s,
            "trusted": coverage.trusted if transcript.coverage_known else None,
            "grade": transcript.grade,
            **({"lost": _spans_document(coverage.lost)} if coverage.lost else {}),
        },
        **_errors_document(transcript.expected_errors),
        **({"sound": _sound_document(transcript.sound)} if transcript.sound else {}),
        "timing": {**{name: getattr(timing, name) for name in _TIMINGS}, "rtfx": timing.rtfx},
        "warnings": list(transcript.warnings),
        "truncated": transcript.truncated,
        **({"cpu_reason": transcript.cpu_reason} if transcript.cpu_reason else {}),
        "windows": [_window_document(window) for window in transcript.windows],
        **(
            {"witness": caption_agreement_document(transcript.witness)}
            if transcript.witness
            else {}
        ),
        "revisions": [revision_document(revision) for revision in transcript.revisions],
        **(
            {"on_screen": [_page_document(page) for page in transcript.on_screen]}
            if transcript.on_screen
            else {}
        ),
    }


def _page_document(page: ScreenPage) -> dict[str, Any]:
    return {
        "showings": [{"start": start_s, "end": end_s} for start_s, end_s in page.showings],
        "lines": [{"text": line.text, "start": line.start_s} for line in page.lines],
    }


def _errors_document(errors: ExpectedErrors | None) -> dict[str, Any]:
    if errors is None:
        return {"expected_errors": None}
    unsure = [
        {"start": each.start_s, "end": each.end_s, "share": each.share} for each in errors.passages
    ]
    return {"expected_errors": errors.share, **({"unsure": unsure} if unsure else {})}


def _sound_document(sound: SoundFacts) -> dict[str, Any]:
    figures = {name: getattr(sound, name) for name in _SOUND}
    known = {name: value for name, value in figures.items() if value is not None}
    return {**known, "causes": list(sound.causes)}


def _spans_document(spans: Iterable[SpeechSpan]) -> list[dict[str, float]]:
    return [{"start": span.start_s, "end": span.end_s} for span in spans]


def _window_document(window: WindowReport) -> dict[str, Any]:
    """Return a window without empty fields: most windows have only their place and speech."""
    document: dict[str, Any] = {
        "start": window.start_s,
        "end": window.end_s,
        "speech_s": window.speech_s,
        "covered_s": window.covered_s,
    }
    if window.gaps:
        document["gaps"] = _spans_document(window.gaps)
    if window.flags:
        document["signs"] = [_flag_document(flag) for flag in window.flags]
    if window.attempts:
        document["chosen"] = window.chosen
        document["readings"] = [
            {
                "how": attempt.method,
                "score": attempt.score,
                "signs": [_flag_document(flag) for flag in attempt.flags],
                "segments": [segment_document(segment) for segment in attempt.segments],
            }
            for attempt in window.attempts
        ]
    return document


def _flag_document(flag: QualityFlag) -> dict[str, Any]:
    return {
        "name": flag.name,
        "start": flag.start_s,
        "end": flag.end_s,
        "value": flag.value,
        "limit": flag.limit,
    }


def from_document(document: Mapping[str, Any], *, source: str = "transcript") -> Transcript:
    """Return the transcript of a document; `source` names it in errors.

    Raises LibraryError, naming source and field, for a damaged document.
    """
    fields = Fields(document, source, hint=_HINT)
    media = fields.inner("media")
    coverage = fields.inner("coverage")
    timing = fields.inner("timing")
    duration_s = media.number("duration_s", 0.0)
    times = {name: timing.number(name, 0.0) for name in _TIMINGS if name != "media_s"}
    warnings = fields.texts("warnings")
    return Transcript(
        media=MediaRef(
            media.text("path", ""), media.text("sha256", ""), duration_s, media.wholes("tracks")
        ),
        segments=tuple(segment_of(row) for row in fields.objects("segments", required=True)),
        language=fields.text("language", ""),
        engine=fields.text("engine", ""),
        model=fields.text("model", ""),
        preset=fields.text("preset", ""),
        coverage=Coverage(
            speech_s=coverage.number("speech_s", 0.0),
            covered_s=coverage.number("covered_s", 0.0),
            gaps=_spans(coverage, "gaps"),
            repaired=coverage.whole("repaired", 0),
            suspect_s=coverage.number("suspect_s", 0.0),
            lost=_spans(coverage, "lost"),
        ),
        timing=Timing(**times, media_s=timing.number("media_s", duration_s)),
        chunk_s=fields.number("chunk_s", 30.0),
        timestamps=_timestamps(fields),
        warnings=warnings,
        truncated=fields.flag("truncated", _truncated_by_warnings(warnings)),
        windows=tuple(_window(row) for row in fields.objects("windows")),
        witness=caption_agreement_of(fields.inner("witness"))
        if fields.mapping("witness", None)
        else None,
        revisions=tuple(revision_of(row) for row in fields.objects("revisions")),
        cpu_reason=fields.text("cpu_reason", ""),
        expected_errors=_errors(fields),
        sound=_sound(fields.inner("sound")) if fields.mapping("sound", None) else None,
    )


def _errors(fields: Fields) -> ExpectedErrors | None:
    share = fields.number("expected_errors", None)
    if share is None:
        return None
    passages = tuple(
        UnsurePassage(row.number("start"), row.number("end"), row.number("share"))
        for row in fields.objects("unsure")
    )
    return ExpectedErrors(share, passages)


def _sound(row: Fields) -> SoundFacts:
    return SoundFacts(
        **{name: row.number(name, None) for name in _SOUND}, causes=row.texts("causes")
    )


def _truncated_by_warnings(warnings: Iterable[str]) -> bool:
    """Return the value of `truncated` for a document that was written before the key existed.

    Such a document has only the decoder's warning. The decoder had three sentences for a
    truncated file, with these two endings; no other warning of that version has these endings.
    """
    return any(warning.endswith(_TRUNCATED_ENDINGS) for warning in warnings)


def read(path: Path) -> Transcript:
    """Return the transcript in a `.transcript.json` file.

    Raises LibraryError when the file cannot be read, is damaged, or has a time that no medium has,
    with segment and word.
    """
    transcript = from_document(read_json(path), source=str(path))
    check_times(transcript, str(path), LibraryError)
    return transcript


def _timestamps(fields: Fields) -> Timestamps:
    value = fields.text("timestamps", "segment")
    if value == "word":
        return "word"
    if value == "segment":
        return "segment"
    raise fields.error("timestamps", f"'segment' or 'word' expected, found {value!r}")


def _spans(row: Fields, name: str) -> tuple[SpeechSpan, ...]:
    return tuple(SpeechSpan(s.number("start"), s.number("end")) for s in row.objects(name))


def _flags(row: Fields) -> tuple[QualityFlag, ...]:
    return tuple(
        QualityFlag(
            name=flag.text("name"),
            start_s=flag.number("start"),
            end_s=flag.number("end"),
            value=flag.number("value"),
            limit=flag.number("limit"),
        )
        for flag in row.objects("signs")
    )


def _window(row: Fields) -> WindowReport:
    return WindowReport(
        start_s=row.number("start"),
        end_s=row.number("end"),
        speech_s=row.number("speech_s"),
        covered_s=row.number("covered_s"),
        gaps=_spans(row, "gaps"),
        flags=_flags(row),
        attempts=tuple(
            DecodingAttempt(
                method=attempt.text("how"),
                segments=tuple(segment_of(segment) for segment in attempt.objects("segments")),
                flags=_flags(attempt),
                score=attempt.number("score"),
            )
            for attempt in row.objects("readings")
        ),
        chosen=row.whole("chosen", 0),
    )


def has_whole_text(path: Path) -> bool:
    """Return True if a `.transcript.json` file can be read once the times of its text are ignored.

    A person can correct the times of such a file, and no other file has all that it has.
    """
    try:
        document = read_json(path)
        from_document({**document, "segments": _without_times(document.get("segments"))})
    except LibraryError:
        return False
    return True


def _without_times(rows: Any) -> Any:
    if isinstance(rows, list):
        return [_without_times(row) for row in rows]
    if not isinstance(rows, dict):
        return rows
    started = {name: 0.0 for name in ("start", "end") if name in rows}
    return {**rows, **started, "words": _without_times(rows.get("words", []))}
