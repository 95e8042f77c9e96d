"""The next batches go through the encoder while the present one is decoded.

Only a full batch is taken ahead of its turn: windows that arrive while the present batch is decoded
would otherwise be left out of one that could have had them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kb.asr.engines.base import PreparedBatch, PreparingEngine
from kb.asr.windows.windowing import Window

J = TypeVar("J")

log = logging.getLogger(__name__)

MOST_PASSED = 4  # batches of urgent windows that may overtake a prepared batch, one after another


@dataclass(slots=True, eq=False)
class Held(Generic[J]):
    """A batch that is being prepared or is ready; `prepared` is None if that failed."""

    jobs: list[J]
    ready: threading.Event = field(default_factory=threading.Event)
    prepared: PreparedBatch | None = None
    passed: int = 0

    def wait(self) -> PreparedBatch | None:
        """Wait until the batch is ready; return it and give it up here."""
        self.ready.wait()
        prepared, self.prepared = self.prepared, None
        return prepared


class BatchAhead(Generic[J]):
    """A thread that prepares batch after batch. All attributes belong to the lock `changed`."""

    def __init__(
        self,
        engine: PreparingEngine,
        changed: threading.Condition,
        take: Callable[[], list[J]],
        window_of: Callable[[J], Window],
        apply: Callable[[], object],
        has_room: Callable[[int], bool] = lambda held: held < 1,
    ) -> None:
        """`take` is called with the lock held; it returns a full batch, or no job.

        `apply` sets up the thread for the device; `has_room` is called with the lock held and with
        the number of batches that are held; it returns whether there is room for another one.
        """
        self.held: deque[Held[J]] = deque()  # in the order in which they were taken
        self.allowed = False  # a batch is being decoded
        self._engine = engine
        self._changed = changed
        self._take = take
        self._window_of = window_of
        self._apply = apply
        self._has_room = has_room
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def next_of(self, *, urgent: bool) -> Held[J] | None:
        """Return the batch whose turn it is, or None; `urgent`: urgent windows wait."""
        if not self.held:
            return None
        held = self.held[0]
        if urgent and held.passed < MOST_PASSED:
            held.passed += 1
            return None
        # One more may be prepared now.
        self._changed.notify_all()
        return self.held.popleft()

    def drop(self) -> list[J]:
        """Give up the batches that are held; return their jobs."""
        jobs = [job for held in self.held for job in held.jobs]
        self.held.clear()
        return jobs

    def close(self) -> None:
        """End the thread, without the lock held; a batch under way is finished first."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        self._apply()
        while (held := self._begin()) is not None:
            windows = [self._window_of(job) for job in held.jobs]
            held.prepared = self._prepared(windows)
            held.ready.set()

    def _begin(self) -> Held[J] | None:
        """Wait for a full batch to prepare; return None at the end."""
        with self._changed:
            while not self._ended:
                wanted = self.allowed and self._has_room(len(self.held))
                jobs = self._take() if wanted else []
                if jobs:
                    self.held.append(Held(jobs))
                    self._changed.notify_all()  # there is room in the queue
                    return self.held[-1]
                self._changed.wait()
            return None

    def _prepared(self, windows: Sequence[Window]) -> PreparedBatch | None:
        try:
            return self._engine.prepare(windows)
        except Exception as error:
            # The owner of the model runs the encoder again and treats the error: with a full
            # memory there is no room for two batches at once.
            log.info("No batch is prepared ahead any more: %s", str(error).partition("\n")[0])
            with self._changed:
                self._ended = True
            return None
