"""Atomic writing of files, JSON with errors that name the cause, errors with a next step.

Every file is written under a temporary name beside its target, flushed to the disk and moved into
place, so that a reader sees the old file or the new one, and a killed process leaves at most a
temporary file, which `sweep` removes.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import string
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psutil

from kb.errors import LibraryError
from kb.storage.os_errors import library_error
from kb.storage.permissions import shared_reading
from kb.storage.places import held
from kb.storage.user_text import MAX_DOCUMENT_BYTES, UnreadableText, read_user_text

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Result = TypeVar("Result")

Guard = Callable[[], AbstractContextManager[object]]
"""The block in which a written file is moved into place; it raises to refuse the move."""

_FICLONE = 0x40049409  # ioctl of Linux that clones a file (linux/fs.h)

TEMPORARY_PREFIX = ".kb-"
TEMPORARY_SUFFIX = ".tmp"
# Temporary files of other machines on a shared folder, whose processes cannot be checked, are
# removed at this age.
ABANDONED_AFTER_S = 24 * 3600.0
_LONGEST_SUFFIX = 20
# The folder may be the user's own, and a file of theirs with a similar name is none of ours.
_TIMED = "z"  # begins the last part of a name with a time; in earlier versions it is hexadecimal
_DIGITS = string.digits + string.ascii_lowercase
_TIMED_NAME = re.compile(rf"\.kb-[0-9a-f]{{8}}-[0-9]+-{_TIMED}([0-9a-z]{{6}})[0-9a-z]{{5}}\.tmp")
_NAME = re.compile(r"\.kb-[0-9a-f]{8}-[0-9]+-[0-9a-z]{3,12}\.tmp(\.[^.]*)?")

# Several machines may share the folder, and a process id is valid on one machine only.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"


@contextmanager
def atomic_path(target: Path, guard: Guard = nullcontext) -> Iterator[Path]:
    """Yield a temporary path beside `target`, and move it there if the block ends without an error.

    The move is made within `guard`. On any exception, including an interrupt and a refusal by
    `guard`, the temporary file is removed and `target` is not changed. OSErrors become
    LibraryError; missing folders are made. In a claimed folder the path leads through its
    descriptor: see `kb.storage.places`.
    """
    with held(target) as real:
        temporary = real.parent / temporary_name()
        try:
            real.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            flush(temporary)
            with guard():
                _move(temporary, real)
        except OSError as error:
            with held(target):  # raises the cause if the claimed folder went away
                raise library_error(error, target, "write") from error
        finally:
            # Also after success: moving one hard link onto another of the same file does nothing.
            with suppress(OSError):
                temporary.unlink()
        flush_folder(real.parent)


def write_together(files: Sequence[tuple[Path, bytes]], guard: Guard = nullcontext) -> None:
    """Write several files of one folder; move them into place within one `guard`, in their order.

    All are complete under temporary names before the first one is moved. Raises LibraryError, and
    what `guard` raises: then no file is changed.
    """
    current = files[0][0]
    with held(current.parent) as folder:
        drafts = [(folder / temporary_name(), target) for target, _ in files]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for (temporary, target), (_, data) in zip(drafts, files, strict=True):
                current = target
                write_new(temporary, data)
                flush(temporary)
            with guard():
                for temporary, target in drafts:
                    current = target
                    _move(temporary, folder / target.name)
        except OSError as error:
            with held(current):
                raise library_error(error, current, "write") from error
        finally:
            for temporary, _ in drafts:
                with suppress(OSError):
                    temporary.unlink()
        flush_folder(folder)


def _move(temporary: Path, target: Path) -> None:
    retry_denied(lambda: temporary.replace(target))


def temporary_name(suffix: str = "") -> str:
    """Return a new name for a temporary file, which `sweep` finds; `suffix` is that of its kind.

    It is short and independent of the target's name, which may have the maximum length. It says
    when it was made: a link has the date of the linked file, which may be years old.
    """
    # A clock that is behind must not make the file older than its process (see `has_ended`).
    made = max(time.time(), _process_start())
    token = f"{_TIMED}{_base36(int(made), 6)}{_base36(secrets.randbelow(36**5), 5)}"
    unique = f"{_HOST}-{os.getpid()}-{token}"
    return f"{TEMPORARY_PREFIX}{unique}{TEMPORARY_SUFFIX}{suffix[:_LONGEST_SUFFIX]}"


def write_bytes(target: Path, data: bytes, guard: Guard = nullcontext) -> None:
    """Write `data` to `target`, completely or not at all; see `atomic_path` for `guard`.

    Raises LibraryError (disk full, access denied, file in the way, path too long).
    """
    with atomic_path(target, guard) as temporary:
        write_new(temporary, data)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
    finally:
        os.close(handle)


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` as UTF-8 with its line ends unchanged; see `write_bytes`.

    A lone surrogate (half of a file name that was not UTF-8) is written as `\\udcXX`: in JSON that
    is the same character, in other files it is at least readable.
    """
    write_bytes(target, text_bytes(text))


