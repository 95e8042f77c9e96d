"""A FIFO semaphore whose size follows the presets of the items in progress."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class AdjustableSemaphore:
    """A semaphore whose size follows the presets of the items in progress.

    If several items request different sizes, the largest counts. When the size falls, slots in use
    stay valid; no new slot is given until enough are released. Thread-safe.
    """

    def __init__(self, count: int) -> None:
        """`count`: number of slots while no item requests a size."""
        self._default_count = count
        self._in_use = self._most_in_use = 0
        self._extra = 0
        self._waiters: deque[object] = deque()
        self._limits: Counter[int] = Counter()
        self._changed = threading.Condition()

    @property
    def count(self) -> int:
        """The number of slots."""
        with self._changed:
            return self._count()

    @property
    def floor(self) -> int:
        """The number of slots without the extra ones."""
        with self._changed:
            return self._count() - self._extra

    @property
    def in_use(self) -> int:
        """The number of slots that are held now."""
        with self._changed:
            return self._in_use

    def most_in_use(self) -> int:
        """Return the most slots held at once since the last call."""
        with self._changed:
            most, self._most_in_use = self._most_in_use, self._in_use
            return most

    def set_extra(self, extra: int) -> None:
        """Give `extra` slots beyond the requested size."""
        with self._changed:
            self._extra = extra
            self._changed.notify_all()

    @contextmanager
    def limited_to(self, count: int) -> Iterator[None]:
        """Request `count` slots while the context is active."""
        with self._changed:
            self._limits[count] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._limits[count] -= 1
                if not self._limits[count]:
                    del self._limits[count]

    def acquire(self, timeout: float | None = None) -> bool:
        """Acquire a slot; return False if none became free within `timeout` seconds.

        Slots are given in the order of the calls, because items are prepared in their order.
        """
        waiter = object()

        def is_next() -> bool:
            return self._waiters[0] is waiter and self._in_use < self._count()

        with self._changed:
            self._waiters.append(waiter)
            try:
                got = self._changed.wait_for(is_next, timeout)
                self._in_use += got
                self._most_in_use = max(self._most_in_use, self._in_use)
                return got
            finally:
                self._waiters.remove(waiter)
                self._changed.notify_all()

    def release(self) -> None:
        """Release a slot."""
        with self._changed:
            self._in_use -= 1
            self._changed.notify_all()

    def _count(self) -> int:
        return max(self._limits, default=self._default_count) + self._extra
