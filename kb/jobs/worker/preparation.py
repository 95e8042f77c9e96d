"""The preparation slots of one worker, and the turns of the items that wait for one.

Their threads wake at random; without turns an urgent item would wait behind all that run already.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kb.jobs.queue.item_queries import Key

if TYPE_CHECKING:
    from kb.jobs.worker.context import WorkerContext

POLL_S = 0.2


class PreparationTurns:
    """The waiting items by their place in the queue; safe between threads."""

    def __init__(self) -> None:
        self._waiting: dict[Key, tuple[int, int]] = {}
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def waiting(self, place: int, key: Key) -> Iterator[Callable[[], bool]]:
        """Wait with an item during the block; yield a function that is True if its turn has come.

        Of equal places the first to wait comes first.
        """
        with self._lock:
            self._count += 1
            self._waiting[key] = (place, self._count)

        def has_turn() -> bool:
            with self._lock:
                return min(self._waiting, key=self._waiting.__getitem__) == key

        try:
            yield has_turn
        finally:
            with self._lock:
                self._waiting.pop(key, None)


@contextmanager
def slot(context: WorkerContext, key: Key, place: int) -> Iterator[None]:
    """Wait for a slot and for room for one more prepared medium; hold the slot during the block.

    The item with the first place gets the next slot. The room is checked again after the slot is
    acquired: earlier items may have taken it. Raises what `WorkerContext.check` raises.
    """
    with context.preparation_turns.waiting(place, key) as has_turn:
        while True:
            while not (has_turn() and context.preparations.acquire(timeout=POLL_S)):
                context.check(key)
                if not has_turn():
                    time.sleep(POLL_S)
            full = context.prepared_bytes > context.settings.prefetch_gb * 2**30
            if not full and not context.lane_is_paused():
                break
            context.preparations.release()
            context.check(key)
            time.sleep(POLL_S)
    try:
        yield
    finally:
        context.preparations.release()
