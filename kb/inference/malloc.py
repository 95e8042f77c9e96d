"""The memory of large tensors goes back to the system as soon as they are freed."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_RETURN_FROM_BYTES = 4 * 2**20
_M_MMAP_THRESHOLD = -3  # value of the constant in glibc's malloc.h


def return_memory() -> None:
    """Make the C library return the memory of large tensors as soon as they are freed.

    By default glibc keeps ever larger blocks for reuse, and windows of different number and length
    fragment them: an hour of speech took a gigabyte while 300 MB were in use. Other C libraries do
    not need it.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _RETURN_FROM_BYTES)
