"""Whole files or none: atomic writing, JSON that names what is wrong, errors with a next step.

Every file is written under a temporary name beside its target, flushed to the disk and moved
into place, so that a reader sees the old file or the new one and a killed process leaves at
most a temporary file, which `sweep` takes away.
"""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from filelock import FileLock, Timeout

from kb.errors import LibraryError

Result = TypeVar("Result")

TEMPORARY_PREFIX = ".kb-"
TEMPORARY_SUFFIX = ".tmp"
# Without a living owner to ask (another machine on a shared folder), this old means left over.
ABANDONED_AFTER_S = 24 * 3600.0

# A change of one file takes milliseconds; who waits so long waits for a process that hangs.
LOCK_PATIENCE_S = 60.0
LOCK_POLL_S = 0.01

# Several machines may share the folder, and their process ids mean nothing to each other.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"

_CAUSES: dict[int, tuple[str, str]] = {
    code: (cause, hint)
    for codes, cause, hint in (
        (
            ("ENOSPC", "EDQUOT"),
            "the disk is full",
            "Free some space, or set KB_HOME to a folder on another disk, then run it again.",
        ),
        (
            ("EROFS", "EACCES", "EPERM"),
            "writing is not allowed there",
            "Make the folder writable, or set KB_HOME to one that is.",
        ),
        (
            ("ENOTDIR", "EEXIST", "EISDIR"),
            "a file lies where a folder should be, or a folder where a file should be",
            "Move it away, or set KB_HOME to another folder.",
        ),
        (
            ("ENAMETOOLONG",),
            "the path is too long",
            "Set KB_HOME to a folder with a shorter path.",
        ),
        (
            ("ENOENT",),
            "it is not there (any more)",
            "Check that the library folder (KB_HOME) exists and its disk is connected.",
        ),
    )
    for code in (getattr(errno, name, None) for name in codes)
    if code is not None
}
_WINDOWS_PATH_TOO_LONG = 206


