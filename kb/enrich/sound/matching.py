"""Comparison of two fingerprints: the stretches in which one has the sound of the other.

Bit errors are counted item by item at one offset and averaged over 20 items (2.5 s). Unrelated
speech differs in 35 to 50 % of the bits, the same sound encoded again in less than 10 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kb.enrich.sound.fingerprint import HOP_S, REACH_S, Fingerprint

SAME = 0.15  # bit error rate from which the sound is not surely the same
# Few items are little evidence: two recorded words that occur in two talks with nearly the same
# pause between them differ by 0.11 over 22 items; the same sound at 16 kbit/s by 0.08.
_SAME_SHORT, _LONG_ITEMS = 0.10, 40
DOUBTFUL = 0.20  # and from which it is another one: 4 % faster is between the two
LEAST_ITEMS = 20
_LEAST_HEARD = 10  # of the items that one average is made of
_EDGE_ITEMS = 8  # at the ends of a stretch, which must be the same by themselves
# Another word of 0.3 s in the same sentence raises the errors of 8 items to 0.13 and more; at
# 48 kbit/s they stay below 0.09, at 16 kbit/s below 2.8 times those of the whole.
_LOCAL_ITEMS, _LOCAL_LEAST, _LOCAL_FACTOR = 8, 0.11, 3.2
_DRIFT_S = 0.05  # between both halves of a stretch: it is faster or slower
_HALF_ITEMS = LEAST_ITEMS // 2
_MARGIN_S = 0.35
_BITS = 32.0

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a medium that has the sound of another one; times in seconds.

    `start_s`..`end_s` are of the medium, `other_s` is the time of the start in the other one;
    `errors` is the bit error rate, 0..1, over `items` items that are heard.
    """

    start_s: float
    end_s: float
    other_s: float
    errors: float
    items: int
    drifts: bool = False  # at another speed: times cannot be taken over

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def is_same(self) -> bool:
        """False for a stretch that a person has to judge."""
        evidence = (self.items - LEAST_ITEMS) / (_LONG_ITEMS - LEAST_ITEMS)
        limit = _SAME_SHORT + (SAME - _SAME_SHORT) * min(1.0, max(0.0, evidence))
        return self.errors < limit and not self.drifts


def compare(own: Fingerprint, other: Fingerprint, offset: int) -> list[Stretch]:
    """Return the stretches at one offset: item n of `own` is item n + `offset` of `other`.

    Those under `SAME` first; without any, those under `DOUBTFUL`.
    """
    span = _Span.of(own, other, offset)
    if span is None:
        return []
    same = _stretches(own, other, span, SAME, offset)
    return same or _stretches(own, other, span, DOUBTFUL, offset)


