"""The time left of a run: three kinds of runs, played through the estimator step by step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from kb.inference.process import READY
from kb.jobs.queue.run_forecast import (
    GAP_S,
    Forecast,
    Measured,
    Stage,
    TimeLeft,
    Work,
    expected_s,
    measure,
    time_left,
)

STEP_S = 2.0  # a worker measures this often
IN_FLIGHT = 16


@dataclass
class Played:
    """A run of a machine: its items are fetched one after the other and read together."""

    lengths: list[float]
    speed: float  # of all items together
    fetch_s: float
    lead_s: float
    write_s: float = 0.2
    fetched: int = 0
    fetching_s: float = 0.0
    loaded_s: float = 0.0
    left: list[float] = field(default_factory=list)
    written: int = 0
    writing_s: float = 0.0

    def __post_init__(self) -> None:
        self.left = list(self.lengths)

    def step(self, seconds: float) -> None:
        """Let time pass."""
        ready = sum(self.left[number] <= 0.0 for number in range(self.fetched))
        if self.fetched < len(self.lengths) and self.fetched - self.written < IN_FLIGHT:
            self.fetching_s += seconds
            while self.fetching_s >= self.fetch_s and self.fetched < len(self.lengths):
                self.fetching_s -= self.fetch_s
                self.fetched += 1
        here = [number for number in range(self.fetched) if self.left[number] > 0.0]
        if here:
            if self.loaded_s < self.lead_s:
                self.loaded_s += seconds
            else:
                part = self.speed * seconds / len(here)
                for number in here:
                    self.left[number] -= part
        if ready > self.written:
            self.writing_s += seconds
            while self.writing_s >= self.write_s and self.written < ready:
                self.writing_s -= self.write_s
                self.written += 1

    @property
    def work(self) -> Work:
        """Its state as the queue shows it."""
        here = [n for n in range(self.fetched) if self.left[n] > 0.0]
        count = len(self.lengths)
        return Work(
            items=count, unfinished=count - self.written, to_fetch=count - self.fetched,
            sound_s=sum(self.lengths), sound_left_s=sum(max(0.0, each) for each in self.left),
            sound_read_s=sum(self.lengths) - sum(max(0.0, each) for each in self.left),
            fetching=int(self.fetched < count), reading=len(here),
            writing=self.fetched - len(here) - self.written,
        )  # fmt: skip


RUNS = {
    "few long": Played([5400.0, 3600.0, 7200.0], speed=28.0, fetch_s=1.0, lead_s=9.0),
    "many short": Played([25.0] * 400, speed=22.0, fetch_s=0.3, lead_s=9.0),
    "downloads with pauses": Played([600.0] * 40, speed=60.0, fetch_s=15.0, lead_s=9.0),
    "lengths of all kinds": Played(
        [60.0, 3000.0, 200.0, 900.0, 40.0] * 12, speed=35.0, fetch_s=4.0, lead_s=12.0
    ),
}


def state(
    items: int, unfinished: int, to_fetch: int, sound_s: float, left_s: float, **stages: int
) -> Work:
    """Return the state of a run in which all sound that is not left was read."""
    return Work(items, unfinished, to_fetch, sound_s, left_s, sound_s - left_s, **stages)


def known_left(forecast: Forecast, measured: Measured | None, work: Work) -> TimeLeft:
    """Return the time left where there is one."""
    found = time_left(forecast, measured, work)
    assert found is not None
    return found


def evenly(busy_s: float, done: float, reports: int) -> Stage:
    """Return a stage that has reported equal parts at equal intervals."""
    stage = Stage()
    for _ in range(reports):
        stage = stage.after(busy_s / reports, done / reports)
    return stage


def played(kind: str, forecast: Forecast) -> tuple[float, list[tuple[float, TimeLeft]]]:
    """Return how long a run took, and what was said to be left at each time, if anything."""
    run = RUNS[kind]
    run = Played(run.lengths, run.speed, run.fetch_s, run.lead_s, run.write_s)
    measured: Measured | None = None
    now, said = 1_000_000.0, []
    while run.work.unfinished:
        measured = measure(measured, run.work, now)
        if (left := time_left(forecast, measured, run.work)) is not None:
            said.append((now - 1_000_000.0, left))
        run.step(STEP_S)
        now += STEP_S
        assert now < 1_200_000.0
    return now - 1_000_000.0, said


@pytest.mark.parametrize("wrong", [0.25, 0.7, 1.0, 1.5, 4.0])
@pytest.mark.parametrize("kind", RUNS)
def test_the_time_left_is_within_a_factor_of_two_and_then_within_a_fifth(
    kind: str, wrong: float
) -> None:
    """Also where the machine is much faster or slower than it was expected to be."""
    true = RUNS[kind]
    forecast = Forecast(speed=true.speed * wrong, fetch_s=true.fetch_s / wrong)
    took, said = played(kind, forecast)
    for share, most in ((0.1, 2.0), (0.5, 1.2), (0.7, 1.2)):
        at, found = next(each for each in said if each[0] >= share * took)
        left, truly = found.expected_s, took - at
        assert truly / most <= left <= truly * most, f"{kind} at {share}: {left:.0f} of {truly:.0f}"


@pytest.mark.parametrize("kind", RUNS)
def test_an_unmeasured_machine_has_a_time_left_with_its_first_words(kind: str) -> None:
    """Before, any figure would be a guess; the first one is right within a factor of two."""
    took, said = played(kind, Forecast(None, RUNS[kind].fetch_s))
    assert said[0][0] <= max(0.1 * took, RUNS[kind].lead_s + RUNS[kind].fetch_s + 3 * STEP_S)
    for at, left in said:
        truly = took - at
        if at >= 0.1 * took and truly > 3 * STEP_S:
            assert truly / 2.0 <= left.expected_s <= truly * 2.0, f"{left} of {truly:.0f} at {at}"
    inside = [left.low_s <= took - at <= left.high_s for at, left in said]
    assert sum(inside) >= 0.9 * len(inside)


@pytest.mark.parametrize("kind", RUNS)
def test_the_time_left_begins_with_the_forecast_and_does_not_jump(kind: str) -> None:
    true = RUNS[kind]
    forecast = Forecast(speed=true.speed, fetch_s=true.fetch_s)
    took, said = played(kind, forecast)
    plan = expected_s(forecast, len(true.lengths), sum(true.lengths))
    assert plan is not None and said[0][1] == plan
    assert took / 1.5 <= plan.expected_s <= took * 1.5
    for (at, before), (_, after) in pairwise(
        each for each in said if 0.1 <= each[0] / took <= 0.85
    ):
        most = max(0.25 * before.expected_s, 20.0)
        assert abs(after.expected_s - before.expected_s) <= most, f"{before} to {after} at {at}"


def test_the_range_is_wide_at_first_and_narrow_later() -> None:
    work = state(10, 10, 10, 6000.0, 6000.0)
    known = known_left(Forecast(20.0), None, work)
    assert known.high_s / known.low_s > 3
    once, often = (
        Measured(
            at=1.0,
            active_s=500.0,
            reading=evenly(490.0, 5000.0, reports),
            sound_read_s=5000.0,
        )
        for reports in (1, 200)
    )
    rest = state(10, 2, 0, 6000.0, 1000.0, reading=2)
    early, late = (known_left(Forecast(None), seen, rest) for seen in (once, often))
    assert early.high_s / early.low_s > 3 > 2 > late.high_s / late.low_s


def test_nothing_is_said_of_an_unmeasured_machine_before_it_has_read_anything() -> None:
    work = state(3, 3, 3, 280.0, 280.0, fetching=2)
    assert time_left(Forecast(None), None, work) is None
    assert expected_s(Forecast(None), 3, 280.0) is None
    seen = measure(None, work, 100.0)
    for at in range(102, 112, 2):  # the recognizer is being loaded
        seen = measure(seen, state(3, 3, 0, 280.0, 280.0, reading=3), float(at))
        assert time_left(Forecast(None), seen, work) is None
    ready = state(3, 3, 0, 280.0, 280.0 * (1 - READY), reading=3)
    seen = measure(seen, ready, 112.0)
    assert time_left(Forecast(None), seen, ready) is None and seen.lead_s == 10.0
    first = state(3, 3, 0, 280.0, 180.0, reading=3)
    seen = measure(seen, first, 114.0)
    assert known_left(Forecast(None), seen, first).expected_s == pytest.approx(3.6, abs=0.5)


@pytest.mark.parametrize(
    ("since_s", "left_s"),
    [
        (0.0, 400.0),  # forty reports to come, each of 10 s
        (4.0, 396.0),  # the time since the last report is work that is not reported yet
        (10.0, 390.0),
        (30.0, 448.2),  # the report is late: what it brings takes longer
    ],
)
def test_the_time_since_the_last_report_counts_as_work_until_it_is_late(
    since_s: float, left_s: float
) -> None:
    stage = replace(evenly(100.0, 1000.0, 10), busy_s=100.0 + since_s)
    assert stage.left_s(4000.0, 1.0, 0.0) == pytest.approx(left_s, abs=0.1)


def test_of_two_downloads_with_a_pause_the_second_is_not_taken_for_a_slow_one() -> None:
    """At its beginning, a wait of 5 s for the next download says nothing about its pace."""
    forecast = Forecast(100.0, fetch_s=5.0)
    seen: Measured | None = None
    for at in range(0, 20):
        fetched = at // 5
        work = state(40, 40, 40 - fetched, 2400.0, 2400.0 - 60.0 * fetched, fetching=1)
        seen = measure(seen, work, float(at))
        truly = 200.0 - at
        assert known_left(forecast, seen, work).expected_s == pytest.approx(truly, rel=0.15)


@pytest.mark.parametrize("left_s", [0.5, 2.0, 3.0])
def test_the_range_of_the_last_seconds_is_short(left_s: float) -> None:
    """Not `5–55 s` with 3 s to go."""
    stage = evenly(20.0, 200.0, 12)
    seen = Measured(at=1.0, active_s=30.0, reading=stage, sound_read_s=280.0 - 10.0 * left_s)
    work = state(3, 1, 0, 280.0, 10.0 * left_s, reading=1)
    found = known_left(Forecast(None), seen, work)
    assert found.low_s <= left_s <= found.high_s <= 10.0 and found.low_s < 1.0


def test_a_run_without_a_worker_or_a_pause_does_not_become_slower() -> None:
    work = state(4, 4, 0, 4000.0, 3000.0, reading=4)
    seen = measure(None, state(4, 4, 0, 4000.0, 3500.0, reading=4), 100.0)
    for at in range(102, 150, 2):
        left = 3500.0 - 10.0 * (at - 100)
        seen = measure(seen, state(4, 4, 0, 4000.0, left, reading=4), float(at))
    before = known_left(Forecast(None), seen, work)
    off = state(4, 4, 0, 4000.0, 4000.0 - seen.sound_read_s)
    paused = measure(seen, off, seen.at + 2.0)  # the worker has put its items back
    for _ in range(100):
        paused = measure(paused, off, paused.at + 2.0)
    assert known_left(Forecast(None), paused, work).expected_s == pytest.approx(
        before.expected_s, rel=0.1
    )
    asleep = measure(seen, work, seen.at + 100 * GAP_S)
    assert asleep.active_s == seen.active_s


def test_a_length_that_becomes_known_is_not_read_sound() -> None:
    """Ten minutes are expected of each of a feed's items; the first one that arrives has 20 s."""
    seen = measure(None, Work(6, 6, 6, 3600.0, 3600.0, 0.0, fetching=1), 100.0)
    seen = measure(seen, Work(6, 6, 5, 120.0, 120.0, 0.0, fetching=1, reading=1), 102.0)
    assert seen.reading.done == 0.0
    # Nor is that of an item which failed or was cancelled.
    seen = measure(seen, Work(6, 5, 4, 120.0, 100.0, 0.0, fetching=1, reading=1), 104.0)
    seen = measure(seen, Work(6, 4, 4, 120.0, 80.0, 20.0, fetching=1), 106.0)
    assert (seen.reading.done, seen.reading.busy_s) == (20.0, 1.0)  # it ended in between


