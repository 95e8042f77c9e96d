"""The progress of a medium: the share of its sound that is decoded."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

EVERY_S = 0.2


class ReadProgress:
    """Counts decoded windows in whatever order the batches take them.

    The text of a medium is put together in order. A short window near its beginning can wait for
    longer ones of all items: what is behind it is decoded, although no text of it is there yet.
    """

    def __init__(self, report: Callable[[float], None] | None, expected_s: float | None) -> None:
        """`report` gets shares from 0 to 1; `expected_s`: the medium's length, None if unknown."""
        self._report = report
        self._expected_s = expected_s
        self._end_s = self._decoded_s = self._at = 0.0
        self._open: list[tuple[Future[Any], float]] = []

    def add(self, future: Future[Any], end_s: float) -> None:
        """Count a window once its result is there; it ends at `end_s` of the medium."""
        if self._report and self._expected_s:
            self._open.append((future, max(0.0, end_s - self._end_s)))
            self._end_s = max(self._end_s, end_s)
        self.update()

    def update(self) -> None:
        """Report what is decoded, if it was not reported just now."""
        now = time.monotonic()
        if not self._open or now - self._at < EVERY_S:
            return
        self._at = now
        before_s, still_open = self._decoded_s, []
        for future, length_s in self._open:
            if future.done():
                self._decoded_s += length_s
            else:
                still_open.append((future, length_s))
        self._open = still_open
        if self._report and self._expected_s and self._decoded_s > before_s:
            self._report(min(self._decoded_s / self._expected_s, 1.0))

    def end(self) -> None:
        """Report that all of it is read."""
        if self._report:
            self._report(1.0)
