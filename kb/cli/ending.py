"""The signals that end a command: its work is broken off as by Ctrl-C, and removes its files."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

from kb.cli.exit_codes import INTERRUPTED
from kb.types.end_signals import END_SIGNALS

_SAME_S = 1.0  # `timeout` sends a signal to a process, and at once to its group


class EndingSignals:
    """The handler of these signals in a process of the command line; Python handles Ctrl-C."""

    def __init__(self) -> None:
        self._received = 0
        self._received_at = 0.0
        self._handled: list[signal.Signals] = []

    def listen(self) -> None:
        """Break off the work at a signal, unless it is ignored (`nohup`)."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in END_SIGNALS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, self._break_off)
                self._handled.append(number)

    def close(self) -> None:
        """Let a signal end the process again: there is no work left to break off."""
        for number in self._handled:
            signal.signal(number, signal.SIG_DFL)
        self._handled.clear()

    def code(self, code: int) -> int:
        """Return the exit code of a command: that of the signal where one has ended it."""
        return 128 + self._received if self._received and code == INTERRUPTED else code

    def _break_off(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received and now - self._received_at < _SAME_S:
            return  # what removes the files must not be broken off
        self._received, self._received_at = number, now
        raise KeyboardInterrupt


def end_at_once() -> None:
    """Let the signals end this process at once: for a server that has nothing to remove."""
    for number in END_SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
