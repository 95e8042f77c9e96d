"""Locks between processes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kb.errors import LibraryError
from kb.storage.os_errors import library_error
from kb.storage.places import held

# A change of one file takes milliseconds: after a wait this long, the other process is stuck.
LOCK_TIMEOUT_S = 60.0


LOCK_POLL_S = 0.01


@contextmanager
def locked(lock_file: Path) -> Iterator[None]:
    """Exclude other threads and processes from blocks with this lock file.

    Machines that share the folder are excluded too if its file system supports locks across
    machines. The same thread may acquire the lock again; the lock of a process that ends is
    released. Raises LibraryError if the file cannot be made, and a retryable one after a wait of a
    minute.
    """
    # One object per file, so that a thread that holds the lock can acquire it again.
    lock = FileLock(lock_file, is_singleton=True, poll_interval=LOCK_POLL_S)
    try:
        with held(lock_file) as real:
            real.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=LOCK_TIMEOUT_S)
            if not _is_same_folder(real.parent, lock_file.parent):
                _take_back(lock, lock_file)
    except Timeout:
        raise LibraryError(
            "storage.locked",
            "Another process has held {path} for more than {wait_s:g} s.",
            hint="End the process that hangs, then try again.",
            retryable=True,
            path=lock_file,
            wait_s=LOCK_TIMEOUT_S,
        ) from None
    except OSError as error:
        with held(lock_file):  # raises the cause if the library's folder went away
            raise library_error(error, lock_file, "lock") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def locked_now(lock_file: Path) -> Iterator[bool]:
    """Hold a lock during the block, without waiting for it; yield False while another has it.

    Each call is another holder, also in one thread. The folder of the file must be there: without
    it False is yielded. Raises LibraryError if the file cannot be made.
    """
    lock = FileLock(lock_file, thread_local=False)
    try:
        is_mine = lock_file.parent.is_dir()
        if is_mine:
            lock.acquire(timeout=0)
    except Timeout:
        is_mine = False
    except OSError as error:
        raise library_error(error, lock_file, "lock") from error
    try:
        yield is_mine
    finally:
        lock.release()


def _is_same_folder(folder: Path, other: Path) -> bool:
    try:
        return os.path.samestat(folder.stat(), other.stat())
    except OSError:
        return False


def _take_back(lock: FileLock, lock_file: Path) -> None:
    """Release a lock whose file is not in the claimed folder, and raise the cause.

    filelock makes the folder of its file: one that has nothing else is removed again.
    """
    lock.release()
    with suppress(OSError):
        if all(path == lock_file for path in lock_file.parent.iterdir()):
            lock_file.unlink(missing_ok=True)
            lock_file.parent.rmdir()
    with held(lock_file):
        raise library_error(FileNotFoundError(errno.ENOENT, ""), lock_file, "lock")