def write_json(target: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document to `target`, indented for people; see `write_bytes`."""
    write_bytes(target, json_bytes(document))


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a JSON document as `write_json` writes them."""
    return text_bytes(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def text_bytes(text: str) -> bytes:
    """Return the bytes of a text as `write_text` writes them."""
    return text.encode("utf-8", "backslashreplace")


def read_json(path: Path, real: Path | None = None) -> dict[str, Any]:
    """Return the JSON object in a file; `real` is its path through a descriptor.

    Raises LibraryError naming the file, and the line of a syntax error.
    """
    try:
        document = json.loads(
            retry_denied(lambda: read_user_text(real or path, MAX_DOCUMENT_BYTES))
        )
    except OSError as error:
        raise library_error(error, path, "read") from error
    except (ValueError, RecursionError, UnreadableText) as error:
        cause: object = error
        if isinstance(error, RecursionError):
            cause = UnreadableText("text.nested", "its values are nested too deeply")
        raise LibraryError(
            "json.damaged",
            "{path} is damaged: {reason}.",
            hint="Repair or remove this file, then run: kb reindex",
            path=path,
            reason=cause,
        ) from error
    if not isinstance(document, dict):
        raise LibraryError(
            "json.not_object",
            "{path} is damaged: not a JSON object.",
            hint="Repair or remove this file, then run: kb reindex",
            path=path,
        )
    return document


def link_or_copy(source: Path, target: Path, *, link: bool, guard: Guard = nullcontext) -> None:
    """Put the file `source` at `target` as a clone or a hard link if possible, else as a copy.

    A clone (Btrfs, XFS) takes no space and is a file of its own: a change of the source in place
    does not reach it, as it does reach a hard link. A link keeps the source's rights: it is not
    made where an account that shares the folder could not read it.
    The move into place is made within `guard`. Raises LibraryError. The caller has checked that
    `source` exists.
    """
    with atomic_path(target, guard) as temporary:
        if link:
            if _clone(source, temporary):
                return
            try:
                if _read_by_all_who_write(source, temporary.parent):
                    os.link(source, temporary)
                    return
            except OSError:
                # Another disk, a file system without links, too many links: copy.
                pass
        shutil.copyfile(source, temporary)
        # The date identifies the content later; a file system that cannot set it is no error.
        with suppress(OSError):
            status = source.stat()
            os.utime(temporary, ns=(status.st_atime_ns, status.st_mtime_ns))


def _read_by_all_who_write(source: Path, folder: Path) -> bool:
    """Return True if every account that may write to a folder may read a file. Raises OSError."""
    found, needed = source.stat(), shared_reading(folder)
    if not needed or found.st_mode & 0o004:
        return True
    return needed == 0o040 & found.st_mode and found.st_gid == folder.stat().st_gid


def _clone(source: Path, target: Path) -> bool:
    """Make `target` a clone of `source`; return False where the file system has none."""
    if fcntl is None:
        return False
    try:
        with source.open("rb") as origin, target.open("xb") as copy:
            fcntl.ioctl(copy.fileno(), _FICLONE, origin.fileno())
        status = source.stat()
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        return True
    except OSError:
        target.unlink(missing_ok=True)
        return False


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove temporary files and folders whose process has ended; return their paths.

    Those of living processes are kept, so that it may run at any time. Raises nothing: a file that
    cannot be removed now is removed by a later call.
    """
    removed: list[Path] = []
    with suppress(OSError):
        for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}*")):
            with suppress(OSError):
                if _NAME.fullmatch(path.name) and is_abandoned(path):
                    remove_temporary(path)
                    removed.append(path)
    return tuple(removed)


def remove_temporary(path: Path) -> None:
    """Remove a temporary file, or a temporary folder with all that is in it. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_abandoned(path: Path) -> bool:
    """Return True if the process that made a temporary file has ended. Raises OSError."""
    return has_ended(path.name, path.stat().st_mtime)


def has_ended(name: str, modified: float) -> bool:
    """Return True if the process in a temporary file's name has ended.

    `modified` is the time (epoch seconds) at which that process was alive.
    """
    modified = max(modified, _made_at(name))
    if time.time() - modified > ABANDONED_AFTER_S:
        return True
    parts = name.removeprefix(TEMPORARY_PREFIX).split("-")
    if len(parts) != 3 or parts[0] != _HOST or not parts[1].isdecimal():
        return False
    owner = int(parts[1])
    if owner == os.getpid():
        return False
    try:
        # A process id is reused: an owner younger than the file is another process.
        return bool(psutil.Process(owner).create_time() > modified + 2)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _made_at(name: str) -> float:
    """Return the time in a temporary file's name; 0.0 in a name of an earlier version."""
    found = _TIMED_NAME.match(name)
    return float(int(found[1], 36)) if found else 0.0


@cache
def _process_start() -> float:
    return float(psutil.Process().create_time())


def _base36(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def flush(path: Path) -> None:
    """Write a file's content from the system's memory to the disk. Raises OSError."""
    # Opened for writing, because Windows flushes no other handle; a link to a read-only file (whose
    # content was written to the disk long ago) needs no flush.
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Make the move durable; Windows cannot flush a folder, and needs no flush."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def retry_denied(action: Callable[[], Result]) -> Result:
    """Return the action's result; repeat a refused action for two seconds on Windows.

    On Windows a player, a virus scanner or another process that moves its file into place may use a
    file exclusively for a moment; on other systems a refusal is final.
    """
    for pause_s in (0.05, 0.2, 0.5, 1.0) if sys.platform == "win32" else ():
        try:
            return action()
        except PermissionError:
            time.sleep(pause_s)
    return action()
