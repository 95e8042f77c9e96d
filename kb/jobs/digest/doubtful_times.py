"""Recorded times that cannot be right, by the order in which they were recorded.

Looks and attempts are numbered in the order in which they happen. A time that is in the future or
before there was such a program, or that is out of order with most of the others, was written by a
wrong clock: the real time is between those of its neighbours. So a week in which the clock was
wrong is not taken for a week without looks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from kb.types.clock import EARLIEST_S, SLACK_S, is_future


@dataclass(frozen=True, slots=True)
class Span:
    """The times between which something happened, in epoch seconds."""

    begin: float
    end: float

    def meets(self, begin: float, end: float) -> bool:
        """Return True if it may have happened between `begin` and `end`."""
        return self.begin < end and self.end >= begin


def doubtful_spans(
    times: Sequence[float], now: float, tolerance_s: float = SLACK_S
) -> dict[int, Span]:
    """Return the places of the times that cannot be right, and when they really were.

    `times` are epoch seconds in the order in which they were recorded; they may be out of order by
    `tolerance_s`.
    """
    wrong = {place for place, each in enumerate(times) if is_future(each, now) or each < EARLIEST_S}
    good = _in_order([place for place in range(len(times)) if place not in wrong], times)
    found: dict[int, Span] = {}
    for place, each in enumerate(times):
        after = bisect_right(good, place)
        if after and good[after - 1] == place:
            continue
        begin = times[good[after - 1]] if after else float("-inf")
        end = times[good[after]] if after < len(good) else now
        if place in wrong or not begin - tolerance_s <= each <= end + tolerance_s:
            found[place] = Span(begin, end)
    return found


def _in_order(places: Sequence[int], times: Sequence[float]) -> list[int]:
    """Return the longest series of places whose times do not decrease (patience sorting)."""
    tails: list[float] = []  # the least last time of a series of each length
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for place in places:
        length = bisect_right(tails, times[place])
        before[place] = ends[length - 1] if length else None
        if length == len(tails):
            tails.append(times[place])
            ends.append(place)
        else:
            tails[length], ends[length] = times[place], place
    series: list[int] = []
    last = ends[-1] if ends else None
    while last is not None:
        series.append(last)
        last = before[last]
    return series[::-1]
