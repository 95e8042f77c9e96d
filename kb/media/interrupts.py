"""Ctrl-C and other signals that end a command, while PyAV reads from a Python object.

PyAV calls `read` of such an object from C code that drops a KeyboardInterrupt and takes the call
for the end of the file: the program would go on, with the sound up to there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from kb.types.end_signals import END_SIGNALS


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let these signals take effect at the end of the block, where no exception is dropped.

    Python calls signal handlers in the main thread only; in another thread nothing is to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {
        number: handler for number in END_SIGNALS if callable(handler := signal.getsignal(number))
    }
    calls: list[tuple[signal.Signals, FrameType | None]] = []
    for number in earlier:
        signal.signal(number, lambda sent, frame: calls.append((signal.Signals(sent), frame)))
    try:
        yield
    finally:
        # A handler that is back may raise at once: each further one is put back all the same.
        with ExitStack() as stack:
            if calls:
                stack.callback(earlier[calls[-1][0]], *calls[-1])
            for number, handler in earlier.items():
                stack.callback(signal.signal, number, handler)


def packets_of(container: Any) -> Iterator[Any]:
    """Yield the packets of a container that PyAV reads from a Python object."""
    packets = container.demux()
    while True:
        with interrupts_deferred():
            packet = next(packets, None)
        if packet is None:
            return
        yield packet
