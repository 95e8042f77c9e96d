"""The time that a run still takes: from what was expected, corrected by what is measured.

A run goes through three stages that work beside each other: items are fetched, their sound is read,
and their files are written. Each stage has a pace, which is known before only roughly, or not at
all. The estimate of a pace is that of both together: the expected one counts as much as a small
part of the run (`PRIOR_SHARE`), so that after a tenth of a run what was measured decides. Of the
three stages, the slowest takes the time that is left; the others keep pace with it.

A stage reports what it has done in steps: a whole item, or some windows of sound. The time since
the last step is part of the next one. It counts as work that is not reported yet, and makes the
stage slower only when the next step is late.

A stage's time counts only while it works: a run that is paused, or that has no worker, does not
become slower by that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

PRIOR_SHARE = 0.02  # of a run, for which the expected rates count
SEEN = 0.02  # of a run: a first report of less says nothing about the pace
PRIOR_ITEMS = 0.5  # at least so many items' worth of them
LEAD_S = 8.0  # start of a worker and its model, where nothing was measured
WRITE_S = 0.3  # an item's files and its place in the index
FETCH_FILE_S = 0.2  # a local file is copied or linked
GAP_S = 30.0  # a longer time between two measurements is one without a worker
STEP_S = 2.0  # a worker measures as often: it does not see reports that are closer
LATE = 2.0  # a report is late after so many times the usual time between two
LEAST_READ_S = 0.05  # less sound is not read: it marks a recognizer that is ready
# The range around an estimate: factors of an expectation, and of a pace from one report and from
# very many.
EXPECTED, ONE_REPORT, MANY_REPORTS = 1.9, 2.2, 1.25
SLACK_S = 2.0  # the last item's end, and the age of a measurement


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

    Unknown lengths count as the mean of the known ones in `sound_s` and `sound_left_s`, which
    change with it; `sound_read_s` is what was read. `fetching`, `reading` and `writing` are the
    numbers of items in each stage now.
    """

    items: int = 0
    unfinished: int = 0
    to_fetch: int = 0
    sound_s: float = 0.0
    sound_left_s: float = 0.0
    sound_read_s: float = 0.0
    fetching: int = 0
    reading: int = 0
    writing: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """Measurements of a stage: `done` items, or seconds of sound, in `busy_s` seconds of work.

    The last of its `reports` came after `reported_s` of them. `lately_done` in `lately_s` is the
    same, with each report weighted by the time at which it came: a stage is slower at first, and
    other work on the machine changes.
    """

    busy_s: float = 0.0
    done: float = 0.0
    reported_s: float = 0.0
    reports: int = 0
    lately_s: float = 0.0
    lately_done: float = 0.0

    @property
    def rate(self) -> float | None:
        """The items, or seconds of sound, of a second, by the reports; None before the first."""
        return self.done / self.reported_s if self.reports and self.reported_s else None

    @property
    def drift(self) -> float:
        """By what factor its pace was another lately than from the beginning; at least 1."""
        if not self.reported_s or not self.lately_done or not self.done:
            return 1.0
        change = self.lately_s / self.lately_done * self.done / self.reported_s
        return max(change, 1.0 / change) if change else 1.0

    def after(self, elapsed: float, done: float, least: float = 0.0) -> Stage:
        """Return the stage after more time at work; `done` of at most `least` is no report."""
        busy_s = self.busy_s + elapsed
        if done <= least:
            return replace(self, busy_s=busy_s, done=self.done + done)
        kept = self.reported_s / busy_s if busy_s else 1.0
        return Stage(
            busy_s,
            self.done + done,
            busy_s,
            self.reports + 1,
            kept * self.lately_s + busy_s - self.reported_s,
            kept * self.lately_done + done,
        )

    def left_s(self, left: float, expected_s: float, prior: float) -> float:
        """Return the time for what is `left`.

        One of it takes `expected_s` before anything is measured, which counts as much as `prior` of
        it would if it were measured.
        """
        if not left:
            return 0.0
        since_s = self.busy_s - self.reported_s
        usual_s = self.reported_s / self.reports if self.reports else prior * expected_s
        usual_s = max(usual_s, STEP_S)
        # The fewer reports there were, the less is known of the time between two.
        late_s = max(0.0, since_s - LATE * usual_s * (1 + 1 / max(1, self.reports)))
        weight = prior * self.lately_done / self.done if self.reports else prior
        pace_s = (self.lately_s + late_s + weight * expected_s) / (self.lately_done + weight)
        return left * pace_s - min(since_s, usual_s, left * pace_s / 2)


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a run until `at`: what each stage has done, and in which time.

    `to_fetch`, `sound_read_s` and `unfinished` are those of the last measurement; `working` are the
    numbers of items in the stages then. `active_s` is the time with any stage at work, `lead_s` the
    part of it before the recognizer was ready. `arrived` is the number of items that were fetched;
    the first one has the start of a worker in its time, and does not count in `fetching`.
    """

    at: float = 0.0
    active_s: float = 0.0
    lead_s: float = 0.0
    arrived: int = 0
    fetching: Stage = field(default_factory=Stage)
    reading: Stage = field(default_factory=Stage)
    writing: Stage = field(default_factory=Stage)
    to_fetch: int = 0
    sound_read_s: float = 0.0
    unfinished: int = 0
    working: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Measured | None:
        """Return stored values; None if there are none, or another version wrote them."""
        names = {each.name for each in fields(cls)}
        if not values or set(values) != names:
            return None
        stages = {name: values[name] for name in ("fetching", "reading", "writing")}
        if any(set(each) != {field.name for field in fields(Stage)} for each in stages.values()):
            return None
        stages = {name: Stage(**each) for name, each in stages.items()}
        working = tuple(int(each) for each in values["working"])
        return cls(**{**values, **stages, "working": working})

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
            at=now, to_fetch=work.to_fetch, sound_read_s=work.sound_read_s,
            unfinished=work.unfinished, working=working,
        )  # fmt: skip
    elapsed = now - before.at
    if not 0.0 <= elapsed <= GAP_S:
        elapsed = 0.0
    fetched = max(0, before.to_fetch - work.to_fetch)
    read = max(0.0, work.sound_read_s - before.sound_read_s)
    written = max(0, before.unfinished - work.unfinished)
    done = (fetched, read, written)
    busy = [elapsed * _share(*each) for each in zip(working, before.working, done, strict=True)]
    active = elapsed * _share(any(working), any(before.working), any(done))
    # Before its first mark, the recognizer is being loaded.
    is_lead = not before.reading.done
    reading_s = 0.0 if is_lead and read <= LEAST_READ_S else busy[1]
    return replace(
        before,
        at=now,
        active_s=before.active_s + active,
        lead_s=before.lead_s + (active if is_lead and not read else 0.0),
        arrived=before.arrived + fetched,
        fetching=before.fetching.after(busy[0], fetched) if before.arrived else before.fetching,
        reading=before.reading.after(reading_s, read, LEAST_READ_S),
        writing=before.writing.after(busy[2], written),
        to_fetch=work.to_fetch,
        sound_read_s=work.sound_read_s,
        unfinished=work.unfinished,
        working=working,
    )


def _share(works: float, worked: float, done: float) -> float:
    """Return for which share of the time between two measurements a stage was at work.

    One that began or ended meanwhile counts half: with the whole, one that works two seconds in
    five would be as slow as one that works all the time.
    """
    return ((works > 0) + (worked > 0) or (done > 0)) / 2


def time_left(forecast: Forecast, measured: Measured | None, work: Work) -> TimeLeft | None:
    """Return the time left of a run whose items are in this state now.

    None where nothing can be said: the speed of the recognizer is unknown, and it has read nothing,
    or very little, yet.
    """
    if not work.unfinished:
        return TimeLeft(0.0, 0.0, 0.0)
    seen = measured or Measured()
    is_unknown = not forecast.speed
    if is_unknown and work.sound_left_s and not _is_measured(seen.reading, work):
        return None
    prior_sound = 0.0 if is_unknown else max(PRIOR_SHARE * work.sound_s, 1.0)
    second_s = 1 / forecast.speed if forecast.speed else 0.0
    reading = seen.reading.left_s(work.sound_left_s, second_s, prior_sound)
    prior_items = max(PRIOR_ITEMS, PRIOR_SHARE * work.items)
    fetching = seen.fetching.left_s(work.to_fetch, forecast.fetch_s, prior_items)
    writing = seen.writing.left_s(work.unfinished, forecast.write_s, prior_items)
    if work.to_fetch and work.sound_left_s:
        # The last item is read and written after its download.
        share = work.sound_s / max(1, work.items) / work.sound_left_s
        fetching += reading * min(1.0, share) + forecast.write_s
    left = max(reading, fetching, writing)
    slowest = (seen.reading, seen.fetching, seen.writing)[(reading, fetching, writing).index(left)]
    if work.sound_left_s and not seen.reading.done:
        left += max(1.0, forecast.lead_s - seen.lead_s)
    spread = MANY_REPORTS + (ONE_REPORT - MANY_REPORTS) / math.sqrt(max(1, slowest.reports))
    if not is_unknown:
        spread = min(EXPECTED, spread)
    # What has changed the pace until now, such as other work on the machine, can do so again.
    spread *= slowest.drift
    return TimeLeft(left, max(0.0, left / spread - SLACK_S), left * spread + SLACK_S)


def _is_measured(reading: Stage, work: Work) -> bool:
    """Return True if the pace of reading is known: the first few words alone are slow."""
    return reading.reports > 1 or (reading.reports == 1 and reading.done >= SEEN * work.sound_s)


def expected_s(forecast: Forecast, items: int, sound_s: float) -> TimeLeft | None:
    """Return the time that a run of so many items and so much sound takes, before it begins."""
    work = Work(items, items, items, sound_s, sound_s)
    return time_left(forecast, None, work)
