"""Locks between processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from kb.errors import LibraryError
from kb.storage.os_errors import library_error

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
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=LOCK_TIMEOUT_S)
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
        raise library_error(error, lock_file, "lock") from error
    try:
        yield
    finally:
        lock.release()
