"""The progress of a fetch: bytes, speed and pauses of its threads, shown and written to a file."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kb.errors import KBError
from kb.hub import fetch_state
from kb.hub.client import LEAST_BYTES
from kb.hub.fetch_state import FetchState

SPEED_OVER_S = 8.0
STATE_EVERY_S = 1.0

Report = Callable[[FetchState], None]


class FetchProgress:
    """The progress of one fetch to `place`. Its methods may be called by several threads.

    `active`: the threads at work; where all of them wait for another attempt, the fetch waits.
    """

    def __init__(self, state: FetchState, place: Path, report: Report) -> None:
        """Begin with a state; `report` gets each state that is shown."""
        self.state = state
        self.report = report
        self.active = 0
        self._place = place
        self._lock = threading.Lock()
        self._moved_at = time.monotonic()
        self._unseen = 0  # bytes since then
        self._arrived: deque[tuple[float, int]] = deque()
        self._pauses: dict[int, tuple[dict[str, Any], float]] = {}
        self._written_at = 0.0

    def still_for_s(self) -> float:
        """Return the seconds since LEAST_BYTES have arrived, or since the fetch began."""
        return time.monotonic() - self._moved_at

    def thread_ended(self) -> None:
        """Count one thread less."""
        with self._lock:
            self.active -= 1

    @contextmanager
    def waiting(self, error: KBError, next_try: float) -> Iterator[None]:
        """Count the calling thread as one that waits until `next_try`, in epoch seconds."""
        own = threading.get_ident()
        with self._lock:
            self._pauses[own] = (error.record(), next_try)
        try:
            yield
        finally:
            with self._lock:
                self._pauses.pop(own, None)

    def add(self, count: int, *, received: bool = False) -> None:
        """Add bytes that are here; `received`: they have arrived now."""
        now = time.monotonic()
        with self._lock:
            self.state = replace(self.state, done=max(0, self.state.done + count))
            if received:
                self._unseen += count
                if self._unseen >= LEAST_BYTES:  # drops do not count as movement
                    self._unseen, self._moved_at = 0, now
                self._arrived.append((now, count))
                while self._arrived and now - self._arrived[0][0] > SPEED_OVER_S:
                    self._arrived.popleft()

    def change(self, **values: object) -> None:
        """Change fields of the state, and show it."""
        with self._lock:
            self.state = replace(self.state, **values)  # type: ignore[arg-type]
        self._written_at = 0.0
        self.show()

    def show(self) -> None:
        """Report the state, and write it to its file at most once in `STATE_EVERY_S`."""
        now = time.monotonic()
        with self._lock:
            recent = [(at, count) for at, count in self._arrived if now - at <= SPEED_OVER_S]
            span_s = max(1.0, now - recent[0][0]) if recent else 1.0
            speed = sum(count for _, count in recent) / span_s
            self.state = replace(self.state, bytes_per_s=speed, at=time.time())
            state = self.state
            if self._pauses and len(self._pauses) >= self.active:
                problem, next_try = min(self._pauses.values(), key=lambda pause: pause[1])
                state = replace(state, state="waiting", problem=problem, next_try=next_try)
        self.report(state)
        if now - self._written_at >= STATE_EVERY_S:
            self._written_at = now
            fetch_state.write_state(self._place, state)

    def begin(self) -> None:
        """Count the time without a byte from now on, and show that the fetch waits for the hub."""
        self._moved_at = time.monotonic()
        self.change(state="waiting")
