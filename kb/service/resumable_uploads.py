"""Uploads that come in parts and survive a cut line, a restart and a power failure.

Each has a folder of its own in the library: its facts, its bytes and a lock file. The offset in the
facts is the truth: it is recorded after the bytes before it have reached the disk, and bytes behind
it are written again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

from kb import storage
from kb.errors import LibraryError, RetryLater, UsageError
from kb.settings import Settings
from kb.sources.files import UPLOADS
from kb.storage.locks import locked_now

FOLDER = "resumable"  # in the folder of uploads
KEPT_S = 24 * 3600.0  # time after the last part for which an upload is kept
RECORD_EVERY_BYTES = 16 << 20
SPARE_BYTES = 1 << 30  # bytes that uploads must leave free on the disk
_ID = re.compile(r"[0-9a-f]{32}")
_FACTS, _DATA, _LOCK = "upload.json", "data", "lock"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class ResumableUpload:
    """An upload: `offset` of `size` bytes are there. `metadata` is what its client said of it.

    `sha256` is empty until the content was read once. A used upload stands for the job that took
    its bytes.
    """

    id: str
    caller: str
    name: str
    metadata: str
    size: int
    offset: int = 0
    sha256: str = ""
    used: bool = False
    changed_at: float = 0.0

    @property
    def complete(self) -> bool:
        """True if all bytes are there."""
        return self.offset == self.size

    @property
    def expires_at(self) -> float:
        """Time (epoch seconds) at which it is removed if nothing more comes."""
        return self.changed_at + KEPT_S


class UploadWriter:
    """The only writer of an upload. Every method but `close` raises LibraryError."""

    def __init__(self, folder: Path, upload: ResumableUpload, file: BinaryIO) -> None:
        self.upload = upload  # as recorded
        self._folder = folder
        self._file = file
        self._written = upload.offset

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return self.upload.size - self._written

    def write(self, block: bytes) -> None:
        """Append a block, which is no longer than `missing`."""
        with _library_errors(self._folder / _DATA):
            self._file.write(block)
        self._written += len(block)

    def unrecorded(self) -> int:
        """Return the number of bytes behind the recorded offset."""
        return self._written - self.upload.offset

    def record(self) -> None:
        """Bring the bytes to the disk, then record their end as the offset."""
        if self._written == self.upload.offset:
            return
        with _library_errors(self._folder / _DATA):
            os.fsync(self._file.fileno())
        self.upload = _record(self._folder, replace(self.upload, offset=self._written))


class ResumableUploads:
    """The resumable uploads of a library. Methods raise LibraryError.

    A caller sees its own uploads alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.home = settings.home
        self._root = settings.home / UPLOADS / FOLDER

    def create(self, caller: str, name: str, size: int, metadata: str = "") -> ResumableUpload:
        """Make an empty upload. Raises UsageError for too many, RetryLater for a full disk."""
        most = self._settings.api_uploads
        open_now = [each for each in self._all() if not each.used]
        if sum(each.caller == caller for each in open_now) >= most:
            raise UsageError(
                "uploads.too_many",
                "{most} uploads are open.",
                hint="Finish or delete one of them; the limit is KB_API_UPLOADS.",
                most=most,
            )
        missing = size + sum(each.size - each.offset for each in open_now)
        spare = max(SPARE_BYTES, self._settings.free_space.floor_bytes)
        free = storage.free_bytes(self._root)
        if free is not None and free - missing < spare:
            raise RetryLater(
                "uploads.no_room",
                "The disk has no room for {size} bytes beside what other uploads still bring.",
                hint="Free some space, or delete an upload.",
                until=time.time() + 60,
                size=size,
            )
        upload = ResumableUpload(secrets.token_hex(16), caller, name, metadata, size)
        folder = self._root / upload.id
        with _library_errors(folder):
            storage.make_folder(folder)
            storage.write_bytes(folder / _DATA, b"")
        return _record(folder, upload)

    def get(self, caller: str, upload_id: str) -> ResumableUpload | None:
        """Return an upload of this caller; None if there is none."""
        found = _read(self._root / upload_id) if _ID.fullmatch(upload_id) else None
        return found if found is not None and found.caller == caller else None

    @contextlib.contextmanager
    def writing(self, upload_id: str) -> Iterator[UploadWriter | None]:
        """Yield the only writer of an upload; None while another one has it.

        Bytes that were not recorded are gone.
        """
        folder = self._root / upload_id
        with locked_now(folder / _LOCK) as is_mine:
            upload = _read(folder) if is_mine else None
            if upload is None or upload.used:
                yield None
                return
            with _library_errors(folder / _DATA), storage.held(folder / _DATA) as real:
                file = real.open("r+b", buffering=0)
                file.truncate(upload.offset)
                file.seek(upload.offset)
            with file:
                yield UploadWriter(folder, upload, file)

    def remove(self, upload: ResumableUpload) -> bool:
        """Remove an upload; return False while a part of it is being written."""
        folder = self._root / upload.id
        with locked_now(folder / _LOCK) as is_mine:
            if not is_mine:
                return False
            _clear(folder)
        storage.remove_tree(folder)
        return True

    def with_digest(self, upload: ResumableUpload) -> ResumableUpload:
        """Return a complete upload with the SHA-256 of its content, which is read once."""
        if upload.sha256:
            return upload
        digest, folder = hashlib.sha256(), self._root / upload.id
        with _library_errors(folder / _DATA), (folder / _DATA).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return _record(folder, replace(upload, sha256=digest.hexdigest()))

    def put(self, upload: ResumableUpload, target: Path) -> None:
        """Put the content of an upload at a path of the library, too."""
        storage.link_or_copy(self._root / upload.id / _DATA, target, link=True)

    def mark_used(self, upload: ResumableUpload) -> None:
        """Give up the bytes of an upload that a job has taken; it still stands for that job."""
        folder = self._root / upload.id
        _record(folder, replace(upload, used=True))
        with contextlib.suppress(OSError):
            storage.remove_file(folder / _DATA)

    def _all(self) -> list[ResumableUpload]:
        return [found for folder in folders(self._settings.home) if (found := _read(folder))]


