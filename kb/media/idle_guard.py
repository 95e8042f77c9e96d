"""A deadline for child processes that go silent.

A disk or a network share that does not answer, or a fault in a codec, can stop ffmpeg for ever
without an end of its output. A long wait alone is no sign of that: a slow machine may need minutes
for a picture. Therefore a process is ended only if its reader waits for it and its counters of
processor time and of bytes read and written stand still as well.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import psutil

from kb.errors import MediaUnavailable
from kb.media import shown

IDLE_S = 120.0  # a disk that was switched off for saving needs about ten seconds
_LOOKS = 8  # within that time


class IdleGuard:
    """A watch over one child process and the reader of its output.

    The time is counted in looks at the process, not by a clock: a machine that slept has looked
    once. `ended`: the process was idle for `idle_s` seconds and was ended.
    """

    def __init__(self, process: subprocess.Popen[bytes], idle_s: float | None = None) -> None:
        """Start the watch. Without `idle_s`, `IDLE_S` seconds."""
        self.ended = False
        self._process = process
        self._idle_s = IDLE_S if idle_s is None else idle_s
        self._waits = 0  # number of the present wait; odd while the reader waits
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ffmpeg-watch", daemon=True)
        self._thread.start()

    def read(self, size: int = -1) -> bytes:
        """Read from the process's output, which must be a pipe."""
        self._waits += 1  # as in `waiting`, without its cost for each read
        try:
            return cast("IO[bytes]", self._process.stdout).read(size)
        finally:
            self._waits += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time within as a wait for the process."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits += 1

    def check(self, path: Path) -> None:
        """Raise MediaUnavailable if the process, which read `path`, was ended for its silence.

        Trying again may help: the cause is the machine more often than the file.
        """
        if self.ended:
            raise MediaUnavailable(
                "media.ffmpeg_silent",
                "{path}: ffmpeg did nothing for {seconds:g} s and was ended.",
                hint="Check that the disk or network share of the file answers, and try again; "
                "if only this file does it, copy or download it again.",
                retryable=True,
                path=shown(path),
                seconds=round(self._idle_s, 1),
            )

    def close(self) -> None:
        """End the watch, not the process."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        idle, before = 0, None
        while not self._closed.wait(self._idle_s / _LOOKS):
            now = (self._waits, _work(self._process.pid)) if self._waits % 2 else None
            idle = idle + 1 if now is not None and now == before else 0
            before = now
            if idle >= _LOOKS and self._process.poll() is None:
                self.ended = True
                self._process.kill()
                return


def _work(pid: int) -> tuple[float, ...]:
    """Return the counters of a process's work; they stay equal while it does nothing."""
    counters: list[float] = []
    try:
        process = psutil.Process(pid)
        counters += process.cpu_times()[:2]
        counters += process.io_counters()
    except (psutil.Error, AttributeError):
        pass  # it has ended, or the system has no such counter
    return tuple(counters)
