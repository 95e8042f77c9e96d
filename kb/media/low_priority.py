"""A lower priority for the programs that a thread starts, beside work that is waited for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

import psutil

_NICE = 10
_is_low: ContextVar[bool] = ContextVar("_is_low", default=False)


@contextlib.contextmanager
def low_priority() -> Iterator[None]:
    """Let each ffmpeg that is started in this block, in this thread, run at a lower priority."""
    token = _is_low.set(True)
    try:
        yield
    finally:
        _is_low.reset(token)


def lower(pid: int) -> None:
    """Lower the priority of a process that was started in such a block; raises nothing."""
    if _is_low.get():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else _NICE)
