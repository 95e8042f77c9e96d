"""Freed memory goes back to the system instead of staying with the C library."""

from __future__ import annotations

import ctypes
import sys
import threading
from contextlib import suppress

_RETURN_FROM_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # value of the constant in glibc's malloc.h
_TRIM_AFTER_S = 10.0

_lock = threading.Lock()
_is_planned = False


def return_memory() -> None:
    """Make the C library return the memory of large tensors as soon as they are freed.

    By default glibc keeps ever larger blocks for reuse, and windows of different number and length
    fragment them: an hour of speech took a gigabyte while 300 MB were in use. Other C libraries do
    not need it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _RETURN_FROM_BYTES)


def return_free_memory_soon() -> None:
    """Return what was freed and is kept for reuse, in 10 s; calls until then are one.

    For the end of a medium: each thread has blocks of its own, and what it has freed lies between
    what is still in use. Without it, a process that reads short media takes half a megabyte more
    with each.
    """
    global _is_planned
    if sys.platform != "linux":
        return
    with _lock:
        if _is_planned:
            return
        _is_planned = True
    timer = threading.Timer(_TRIM_AFTER_S, _trim)
    timer.daemon = True
    timer.start()


def _trim() -> None:
    global _is_planned
    with _lock:
        _is_planned = False
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
