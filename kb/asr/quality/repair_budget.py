"""The time budget for decoding suspect windows again, over a run."""

from __future__ import annotations

import threading

ADVANCE = 6.0


class RepairBudget:
    """Windows' worth of time that may be spent on reading again, over all media of a run.

    At most `share` of the windows read so far may be spent; before there are enough of them,
    `ADVANCE`, or the only window of the first short medium could not be repaired. The advance is
    given once and not to each medium: it is part of the share and not on top of it, so that from
    `ADVANCE / share` windows on (20 at 0.3, some nine minutes of speech) the share holds over
    the run. Budget that clean media leave is available to the next bad one. The price: what a short
    medium may cost depends on what was read before it; a window that was not read again for
    lack of budget keeps its flags and is reported as doubtful. Safe from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows = 0
        self._spent = 0.0

    @property
    def windows(self) -> int:
        """The number of windows decoded for the first time."""
        return self._windows

    @property
    def spent(self) -> float:
        """The time spent so far, in windows' worth."""
        return self._spent

    def add_window(self) -> None:
        """Count a window that was decoded for the first time."""
        with self._lock:
            self._windows += 1

    def can_spend(self, cost: float, share: float) -> bool:
        """Return whether so much may be spent now."""
        with self._lock:
            return self._can_spend(cost, share)

    def try_spend(self, cost: float, share: float) -> bool:
        """Spend so much if the budget allows it; return whether it did."""
        with self._lock:
            if not self._can_spend(cost, share):
                return False
            self._spent += cost
            return True

    def adjust(self, cost: float) -> None:
        """Correct the time spent: more than was paid, or less (negative)."""
        with self._lock:
            self._spent += cost

    def _can_spend(self, cost: float, share: float) -> bool:
        return self._spent + cost <= max(ADVANCE, share * self._windows)
