"""Lock for the loaded model: two models do not fit into one device, so they are used in turn.

Media of the loaded model run together. As soon as a medium waits for another model, later media of
the loaded one queue behind it. When the device is idle, the model of the first in the queue is
loaded, and all media that wait for this model by then are admitted with it. So a medium waits only
for media that came before it, and a model is not unloaded after every single medium.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kb.errors import Cancelled

ModelKey = tuple[str, str, str]  # engine, model and arithmetic

OVERTAKEN_S = 60.0  # longest time during which urgent media overtake a waiting one

_POLL_S = 0.2  # interval at which a waiter checks for cancellation


@dataclass(slots=True, eq=False)
class _Waiter:
    model_key: ModelKey
    urgent: bool = False
    admitted: bool = False  # was in the queue when its model was loaded
    overtaken_at: float = math.inf  # the first time that an urgent medium went before it

    def may_be_overtaken(self) -> bool:
        return not self.urgent and time.monotonic() < self.overtaken_at + OVERTAKEN_S


class ModelLock:
    """Queue for one device. Callers must hold `lock`."""

    def __init__(self, lock: threading.Lock) -> None:
        self._changed = threading.Condition(lock)
        self._waiters: list[_Waiter] = []
        self.loaded: ModelKey | None = None
        self.busy = 0  # media that use the loaded model

    @property
    def waiting(self) -> int:
        """Number of media in the queue."""
        return len(self._waiters)

    def wait(
        self,
        model_key: ModelKey,
        cancelled: Callable[[], bool] | None,
        *,
        urgent: bool = False,
    ) -> None:
        """Wait for the turn of a model; the caller then loads it if necessary.

        Releases `lock` meanwhile. Raises Cancelled.
        """
        waiter = _Waiter(model_key, urgent)
        self._waiters.insert(self._place_of(waiter), waiter)
        try:
            while not self._may_proceed(waiter):
                self._changed.wait(_POLL_S)
                if cancelled and cancelled():
                    raise Cancelled("recognizer.stopped_waiting", "Stopped before it began.")
        finally:
            self._waiters.remove(waiter)
            self._changed.notify_all()

    def mark_loaded(self, loaded: ModelKey) -> None:
        """Record a loaded model and admit all media that wait for it."""
        self.loaded = loaded
        for each in self._waiters:
            each.admitted = each.model_key == loaded
        self._changed.notify_all()

    def acquire(self) -> None:
        """Count one more medium that uses the loaded model."""
        self.busy += 1

    def release(self) -> None:
        """Count one medium less that uses the loaded model."""
        self.busy -= 1
        self._changed.notify_all()

    def _place_of(self, waiter: _Waiter) -> int:
        """Return the place in the queue of a new waiter; an urgent one overtakes the last ones."""
        place = len(self._waiters)
        while waiter.urgent and place and self._waiters[place - 1].may_be_overtaken():
            place -= 1
            overtaken = self._waiters[place]
            overtaken.overtaken_at = min(overtaken.overtaken_at, time.monotonic())
        return place

    def _may_proceed(self, waiter: _Waiter) -> bool:
        before = self._waiters[: self._waiters.index(waiter)]
        if self.loaded == waiter.model_key:
            return waiter.admitted or all(each.model_key == waiter.model_key for each in before)
        # Admitted waiters come first, even if their threads have not run yet.
        admitted_pending = any(
            each.admitted and each.model_key == self.loaded for each in self._waiters
        )
        return not self.busy and not admitted_pending and not before
