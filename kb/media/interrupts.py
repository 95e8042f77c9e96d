"""Ctrl-C while PyAV reads from a Python object.

PyAV calls `read` of such an object from C code that drops a KeyboardInterrupt and takes the call
for the end of the file: the program would go on, with the sound up to there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C take effect at the end of the block, where its exception is not dropped.

    Python calls signal handlers in the main thread only; in another thread nothing is to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.getsignal(signal.SIGINT)
    if not callable(earlier):
        yield
        return
    calls: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: calls.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
        if calls:
            earlier(*calls[-1])


def packets_of(container: Any) -> Iterator[Any]:
    """Yield the packets of a container that PyAV reads from a Python object."""
    packets = container.demux()
    while True:
        with interrupts_deferred():
            packet = next(packets, None)
        if packet is None:
            return
        yield packet
