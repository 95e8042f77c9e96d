"""Ctrl-C and other signals that end a command, while PyAV reads from a Python object.

PyAV calls `read` of such an object from C code that drops a KeyboardInterrupt and takes the call
for the end of the file: the program would go on, with the sound up to there.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import FrameType
from typing import Any

from kb.types.end_signals import END_SIGNALS

Handler = Callable[[int, FrameType | None], object]


class _Deferring:
    """Stands in for the handlers of signals: keeps their calls while `is_on`, else passes them on.

    A signal may come between any two steps of a switch of handlers. A stand-in that is left in
    place then calls its handler, so that nothing is lost whichever of the two is in force.
    """

    def __init__(self) -> None:
        self.is_on = False
        self._kept: list[Callable[[], object]] = []

    def stand_in(self, handler: Handler) -> Handler:
        def call(number: int, frame: FrameType | None) -> None:
            if self.is_on:
                self._kept.append(partial(handler, number, frame))
            else:
                handler(number, frame)

        return call

    def deliver(self) -> None:
        """End the deferring, and make the last call that was kept."""
        self.is_on = False
        if self._kept:
            self._kept.pop()()


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let these signals take effect at the end of the block, where no exception is dropped.

    Python calls signal handlers in the main thread only; in another thread nothing is to be done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    deferring = _Deferring()
    switched = [
        (number, handler, deferring.stand_in(handler))
        for number in END_SIGNALS
        if callable(handler := signal.getsignal(number))
    ]
    try:
        for number, _, stand_in in switched:
            signal.signal(number, stand_in)
        deferring.is_on = True
        yield
    finally:
        with ExitStack() as stack:
            for each in switched:
                stack.callback(_put_back, *each)
            deferring.deliver()


def _put_back(number: signal.Signals, handler: Handler, stand_in: Handler) -> None:
    """Put a handler back, unless the call that was delivered has set another one."""
    if signal.getsignal(number) is stand_in:
        signal.signal(number, handler)


def packets_of(container: Any) -> Iterator[Any]:
    """Yield the packets of a container that PyAV reads from a Python object."""
    packets = container.demux()
    while True:
        with interrupts_deferred():
            packet = next(packets, None)
        if packet is None:
            return
        yield packet