@pytest.mark.parametrize("begins_s", [0.0, 0.7, 1.3, 1.9])
def test_a_stage_that_works_now_and_then_is_as_slow_as_when_it_works(begins_s: float) -> None:
    """Items of 60 s that arrive every 7 s are read in 3 s each; it is measured every 2 s."""
    seen: Measured | None = None
    for at in range(0, 210, 2):
        arrived = [n for n in range(30) if begins_s + 7 * n <= at]
        read = [min(1.0, (at - begins_s - 7 * n) / 3) for n in arrived]
        here = sum(share < 1 for share in read)
        left = 30 - sum(share == 1 for share in read)
        work = state(30, left, 30 - len(arrived), 1800.0, 1800.0 - 60.0 * sum(read), reading=here)
        seen = measure(seen, work, float(at))
    assert seen is not None and seen.reading.rate == pytest.approx(20.0, rel=0.2)


def test_stored_measurements_return_and_others_do_not() -> None:
    seen = measure(None, state(3, 3, 3, 90.0, 90.0, fetching=1), 7.0)
    assert Measured.from_dict(seen.as_dict()) == seen
    assert Measured.from_dict({"at": 3.0}) is None
    assert Measured.from_dict(None) is None
    older = {**seen.as_dict(), "reading": {"busy_s": 3.0}}
    assert Measured.from_dict(older) is None


def test_nothing_is_left_of_a_run_that_has_ended() -> None:
    assert known_left(Forecast(3.0), None, state(3, 0, 0, 90.0, 0.0)).expected_s == 0.0
