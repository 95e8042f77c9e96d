"""Freed memory goes back to the system instead of staying with the C library."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from contextlib import suppress

_RETURN_FROM_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # value of the constant in glibc's malloc.h
_TRIM_EVERY_S = 10.0

_lock = threading.Lock()
_trimmed_at = 0.0


def return_memory() -> None:
    """Make the C library return the memory of large tensors as soon as they are freed.

    By default glibc keeps ever larger blocks for reuse, and windows of different number and length
    fragment them: an hour of speech took a gigabyte while 300 MB were in use. Other C libraries do
    not need it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _RETURN_FROM_BYTES)


def return_free_memory() -> None:
    """Return what was freed and is kept for reuse, at most once in 10 s.

    For the end of a medium: each thread has blocks of its own, and what it has freed lies between
    what is still in use. Without it, a process that reads short media takes half a megabyte more
    with each.
    """
    global _trimmed_at
    if sys.platform != "linux":
        return
    with _lock:
        now = time.monotonic()
        if now - _trimmed_at < _TRIM_EVERY_S:
            return
        _trimmed_at = now
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
