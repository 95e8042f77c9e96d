"""Throttling: decides how much the device rests, by heat, desktop use and utilisation.

The card should be busy 80 to 95 % of the time: below this band it waits for work, above it the
desktop stutters. `Governor` reads each sample of `gpu.monitor` and sets the share of the time that
the device rests; the batcher rests for that share after each batch. The rule is an integrator: a
step up while the figure is too high, a step down while it is not, so that it settles on any card.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gpu.monitor import Sample

LOWEST_BAND = 0.80  # below it the device waits for work: batches may grow sooner
MOST_REST = 0.9
BAND_REST = 0.25  # the most rest that the band rule alone requests
SMOOTHED_OVER = 5  # number of samples: ten seconds

HOT_STEP, COOL_STEP, COOLER_BY_C = 0.15, 0.05, 3.0
BAND_STEP, BAND_WIDTH = 0.01, 0.02
DESKTOP_BUSY, DESKTOP_REST, DESKTOP_PATIENCE = 0.10, 0.5, 3


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    """Limits for the device; 0 degrees or a utilisation of 1 disables that rule."""

    temperature_c: float = 85.0
    utilisation: float = 0.95
    give_way: bool = True


@dataclass(frozen=True, slots=True)
class Throttle:
    """The share of the time (0..1) that the device rests, and the reason as a clause.

    `hungry`: the device was busy for less than the band, so that a larger batch may help.
    """

    rest: float = 0.0
    reason: str = ""
    hungry: bool = False


class Governor:
    """A controller of the throttle. One thread calls `update`; any thread may read `now`."""

    def __init__(self, limits: ThrottleLimits | None = None) -> None:
        self._limits = limits or ThrottleLimits()
        self._recent: deque[float] = deque(maxlen=SMOOTHED_OVER)
        self._hot = self._band = 0.0
        self._desktop = 0  # number of samples for which the desktop still counts as busy
        self.now = Throttle()

    def update(self, sample: Sample) -> Throttle:
        """Add a sample; return the resulting throttle."""
        rests = [
            (
                self._heat(sample),
                f"the card is at {sample.temperature_c or 0:.0f} °C, "
                f"the limit is {self._limits.temperature_c:.0f} °C",
            ),
            (self._screen(sample), "another program draws on the screen with this card"),
            (
                self._busy(sample),
                f"the card is kept below {self._limits.utilisation:.0%} of its time, "
                "so that the desktop does not stutter",
            ),
        ]
        rest, reason = max(rests, key=lambda each: each[0])
        mean = sum(self._recent) / len(self._recent) if self._recent else None
        hungry = rest == 0 and mean is not None and mean < LOWEST_BAND
        self.now = Throttle(round(rest, 3), reason if rest > 0 else "", hungry)
        return self.now

    def _heat(self, sample: Sample) -> float:
        limit_c, now_c = self._limits.temperature_c, sample.temperature_c
        if limit_c <= 0 or now_c is None:
            self._hot = 0.0
        elif now_c >= limit_c:
            self._hot = min(MOST_REST, self._hot + HOT_STEP)
        elif now_c < limit_c - COOLER_BY_C:
            self._hot = max(0.0, self._hot - COOL_STEP)
        return self._hot

    def _screen(self, sample: Sample) -> float:
        if not self._limits.give_way or sample.desktop is None:
            self._desktop = 0
        elif sample.desktop > DESKTOP_BUSY:
            self._desktop = DESKTOP_PATIENCE
        else:
            self._desktop = max(0, self._desktop - 1)
        return DESKTOP_REST if self._desktop else 0.0

    def _busy(self, sample: Sample) -> float:
        if sample.gpu is None:
            self._recent.clear()
        else:
            self._recent.append(sample.gpu)
        high = self._limits.utilisation
        if high >= 1.0 or len(self._recent) < SMOOTHED_OVER:
            self._band = 0.0
            return 0.0
        mean = sum(self._recent) / len(self._recent)
        if mean > high:
            self._band = min(BAND_REST, self._band + BAND_STEP)
        elif mean < high - BAND_WIDTH:
            self._band = max(0.0, self._band - BAND_STEP)
        return self._band
