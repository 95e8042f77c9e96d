"""The signals that ask a process to end: Ctrl-C, a service manager's stop, a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows' Ctrl-Break
END_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in _NAMES if hasattr(signal, name)
)


def handle_end_signals(
    handler: Callable[[int, FrameType | None], object],
    *,
    but: Collection[signal.Signals] = (),
) -> None:
    """Call `handler` for each of them, `but` these; called by the main thread.

    The end of its terminal is nothing to a process that was started to outlive it (`nohup`).
    """
    for number in END_SIGNALS:
        if number in but:
            continue
        is_hangup = number.name == "SIGHUP"
        if not is_hangup or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)
