"""Whose model is in memory: two do not fit into one device, so they take turns.

Media of the loaded model go in together. As soon as somebody waits for another model, newcomers
of the loaded one wait behind him; when the device is idle the first in line has his model
loaded, and all who wait for the same one by then go in with him. So nobody waits for more than
what was there before him, and a model is not put away after every single medium.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kb.errors import Cancelled

ModelKey = tuple[str, str]  # engine and model

_POLL_S = 0.2  # how often somebody who waits looks whether he is wanted still


@dataclass(slots=True, eq=False)
class _Waiter:
    model_key: ModelKey
    admitted: bool = False  # was in line when his model was loaded


class ModelLock:
    """The line in front of one device. Every method is called with `lock` held."""

    def __init__(self, lock: threading.Lock) -> None:
        self._changed = threading.Condition(lock)
        self._waiters: list[_Waiter] = []
        self.loaded: ModelKey | None = None
        self.busy = 0  # media that are with the loaded model

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._waiters)

    def wait(self, model_key: ModelKey, cancelled: Callable[[], bool] | None) -> None:
        """Waits for the turn of a model, which may then be loaded if it is not. Gives up `lock`
        meanwhile. Raises Cancelled."""
        waiter = _Waiter(model_key)
        self._waiters.append(waiter)
        try:
            while not self._may_proceed(waiter):
                self._changed.wait(_POLL_S)
                if cancelled and cancelled():
                    raise Cancelled("recognizer.stopped_waiting", "Stopped before it began.")
        finally:
            self._waiters.remove(waiter)
            self._changed.notify_all()

    def mark_loaded(self, loaded: ModelKey) -> None:
        """A model was loaded: all who wait for it are called."""
        self.loaded = loaded
        for each in self._waiters:
            each.admitted = each.model_key == loaded
        self._changed.notify_all()

    def acquire(self) -> None:
        """One more medium is with the loaded model."""
        self.busy += 1

    def release(self) -> None:
        """A medium is done."""
        self.busy -= 1
        self._changed.notify_all()

    def _may_proceed(self, waiter: _Waiter) -> bool:
        before = self._waiters[: self._waiters.index(waiter)]
        if self.loaded == waiter.model_key:
            return waiter.admitted or all(each.model_key == waiter.model_key for each in before)
        # Those who were called come in first, even if they have not looked up yet.
        admitted_pending = any(
            each.admitted and each.model_key == self.loaded for each in self._waiters
        )
        return not self.busy and not admitted_pending and not before
