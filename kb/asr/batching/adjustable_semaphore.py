"""Places for those who prepare (fetch, decode, cut): as many as the media under way ask for."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """A semaphore whose number follows the presets of what is under way.

    Several media may ask for different numbers: the largest holds. What is taken is never taken
    away; where the number falls, nobody else comes in until enough have gone. Thread-safe.
    """

    def __init__(self, count: int) -> None:
        """`count`: places while nobody asks for a number."""
        self._usual = count
        self._taken = 0
        self._line: deque[object] = deque()
        self._asked: Counter[int] = Counter()
        self._changed = threading.Condition()

    @property
    def count(self) -> int:
        """How many places there are now."""
        with self._changed:
            return self._count()

    @contextmanager
    def asking(self, count: int) -> Iterator[None]:
        """A medium of a preset with so many workers is under way."""
        with self._changed:
            self._asked[count] += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._asked[count] -= 1
                if not self._asked[count]:
                    del self._asked[count]

    def acquire(self, timeout: float | None = None) -> bool:
        """Takes a place; False if none came free in so many seconds.

        Who came first has the first one: items are to be prepared in their order.
        """
        mine = object()

        def my_turn() -> bool:
            return self._line[0] is mine and self._taken < self._count()

        with self._changed:
            self._line.append(mine)
            try:
                got = self._changed.wait_for(my_turn, timeout)
                self._taken += got
                return got
            finally:
                self._line.remove(mine)
                self._changed.notify_all()

    def release(self) -> None:
        """Gives a place back."""
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def _count(self) -> int:
        return max(self._asked, default=self._usual)
