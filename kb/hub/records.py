"""Records of models that are complete, written after sizes and digests of all files were compared.

A record is a small file in the user's state folder, because the cache may be read-only or shared.
It is valid while its files have the recorded sizes and times; a file with another time is compared
by its digest again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import platformdirs

from kb.errors import KBError, LibraryError
from kb.hub.cache import has_digest
from kb.storage import read_json, write_json

log = logging.getLogger(__name__)

VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file as it was when its digest was compared; `digest` is that of the hub (see HubFile)."""

    size: int
    mtime_ns: int
    digest: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ReadyRecord:
    """A complete model: `folder` holds `files`; `checks` names the checks that it has passed.

    `fetched`: all files were fetched here, none by another program. `refusal`: the record of the
    error with which a check has refused the model, empty if none has.
    """

    name: str
    commit: str
    folder: Path
    files: dict[str, RecordedFile]
    verified_at: float
    checks: tuple[str, ...] = ()
    fetched: bool = False
    refusal: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files.values())


def state_folder() -> Path:
    """Return the folder of the records and states of this user's models."""
    return platformdirs.user_state_path("kb-ingest", appauthor=False) / "models"


def key_of(place: Path) -> str:
    """Return the name of the state files for a model that is stored at `place`."""
    readable = "".join(c if c.isalnum() or c in "-._" else "-" for c in place.name)[:80]
    return f"{readable}-{hashlib.sha256(str(place).encode()).hexdigest()[:12]}"


def record_path(place: Path) -> Path:
    """Return the path of the record of a model that is stored at `place`."""
    return state_folder() / f"{key_of(place)}.json"


def read(place: Path) -> ReadyRecord | None:
    """Return the record of a model, None if there is none or it is damaged."""
    return _read(record_path(place))


def _read(path: Path) -> ReadyRecord | None:
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        if found["version"] != VERSION:
            return None
        files = {str(name): _entry(file) for name, file in found["files"].items()}
        return ReadyRecord(
            str(found["name"]),
            str(found["commit"]),
            Path(found["folder"]),
            files,
            float(found["verified_at"]),
            tuple(str(each) for each in found.get("checks", ())),
            found.get("fetched") is True,
            dict(found.get("refusal") or {}),
        )
    except (LibraryError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _entry(file: dict[str, Any]) -> RecordedFile:
    size, mtime_ns = int(file["size"]), int(file["mtime_ns"])
    return RecordedFile(size, mtime_ns, str(file["digest"]), str(file["sha256"]))


def write(place: Path, record: ReadyRecord) -> None:
    """Write the record of a model; where that is impossible, each process verifies it again."""
    document = {**asdict(record), "version": VERSION, "folder": str(record.folder)}
    try:
        write_json(record_path(place), document)
    except LibraryError as error:
        log.warning("%s", error)


def forget(place: Path) -> None:
    """Remove the record of a model."""
    with suppress(OSError):
        record_path(place).unlink(missing_ok=True)


def recorded(path: Path, digest: str, sha256: str) -> RecordedFile:
    """Return the entry of a file whose digest was compared. Raises OSError."""
    status = path.stat()
    return RecordedFile(status.st_size, status.st_mtime_ns, digest or sha256, sha256)


def add_check(place: Path, check: str) -> None:
    """Record that a complete model has passed a check; a refusal before is over."""
    record = read(place)
    if record is not None and (check not in record.checks or record.refusal):
        checks = dict.fromkeys((*record.checks, check))
        write(place, replace(record, checks=tuple(checks), refusal={}))


def set_refusal(place: Path, error: KBError) -> None:
    """Record that a check has refused a complete model, until it passes or other files are here."""
    record = read(place)
    if record is not None and record.refusal != error.record():
        write(place, replace(record, refusal=error.record()))


def has_passed(place: Path, check: str) -> bool:
    """Return True if a model has passed a check (any for "") and its files are still the same."""
    record = read(place)
    return record is not None and (not check or check in record.checks) and is_current(record)


def write_unverified(folder: Path, names: Sequence[str]) -> None:
    """Record the sizes and times of a folder's files, for the checks that they have passed."""
    with suppress(OSError):
        files = {name: recorded(folder / name, "", "") for name in names}
        write(folder, ReadyRecord(str(folder), "", folder, files, time.time()))


def changed_files(
    record: ReadyRecord,
    *,
    every: bool = False,
    moved: Callable[[int], None] = lambda count: None,
) -> tuple[str, ...]:
    """Return the files that are missing or have other bytes than recorded.

    A file with the recorded size and time is taken as it is, unless `every` file is to be read.
    """
    changed = []
    for name, file in record.files.items():
        path = record.folder / name
        try:
            status = path.stat()
            same_size = status.st_size == file.size
            is_read = every or status.st_mtime_ns != file.mtime_ns
            if not same_size or (is_read and not has_digest(path, file.sha256, moved)):
                changed.append(name)
        except OSError:
            changed.append(name)
    return tuple(changed)


def refreshed(record: ReadyRecord) -> ReadyRecord:
    """Return a record with the present times of its files, verified now. Raises OSError."""
    files = {
        name: recorded(record.folder / name, file.digest, file.sha256)
        for name, file in record.files.items()
    }
    return replace(record, files=files, verified_at=time.time())


def with_damage(record: ReadyRecord, damaged: Sequence[str]) -> ReadyRecord:
    """Return a record that is not current: damaged files are compared again at the next use."""
    files = {
        name: replace(file, mtime_ns=0) if name in damaged else file
        for name, file in record.files.items()
    }
    return replace(record, files=files)


def is_current(record: ReadyRecord) -> bool:
    """Return True if all files have the recorded sizes and times."""
    try:
        for name, file in record.files.items():
            status = (record.folder / name).stat()
            if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
                return False
    except OSError:
        return False
    return True
