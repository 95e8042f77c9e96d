"""Preparation slots beyond the preset's number, as long as the device waits for windows.

`workers` of a preset is a floor. After every few batches the share of the time is computed in which
the device had a full batch to work on: its busy time, of a batch that is not full only the filled
part. Below `LEAST_FED` more slots are given, up to the cores; above `MOST_FED` one is taken back.
In between (80 to 95 %) nothing changes, so that the number does not swing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore

LEAST_FED, MOST_FED = 0.80, 0.95
AIM = 0.875  # the middle, to which the number of slots is scaled
BATCHES = 8  # from one decision to the next
IDLE_S = 20.0  # a longer wait is a time without media, not a sign of slow preparation


class PreparationGrowth:
    """The control of the slots by the batches; call `add` from one thread."""

    def __init__(self, slots: AdjustableSemaphore, cores: Callable[[], int]) -> None:
        """`cores`: the number of slots at which growth ends; a floor above it stays."""
        self._slots = slots
        self._cores = cores
        self._start()

    def _start(self) -> None:
        self._batches = 0
        self._waited_s = self._busy_s = self._fed_s = 0.0
        self._slots.most_in_use()

    def add(self, waited_s: float, busy_s: float, filled: float) -> None:
        """Count a batch of `busy_s` seconds that began `waited_s` after the one before.

        `filled`: its windows as a share of the batch size, 0..1.
        """
        self._waited_s += waited_s if waited_s <= IDLE_S else 0.0
        self._busy_s += busy_s
        self._fed_s += busy_s * filled
        self._batches += 1
        if self._batches < BATCHES:
            return
        total_s = self._waited_s + self._busy_s
        fed = self._fed_s / total_s if total_s > 0 else 1.0
        count, floor = self._slots.count, self._slots.floor
        if fed > MOST_FED:
            count -= 1
        # More slots help only where all of them were in use.
        elif fed < LEAST_FED and self._slots.most_in_use() >= count:
            # At most twice as many at once: the first batches after a start say little.
            count = min(math.ceil(count * min(2.0, AIM / max(fed, 0.01))), self._cores())
        self._slots.set_extra(max(0, count - floor))
        self._start()