def library_error(error: OSError, path: Path, doing: str) -> LibraryError:
    """The system's refusal in plain words: what was tried on which path, why, what next."""
    code = error.errno or 0
    if getattr(error, "winerror", None) == _WINDOWS_PATH_TOO_LONG:
        code = errno.ENAMETOOLONG
    cause, hint = _CAUSES.get(
        code, (error.strerror or str(error), "Check the disk of the library folder (KB_HOME).")
    )
    return LibraryError(f"Cannot {doing} {path}: {cause}.", hint=hint)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, moved onto it when the block ends well.

    On any exception, an interrupt included, the temporary file is removed and `target` is as
    before. OSErrors become LibraryError; folders are made as needed.
    """
    # Short and not made from the target's name, which may be as long as names can be.
    name = f"{TEMPORARY_PREFIX}{_HOST}-{os.getpid()}-{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    temporary = target.parent / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        _patiently(lambda: temporary.replace(target))
    except OSError as error:
        raise library_error(error, target, "write") from error
    finally:
        # Also after success: moving one hard link onto another of the same file does nothing.
        with suppress(OSError):
            temporary.unlink()
    _flush_folder(target.parent)


@contextmanager
def locked(lock_file: Path) -> Iterator[None]:
    """Nobody else is in a block with this lock file: no thread, no process.

    Machines that share the folder are kept apart as well where its file system carries locks
    to them. The same thread may enter again; whoever dies inside lets go. Raises LibraryError
    when the file cannot be made, and a retryable one when a minute's wait was not enough.
    """
    # One object a file, so that a thread that holds it is known when it comes again.
    lock = FileLock(lock_file, is_singleton=True, poll_interval=LOCK_POLL_S)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_PATIENCE_S)
    except Timeout:
        raise LibraryError(
            f"Another process has held {lock_file} for more than {LOCK_PATIENCE_S:g} s.",
            hint="End the process that hangs, then try again.",
            retryable=True,
        ) from None
    except OSError as error:
        raise library_error(error, lock_file, "lock") from error
    try:
        yield
    finally:
        lock.release()


def write_bytes(target: Path, data: bytes) -> None:
    """Put `data` at `target`, whole or not at all.

    Raises LibraryError (disk full, not allowed, file in the way, path too long).
    """
    with atomic_path(target) as temporary:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, 0o666)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
        finally:
            os.close(handle)


def write_private(target: Path, text: str) -> None:
    """Put `text` at `target`, readable by its owner alone; see `write_bytes`.

    A link is followed: what it leads to is replaced, not the link.
    """
    with atomic_path(target.resolve()) as temporary:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)


def write_text(target: Path, text: str) -> None:
    """Put `text` at `target` as UTF-8, line ends as given; see `write_bytes`.

    A lone surrogate (half of a file name that was no UTF-8) is written as `\\udcXX`: inside
    JSON that is the very same character, elsewhere it can at least be read.
    """
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def write_json(target: Path, document: Mapping[str, Any]) -> None:
    """Put a JSON document at `target`, indented for people; see `write_bytes`."""
    write_text(target, json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises LibraryError naming the file, and the line where it is not JSON.
    """
    try:
        # utf-8-sig: editors on Windows put a byte order mark in front.
        document = json.loads(_patiently(lambda: path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise library_error(error, path, "read") from error
    except (ValueError, RecursionError) as error:
        raise LibraryError(
            f"{path} is damaged: {error}.", hint="Mend or remove this file; `kb reindex` follows."
        ) from error
    if not isinstance(document, dict):
        raise LibraryError(
            f"{path} is damaged: not a JSON object.",
            hint="Mend or remove this file; `kb reindex` follows.",
        )
    return document


def place_file(source: Path, target: Path, *, link: bool) -> None:
    """Put the file `source` at `target` as a hard link where possible, else as a copy.

    Raises LibraryError. The caller has made sure that `source` exists.
    """
    with atomic_path(target) as temporary:
        if link:
            try:
                os.link(source, temporary)
                return
            except OSError:
                # Another disk, a file system without links, too many links: copy.
                pass
        shutil.copyfile(source, temporary)
        # The date tells later what was there; a file system that cannot keep it is no failure.
        with suppress(OSError):
            shutil.copystat(source, temporary)


def sweep(folder: Path) -> tuple[Path, ...]:
    """Remove temporary files whose process is gone; returns what was removed.

    Those of living processes stay, so that it may run at any time. Raises nothing: what
    cannot be removed now is left for the next time.
    """
    removed: list[Path] = []
    with suppress(OSError):
        for path in sorted(folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}")):
            with suppress(OSError):
                if _abandoned(path):
                    path.unlink()
                    removed.append(path)
    return tuple(removed)


def _abandoned(path: Path) -> bool:
    modified = path.stat().st_mtime
    if time.time() - modified > ABANDONED_AFTER_S:
        return True
    parts = path.name.removeprefix(TEMPORARY_PREFIX).split("-")
    if len(parts) != 3 or parts[0] != _HOST or not parts[1].isdecimal():
        return False
    owner = int(parts[1])
    if owner == os.getpid():
        return False
    try:
        # A process id is given out again: an owner younger than the file is another process.
        return bool(psutil.Process(owner).create_time() > modified + 2)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def _flush(path: Path) -> None:
    # For writing, because Windows flushes no other handle; a link to a read-only file (whose
    # content is long on the disk) needs none.
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """Make the move itself durable; a system that cannot (Windows) does it by itself."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _patiently(action: Callable[[], Result]) -> Result:
    """The action, tried again for two seconds where a refusal may pass (Windows).

    There a player, a virus scanner or another process moving its file into place has a file
    to itself for a moment; elsewhere a refusal is final.
    """
    for pause_s in (0.05, 0.2, 0.5, 1.0) if sys.platform == "win32" else ():
        try:
            return action()
        except PermissionError:
            time.sleep(pause_s)
    return action()


_REQUIRED = ...


class Fields:
    """Reads a JSON object field by field; a wrong one is named with its file and place.

    Every reader takes a default for an absent (or null) field; without one, absence is an
    error. Errors are LibraryError with `hint`.
    """

    def __init__(self, document: Mapping[str, Any], where: str, *, hint: str) -> None:
        self._document = document
        self._where = where
        self._hint = hint

    def _value(self, name: str, kinds: tuple[type, ...], expected: str, default: Any) -> Any:
        value = self._document.get(name)
        if value is None and default is not _REQUIRED:
            return default
        # bool is an int to Python, but true is no number of seconds.
        wrong = isinstance(value, bool) or not isinstance(value, kinds)
        # Python's reader lets NaN and Infinity pass, which are no JSON and no time.
        if wrong or (isinstance(value, float) and not math.isfinite(value)):
            raise self.error(name, f"{expected} expected, found {_shown(value)}")
        return value

    def error(self, name: str, problem: str) -> LibraryError:
        """An error about the field `name`."""
        return LibraryError(f"{self._where}, field {name!r}: {problem}.", hint=self._hint)

    def text(self, name: str, default: Any = ...) -> Any:
        """A string."""
        return self._value(name, (str,), "text", default)

    def number(self, name: str, default: Any = ...) -> Any:
        """A number as float."""
        value = self._value(name, (int, float), "a number", default)
        return float(value) if isinstance(value, int) else value

    def whole(self, name: str, default: Any = ...) -> Any:
        """A whole number."""
        return self._value(name, (int,), "a whole number", default)

    def mapping(self, name: str, default: Any = ...) -> Any:
        """A JSON object as dict."""
        return self._value(name, (dict,), "an object", default)

    def inner(self, name: str) -> Fields:
        """The reader of an inner object; an absent one reads as empty."""
        return Fields(self.mapping(name, {}), f"{self._where}, {name}", hint=self._hint)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty if absent."""
        values = self._value(name, (list,), "a list", [])
        for value in values:
            if not isinstance(value, str):
                raise self.error(name, f"a list of texts expected, found {_shown(value)} in it")
        return tuple(values)

    def objects(self, name: str, *, required: bool = False) -> Iterator[Fields]:
        """A reader for each object of a list, named by its place."""
        values = self._value(name, (list,), "a list", ... if required else [])
        for place, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{name}[{place}]", f"an object expected, found {_shown(value)}")
            yield Fields(value, f"{self._where}, {name}[{place}]", hint=self._hint)


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
