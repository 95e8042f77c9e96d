"""The time that a run still takes: from what was expected, corrected by what is measured.

A run goes through three stages that work beside each other: items are fetched, their sound is read,
and their files are written. Each stage has a rate, which is known before only roughly. The estimate
of a rate is that of both together: the expected rate counts as much as a small part of the run
(`PRIOR_SHARE`), so that after a tenth of a run what was measured decides. Of the three stages, the
slowest takes the time that is left; the others keep pace with it.

A stage's time counts only while it works: a run that is paused, or that has no worker, does not
become slower by that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

PRIOR_SHARE = 0.02  # of a run, for which the expected rates count
PRIOR_ITEMS = 0.5  # at least so many items' worth of them
LEAD_S = 8.0  # start of a worker and its model, where nothing was measured
SPEED = 5.0  # seconds of sound a second on a machine of which nothing is known
WRITE_S = 0.3  # an item's files and its place in the index
FETCH_FILE_S = 0.2  # a local file is copied or linked
GAP_S = 30.0  # a longer time between two measurements is one without a worker
# The range around an estimate: factors at the beginning of a run and towards its end.
WIDE, NARROW, NARROWING = 1.9, 1.12, 8.0
UNKNOWN = 2.0  # the range is wider by this factor while nothing at all is known of the speed


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expectation of a run before it starts.

    `speed` in seconds of sound a second, None: unknown; `fetch_s` an item's download with the pause
    before the next one.
    """

    speed: float | None = None
    fetch_s: float = FETCH_FILE_S
    lead_s: float = LEAD_S
    write_s: float = WRITE_S


@dataclass(frozen=True, slots=True)
class Work:
    """The state of a run's items; sound in seconds, and items in numbers.

    Unknown lengths count as the mean of the known ones. `fetching`, `reading` and `writing` are the
    numbers of items in each stage now.
    """

    items: int = 0
    unfinished: int = 0
    to_fetch: int = 0
    sound_s: float = 0.0
    sound_left_s: float = 0.0
    fetching: int = 0
    reading: int = 0
    writing: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a run until `at`: busy seconds of each stage, and its work in them.

    `to_fetch`, `sound_left_s` and `unfinished` are those of the last measurement; `working` are the
    numbers of items in the stages then. `active_s` is the time with any stage at work, `lead_s` the
    part of it before the first sound was read. `arrived` is the number of items that were fetched;
    the first one has the start of a worker in its time, and is not counted in `fetched`.
    """

    at: float = 0.0
    active_s: float = 0.0
    lead_s: float = 0.0
    arrived: int = 0
    fetch_s: float = 0.0
    fetched: float = 0.0
    read_s: float = 0.0
    read: float = 0.0
    write_s: float = 0.0
    written: float = 0.0
    to_fetch: int = 0
    sound_left_s: float = 0.0
    unfinished: int = 0
    working: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Measured | None:
        """Return stored values; None if there are none, or another version wrote them."""
        names = {each.name for each in fields(cls)}
        if not values or set(values) != names:
            return None
        working = tuple(int(each) for each in values["working"])
        return cls(**{**values, "working": working})

    def as_dict(self) -> dict[str, Any]:
        """Return the values to be stored."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time that is left in seconds: the estimate, and the range in which it should be."""

    expected_s: float
    low_s: float
    high_s: float


def measure(before: Measured | None, work: Work, now: float) -> Measured:
    """Return the measurements up to `now`, in epoch seconds."""
    working = (work.fetching, work.reading, work.writing)
    if before is None:
        return Measured(
            at=now, to_fetch=work.to_fetch, sound_left_s=work.sound_left_s,
            unfinished=work.unfinished, working=working,
        )  # fmt: skip
    elapsed = now - before.at
    if not 0.0 <= elapsed <= GAP_S:
        elapsed = 0.0
    fetched = max(0, before.to_fetch - work.to_fetch)
    read = max(0.0, before.sound_left_s - work.sound_left_s)
    written = max(0, before.unfinished - work.unfinished)
    busy = [
        elapsed if now_at_work or earlier or done else 0.0
        for now_at_work, earlier, done in zip(
            working, before.working, (fetched, read, written), strict=True
        )
    ]
    active = max(busy)
    return replace(
        before,
        at=now,
        active_s=before.active_s + active,
        lead_s=before.lead_s + (active if not before.read and not read else 0.0),
        arrived=before.arrived + fetched,
        fetch_s=before.fetch_s + (busy[0] if before.arrived else 0.0),
        fetched=before.fetched + (fetched if before.arrived else 0),
        # Before its first words are there, the recognizer is being loaded.
        read_s=before.read_s + (busy[1] if before.read or read else 0.0),
        read=before.read + read,
        write_s=before.write_s + busy[2],
        written=before.written + written,
        to_fetch=work.to_fetch,
        sound_left_s=work.sound_left_s,
        unfinished=work.unfinished,
        working=working,
    )


def time_left(forecast: Forecast, measured: Measured | None, work: Work) -> TimeLeft:
    """Return the time left of a run whose items are in this state now."""
    if not work.unfinished:
        return TimeLeft(0.0, 0.0, 0.0)
    seen = measured or Measured()
    known = forecast.speed or SPEED
    prior_sound = max(PRIOR_SHARE * work.sound_s, 1.0)
    speed = (seen.read + prior_sound) / (seen.read_s + prior_sound / known)
    prior_items = max(PRIOR_ITEMS, PRIOR_SHARE * work.items)
    fetch_s = (seen.fetch_s + prior_items * forecast.fetch_s) / (seen.fetched + prior_items)
    write_s = (seen.write_s + prior_items * forecast.write_s) / (seen.written + prior_items)
    reading = work.sound_left_s / speed
    fetching = work.to_fetch * fetch_s
    writing = work.unfinished * write_s
    left = max(reading, fetching, writing)
    if work.to_fetch and fetching >= reading:
        # The last item is read and written after its download.
        left += work.sound_s / max(1, work.items) / speed + write_s
    if work.sound_left_s and not seen.read:
        left += max(1.0, forecast.lead_s - seen.lead_s)
    done = seen.active_s / (seen.active_s + left) if left else 1.0
    spread = NARROW + (WIDE - NARROW) * math.exp(-NARROWING * done)
    if forecast.speed is None and not seen.read:
        spread *= UNKNOWN
    return TimeLeft(left, left / spread, left * spread)


def expected_s(forecast: Forecast, items: int, sound_s: float) -> TimeLeft:
    """Return the time that a run of so many items and so much sound takes, before it begins."""
    work = Work(items, items, items, sound_s, sound_s)
    return time_left(forecast, None, work)
