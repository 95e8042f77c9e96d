"""Times that a wrong clock recorded are found by their order, and hide no week."""

from __future__ import annotations

import pytest

from kb.jobs.digest.activity import DAY_S
from kb.jobs.digest.doubtful_times import Span, doubtful_spans

HOUR = 3600.0
NOW = 1.7e9
NEVER = float("-inf")


def days(*numbers: float) -> list[float]:
    return [NOW + number * DAY_S for number in numbers]


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ([], {}),
        (days(-3, -2, -1, 0), {}),
        (days(-1, -1, -1), {}),
        # Ahead: by a day, by 400 days for two looks, all of them, and the last one.
        (days(-3, 1, -1), {1: (-3, -1)}),
        (days(-3, 398, 399, -1), {1: (-3, -1), 2: (-3, -1)}),
        (days(398, 399), {0: (NEVER, 0), 1: (NEVER, 0)}),
        (days(-3, -2, 400), {2: (-2, 0)}),
        # It was ahead, and that day has come since.
        (days(-500, -100, -499, -498, -497), {1: (-500, -499)}),
        # Behind: by twenty years, at the begin, at the end.
        (days(-3, -7000, -6999, -1), {1: (-3, -1), 2: (-3, -1)}),
        (days(-7000, -3, -2), {0: (NEVER, -3)}),  # before there was such a program
        (days(-900, -3, -2), {}),  # it may have been off for years
        (days(-3, -2, -1.5, -7000), {3: (-1.5, 0)}),
        # Machines whose clocks differ by minutes.
        ([NOW - 3 * HOUR, NOW - 3.2 * HOUR, NOW - 2 * HOUR], {}),
        ([NOW - 4 * HOUR, NOW - 3 * HOUR, NOW - 5 * HOUR, NOW - 2 * HOUR], {2: None}),
        ([NOW - HOUR, NOW + 1200], {}),
    ],
)
def test_a_time_that_cannot_be_right(
    times: list[float], found: dict[int, tuple[float, float] | None]
) -> None:
    spans = doubtful_spans(times, NOW)
    assert spans.keys() == found.keys()
    for place, limits in found.items():
        if limits is not None:
            begin, end = (each if each == NEVER else NOW + each * DAY_S for each in limits)
            assert spans[place] == Span(begin, end)


@pytest.mark.parametrize(
    ("begin", "end", "meets"),
    [(-9, -8, False), (-8, -3, False), (-4, -2, True), (-2, -1.5, True), (-2, 0, True),
     (-0.5, 0, False)],
)  # fmt: skip
def test_a_period_in_which_it_may_have_happened(begin: float, end: float, meets: bool) -> None:
    begin_at, end_at, first, last = days(begin, end, -3, -1)
    assert Span(first, last).meets(begin_at, end_at) is meets


def test_attempts_may_end_hours_after_later_ones() -> None:
    times = [NOW - 10 * HOUR, NOW - HOUR, NOW - 9 * HOUR, NOW - 8 * HOUR]
    assert doubtful_spans(times, NOW, DAY_S) == {}