@dataclass(frozen=True, slots=True, eq=False)
class _Span:
    """The items that two fingerprints share at an offset; `first` is that of the own medium."""

    first: int
    errors: Numbers  # share of wrong bits of each item
    heard: npt.NDArray[np.bool_]  # in one of the two

    @classmethod
    def of(cls, own: Fingerprint, other: Fingerprint, offset: int) -> _Span | None:
        first, last = max(0, -offset), min(own.items.size, other.items.size - offset)
        if last - first < LEAST_ITEMS:
            return None
        here, there = slice(first, last), slice(first + offset, last + offset)
        wrong = np.bitwise_count(own.items[here] ^ other.items[there]) / _BITS
        return cls(first, wrong, own.heard[here] | other.heard[there])

    def average(self, width: int) -> tuple[Numbers, Numbers]:
        """Return the mean errors around each item, and the number of heard items in it."""
        ends = np.arange(self.errors.size)
        low = np.clip(ends - width // 2, 0, None)
        high = np.clip(ends + (width + 1) // 2, None, self.errors.size)
        counts = np.concatenate([[0.0], np.cumsum(self.heard)])
        sums = np.concatenate([[0.0], np.cumsum(self.errors * self.heard)])
        heard = counts[high] - counts[low]
        return (sums[high] - sums[low]) / np.maximum(heard, 1.0), heard


def _stretches(
    own: Fingerprint, other: Fingerprint, span: _Span, limit: float, offset: int
) -> list[Stretch]:
    errors, heard = span.average(LEAST_ITEMS)
    known = heard >= _LEAST_HEARD
    fits = known & (errors < limit)
    if not fits.any():
        return []
    differs = known & ~fits
    local, local_heard = span.average(_LOCAL_ITEMS)
    found = []
    for begin, end in _runs(fits, differs):
        # Another word in the same sentence: errors far above those of the rest.
        worst = max(_LOCAL_LEAST, _LOCAL_FACTOR * float(_rate(span, begin, end)[0]))
        worst = worst if limit == SAME else 1.0
        change = (local_heard >= _LOCAL_ITEMS // 2) & (local >= worst)
        inside = np.zeros_like(fits)
        inside[begin:end] = fits[begin:end] & ~change[begin:end]
        if not inside.any():
            continue
        for first, last in _runs(inside, differs | change):
            first, last = _shrunk(span, first, last, min(limit, worst))
            rate, count = _rate(span, first, last)
            if count < LEAST_ITEMS or rate >= limit:
                continue
            place = span.first + first, span.first + last
            start_s, end_s = _seconds(own, *place)
            shift_s = _fine_offset(own, other, *place, offset) * HOP_S
            drifts = abs(_drift(own, other, *place, offset)) * HOP_S > _DRIFT_S
            found.append(Stretch(start_s, end_s, start_s + shift_s, rate, count, drifts))
    return found


def _rate(span: _Span, first: int, last: int) -> tuple[float, int]:
    """Return the bit error rate of a run, and the number of its heard items."""
    heard = span.heard[first:last]
    count = int(heard.sum())
    return float((span.errors[first:last] * heard).sum()) / max(count, 1), count


def _runs(fits: npt.NDArray[np.bool_], differs: npt.NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Yield the runs of items that fit; silence between two of them, which fits all, joins them."""
    places = np.flatnonzero(fits)
    breaks = np.concatenate([[0], np.cumsum(differs)])
    begin = previous = int(places[0])
    for place in map(int, places[1:]):
        if breaks[place] - breaks[previous] > 0:
            yield begin, previous + 1
            begin = place
        previous = place
    yield begin, previous + 1


def _shrunk(span: _Span, begin: int, end: int, limit: float) -> tuple[int, int]:
    """Return a run without the items at its ends that fit by their neighbours alone."""
    counted = np.flatnonzero(span.heard[begin:end]) + begin
    errors = span.errors[counted]
    sums = np.concatenate([[0.0], np.cumsum(errors)])
    means = (sums[_EDGE_ITEMS:] - sums[:-_EDGE_ITEMS]) / _EDGE_ITEMS
    good = np.flatnonzero(means < limit)
    if not good.size:
        return begin, begin
    first, last = int(counted[good[0]]), int(counted[good[-1] + _EDGE_ITEMS - 1])
    return first, last + 1


def _seconds(own: Fingerprint, begin: int, end: int) -> tuple[float, float]:
    """Return the time of the sound that a run of items surely describes."""
    at_start, at_end = begin <= 2, end >= own.items.size - 2
    start_s = 0.0 if at_start else begin * HOP_S + _MARGIN_S
    # The sound after the last whole item is up to an item long.
    last_s = own.duration_s + 2 * HOP_S
    end_s = last_s if at_end else (end - 1) * HOP_S + REACH_S / 2
    return round(start_s, 3), round(min(end_s, last_s), 3)


def _fine_offset(own: Fingerprint, other: Fingerprint, begin: int, end: int, offset: int) -> float:
    """Return the offset in items with its fraction, from the errors at both neighbours."""
    heard = own.heard[begin:end]
    means = []
    for near in (offset - 1, offset, offset + 1):
        first, last = max(begin, -near), min(end, other.items.size - near)
        if last - first < _HALF_ITEMS:
            return float(offset)
        wrong = np.bitwise_count(own.items[first:last] ^ other.items[first + near : last + near])
        chosen = heard[first - begin : last - begin]
        means.append(float(wrong[chosen].mean()) if chosen.any() else 0.0)
    before, here, after = means
    # Errors grow with the distance on both sides alike: a V, not a parabola.
    slope = max(before, after) - here
    return offset + (0.5 * (before - after) / slope if slope > 0 else 0.0)


def _drift(own: Fingerprint, other: Fingerprint, begin: int, end: int, offset: int) -> float:
    """Return by how many items the offset of the second half differs from that of the first."""
    middle = (begin + end) // 2
    halves = ((begin, middle), (middle, end))
    first, second = (_fine_offset(own, other, *half, offset) for half in halves)
    return second - first


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return stretches in order of time; of those that overlap, the one with fewer errors.

    Where most of them drift, the other ones are of that speed too, and short by chance.
    """
    chosen: list[Stretch] = []
    for each in sorted(stretches, key=lambda one: (not one.is_same, -one.duration_s, one.errors)):
        if all(each.end_s <= one.start_s or each.start_s >= one.end_s for one in chosen):
            chosen.append(each)
    drifting_s = sum(each.duration_s for each in chosen if each.drifts)
    if drifting_s > sum(each.duration_s for each in chosen) / 2:
        chosen = [replace(each, drifts=True) for each in chosen]
    return sorted(chosen, key=lambda one: one.start_s)