def folders(home: Path) -> list[Path]:
    """Return the folders of a library's resumable uploads."""
    try:
        return [each for each in (home / UPLOADS / FOLDER).iterdir() if _ID.fullmatch(each.name)]
    except OSError:
        return []


def sweep(home: Path, age_s: Callable[[float], float]) -> int:
    """Remove what got no part for a day; return the number.

    `age_s` returns the age of a time of the disk.
    """
    removed = 0
    for folder in folders(home):
        with contextlib.suppress(OSError, LibraryError):
            facts = folder / _FACTS
            changed = (facts if facts.exists() else folder).stat().st_mtime
            if age_s(changed) <= KEPT_S:
                continue
            with locked_now(folder / _LOCK) as is_mine:
                if is_mine:
                    _clear(folder)
            if is_mine:
                storage.remove_tree(folder)
                removed += 1
    with contextlib.suppress(OSError):
        (home / UPLOADS / FOLDER).rmdir()  # raises OSError unless the folder is empty
    return removed


def _clear(folder: Path) -> None:
    """Remove facts and bytes: from then on no writer begins."""
    for name in (_FACTS, _DATA):
        with _library_errors(folder / name):
            storage.remove_file(folder / name)


def _read(folder: Path) -> ResumableUpload | None:
    try:
        document = storage.read_json(folder / _FACTS)
        return ResumableUpload(**{**document, "id": folder.name})
    except (LibraryError, TypeError):
        return None


def _record(folder: Path, upload: ResumableUpload) -> ResumableUpload:
    recorded = replace(upload, changed_at=time.time())
    storage.write_json(folder / _FACTS, asdict(recorded))
    return recorded


@contextlib.contextmanager
def _library_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage.library_error(error, path, "write") from error
