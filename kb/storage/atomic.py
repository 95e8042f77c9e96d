"""Whole files or none: atomic writing, JSON that names what is wrong, errors with a next step.

Every file is written under a temporary name beside its target, flushed to the disk and moved
into place, so that a reader sees the old file or the new one and a killed process leaves at
most a temporary file, which `sweep` takes away.
"""

from __future__ import annotations

import json
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

from kb.errors import LibraryError
from kb.storage.os_errors import library_error

Result = TypeVar("Result")

TEMPORARY_PREFIX = ".kb-"
TEMPORARY_SUFFIX = ".tmp"
# Files of other machines on a shared folder, whose processes cannot be checked, are left over
# when they are this old.
ABANDONED_AFTER_S = 24 * 3600.0


# Several machines may share the folder, and their process ids mean nothing to each other.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"


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
        _retry_denied(lambda: temporary.replace(target))
    except OSError as error:
        raise library_error(error, target, "write") from error
    finally:
        # Also after success: moving one hard link onto another of the same file does nothing.
        with suppress(OSError):
            temporary.unlink()
    _flush_folder(target.parent)


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
        document = json.loads(_retry_denied(lambda: path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise library_error(error, path, "read") from error
    except (ValueError, RecursionError) as error:
        raise LibraryError(
            "json.damaged",
            "{path} is damaged: {reason}.",
            hint="Repair or remove this file, then run: kb reindex",
            path=path,
            reason=error,
        ) from error
    if not isinstance(document, dict):
        raise LibraryError(
            "json.not_object",
            "{path} is damaged: not a JSON object.",
            hint="Repair or remove this file, then run: kb reindex",
            path=path,
        )
    return document


def link_or_copy(source: Path, target: Path, *, link: bool) -> None:
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
    # content has been on the disk for long) needs none.
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


def _retry_denied(action: Callable[[], Result]) -> Result:
    """Return the action's result; repeat it for two seconds where a refusal may pass (Windows).

    There a player, a virus scanner or another process moving its file into place has a file
    to itself for a moment; elsewhere a refusal is final.
    """
    for pause_s in (0.05, 0.2, 0.5, 1.0) if sys.platform == "win32" else ():
        try:
            return action()
        except PermissionError:
            time.sleep(pause_s)
    return action()
