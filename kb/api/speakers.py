"""Speakers of a recording in the form of OpenAI's service, and references of known voices."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import string
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kb.api.errors import ApiError
from kb.errors import KBError, MediaUnavailable, ModelUnavailable, UsageError
from kb.service import Service
from kb.types import Segment, Transcript, Word

REFERENCES = "known_speaker_references"
UNKNOWN = "unknown"  # where speech was detected in none of the words
_DATA = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_OURS = re.compile(r"Speaker (\d+)")


@dataclass
class SpeakerRequest:
    """A request for speakers: data URLs of known voices by name, and the files of these."""

    service: Service
    voices: tuple[tuple[str, str], ...]
    folder: Path
    files: list[tuple[str, Path]] = field(default_factory=list)

    @property
    def key(self) -> tuple[tuple[str, bytes], ...]:
        """A value that is equal for equal requests."""
        return tuple((name, hashlib.sha256(url.encode()).digest()) for name, url in self.voices)

    def write(self) -> None:
        """Write the references to files. Raises ApiError for one that cannot be used."""
        for place, (name, url) in enumerate(self.voices):
            found = _DATA.match(url)
            try:
                data = base64.b64decode(url[found.end() :], validate=True) if found else b""
            except (binascii.Error, ValueError):
                data = b""
            if not data:
                raise _refused(place, "a data URL in base64 is expected")
            path = self.folder / secrets.token_hex(16)
            self.files.append((name, path))
            path.write_bytes(data)
            try:
                self.service.transcription.check_reference(path)
            except UsageError as error:
                raise _refused(place, f"{error.message} {error.hint}") from error
            except MediaUnavailable as error:
                raise _refused(place, "a recording is expected") from error

    def label(
        self, path: Path, transcript: Transcript, cancelled: Callable[[], bool]
    ) -> Transcript:
        """Return the transcript of a file with its speakers. Raises KBError and ApiError."""
        began = time.monotonic()
        try:
            found = self.service.transcription.with_speakers(
                path, transcript, cancelled=cancelled, references=self.files
            )
        except MediaUnavailable as error:
            if error.code == "speakers.no_voice":
                raise _refused(None, "one of them has no speech") from error
            raise
        total_s = found.timing.total_s + time.monotonic() - began
        return replace(found, timing=replace(found.timing, total_s=total_s))

    def close(self) -> None:
        """Remove the files of the references."""
        for _, path in self.files:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def speaker_request(
    service: Service, folder: Path, names: Sequence[str], references: Sequence[str]
) -> SpeakerRequest:
    """Return the request for speakers. Raises ApiError without their model."""
    try:
        service.transcription.require_speakers()
    except ModelUnavailable as error:
        raise ApiError(
            400, "unsupported_value", error.message, hint=error.hint, param="response_format"
        ) from error
    except KBError as error:
        raise ApiError(
            503, error.code or "error", error.message, hint=error.hint, param="response_format"
        ) from error
    if len(names) != len(references):
        message = f"{len(names)} names and {len(references)} references of voices were given."
        raise ApiError(400, "invalid_value", message, param=REFERENCES)
    if len(set(names)) != len(names):
        message = "known_speaker_names: a name is given twice."
        raise ApiError(400, "invalid_value", message, param="known_speaker_names")
    for name in names:
        if name == UNKNOWN or _OURS.fullmatch(name):  # it would be mixed up with another speaker
            message = f"known_speaker_names: {name!r} stands for speakers without a name."
            raise ApiError(400, "invalid_value", message, param="known_speaker_names")
    return SpeakerRequest(service, tuple(zip(names, references, strict=True)), folder)


def _refused(place: int | None, problem: str) -> ApiError:
    which = REFERENCES if place is None else f"{REFERENCES}[{place}]"
    return ApiError(400, "invalid_value", f"{which}: {problem}", param=REFERENCES)


def segments(transcript: Transcript) -> list[dict[str, Any]]:
    """Return the segments of diarized_json, each of one speaker, in order.

    Known speakers have their names, others letters in the order in which they speak.
    """
    labels: dict[str, str] = {}
    pieces = [piece for segment in transcript.segments for piece in _pieces(segment)]
    taken = {piece.speaker for piece in pieces if piece.speaker}
    letters = (each for each in _letters() if each not in taken)
    return [
        {
            "type": "transcript.text.segment",
            "id": f"seg_{number:03d}",
            "start": round(piece.start_s, 3),
            "end": round(piece.end_s, 3),
            "text": piece.text.strip(),
            "speaker": _shown(piece.speaker, labels, letters),
        }
        for number, piece in enumerate(pieces)
    ]


def _shown(speaker: str | None, labels: dict[str, str], letters: Iterator[str]) -> str:
    if speaker is None:
        return UNKNOWN
    if not _OURS.fullmatch(speaker):
        return speaker
    if speaker not in labels:
        labels[speaker] = next(letters)
    return labels[speaker]


def _letters() -> Iterator[str]:
    """Yield A, B, ... Z, AA, AB, ..."""
    yield from string.ascii_uppercase
    for first in _letters():
        for last in string.ascii_uppercase:
            yield first + last


def _pieces(segment: Segment) -> Iterator[Segment]:
    """Yield the parts of a segment, each with the words of one speaker."""
    rows: list[list[Word]] = []
    for word in segment.words:
        if rows and (word.speaker or segment.speaker) == (rows[-1][-1].speaker or segment.speaker):
            rows[-1].append(word)
        else:
            rows.append([word])
    if len(rows) < 2:
        speaker = rows[0][0].speaker if rows else None
        yield replace(segment, speaker=speaker or segment.speaker)
        return
    at, cuts = 0, [0]
    for row in rows:
        for word in row:
            found = segment.text.find(word.text, at)
            if word is row[0] and row is not rows[0]:
                cuts.append(max(at, found))
            at = found + len(word.text) if found >= 0 else at
    for row, begin, end in zip(rows, cuts, [*cuts[1:], len(segment.text)], strict=True):
        yield replace(
            segment, start_s=row[0].start_s, end_s=row[-1].end_s, words=tuple(row),
            text=segment.text[begin:end], speaker=row[0].speaker or segment.speaker,
        )  # fmt: skip
