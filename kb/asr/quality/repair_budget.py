"""The time budget for decoding suspect windows again, for a whole run."""

from __future__ import annotations

import threading

ADVANCE = 7.0  # all steps of one window
PLACES_SHARE = 1 / 3  # of the share: what only places of single words may spend

Figures = tuple[int, float]  # windows decoded for the first time, and budget spent


class RepairBudget:
    """The budget for decoding again, over all media of a run.

    The unit is the time of a first attempt at one window. At most `share` of the windows decoded so
    far may be spent; a third of that (`PLACES_SHARE`) only on places of single words. A place costs
    about a twentieth of a whole window. Without that third, the first window with music in it took
    all there was, and no place was read in the next twenty windows.

    While there are few windows, `ADVANCE` may be spent besides; without it the only window of a
    short first medium could not be repaired. The advance is given once and not to each medium: it
    is part of what whole windows may spend, so that from 35 windows on (at a share of 0.3; about
    fifteen minutes of speech) the share holds for the run. Budget that clean media do not use is
    available to later ones. The disadvantage: the budget of a short medium depends on what was
    decoded before it. A window that was not decoded again for lack of budget keeps its flags and is
    reported as doubtful. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows = 0
        self._spent = 0.0
        self._others: Figures = (0, 0.0)

    @property
    def windows(self) -> int:
        """The number of windows decoded for the first time."""
        return self._windows

    @property
    def spent(self) -> float:
        """The budget spent so far, in units of a first attempt at one window."""
        return self._spent

    def add_window(self) -> None:
        """Count a window that was decoded for the first time."""
        with self._lock:
            self._windows += 1

    def can_spend(self, cost: float, share: float, *, places: bool = False) -> bool:
        """Return whether `cost` may be spent now; `places`: on places of single words."""
        with self._lock:
            return self._can_spend(cost, share, places)

    def try_spend(self, cost: float, share: float, *, places: bool = False) -> bool:
        """Spend `cost` if the budget allows it; return whether it did."""
        with self._lock:
            if not self._can_spend(cost, share, places):
                return False
            self._spent += cost
            return True

    def adjust(self, cost: float) -> None:
        """Add `cost` to the budget spent; negative for a refund."""
        with self._lock:
            self._spent += cost

    def figures(self) -> Figures:
        """Return `windows` and `spent`, for the budgets of other processes."""
        with self._lock:
            return self._windows, self._spent

    def set_others(self, figures: Figures) -> None:
        """Set the sums of all other processes of the run, which belong to the same budget."""
        self._others = figures

    def _can_spend(self, cost: float, share: float, places: bool) -> bool:
        others, spent = self._others
        earned = share * (others + self._windows)
        most = max(ADVANCE, (1.0 - PLACES_SHARE) * earned)
        if places:
            most += PLACES_SHARE * earned
        return spent + self._spent + cost <= most + 1e-9  # rounding
