"""A word for the present boot of this machine.

Host names are not unique: a copied disk has the same, and a container may have any. Host and boot
together say if a process id of a record can be one of this machine.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """Return a word for the present boot of this machine."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return f"{uuid.getnode():012x}-{round(psutil.boot_time())}"
