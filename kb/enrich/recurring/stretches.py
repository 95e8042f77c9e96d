"""Stretches of an item that occur in several items of its channel.

Given are spans with the item that has them, too. How many different items have each part of them
is counted at the ends of the spans, in order of time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kb.enrich.sound.index import Match
from kb.types.recurring import RecurringStretch

LEAST_ITEMS = 3  # of the channel, the item itself counted
LEAST_S, MOST_S = 4.0, 120.0  # of an intro or a sponsor read, by its sound
WHOLE_SHARE = 0.6  # of the shorter item: an upload again, or a cut
_NEAR_S = 0.6  # between two parts of one stretch


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds of an item that the item `who` has too."""

    start_s: float
    end_s: float
    who: str


def is_copy(match: Match, own_s: float) -> bool:
    """Return True if most of the shorter item is sound of the other one."""
    shorter_s = min(own_s, match.duration_s)
    return match.same_s + match.doubtful_s >= WHOLE_SHARE * shorter_s


def sound_spans(matches: Iterable[Match]) -> list[Span]:
    """Return the stretches of matches that surely have the same sound and are of a fitting length.

    The bit error rate of such a stretch is below 0.15 (`matching.SAME`).
    """
    return [
        Span(each.start_s, each.end_s, match.item_id)
        for match in matches
        for each in match.stretches
        if each.is_same and LEAST_S <= each.duration_s <= MOST_S
    ]


def recurring(
    spans: Sequence[Span], same: Mapping[str, str], least_s: float
) -> list[tuple[float, float, int]]:
    """Return start, end and number of items of what at least `LEAST_ITEMS` items have.

    `same` gives one name to items that are copies of each other: they count as one. The number is
    the largest within the stretch, the item itself counted.
    """
    ends = sorted(
        [(each.start_s, 1, same.get(each.who, each.who)) for each in spans]
        + [(each.end_s, -1, same.get(each.who, each.who)) for each in spans],
        key=lambda end: (end[0], end[1]),
    )
    open_spans: Counter[str] = Counter()
    found: list[tuple[float, float, int]] = []
    previous_s = 0.0
    for at_s, change, who in ends:
        items = len(open_spans) + 1
        if items >= LEAST_ITEMS and at_s > previous_s:
            if found and previous_s - found[-1][1] <= _NEAR_S:
                start_s, _, most = found.pop()
                found.append((start_s, at_s, max(most, items)))
            else:
                found.append((previous_s, at_s, items))
        open_spans[who] += change
        if not open_spans[who]:
            del open_spans[who]
        previous_s = at_s
    return [each for each in found if each[1] - each[0] >= least_s]


def joined(
    by_sound: Iterable[tuple[float, float, int]], by_text: Iterable[tuple[float, float, int]]
) -> tuple[RecurringStretch, ...]:
    """Return the stretches found in both ways in order of time; those that overlap are one."""
    given = [RecurringStretch(*each, by_sound=True) for each in by_sound]
    given += [RecurringStretch(*each, by_text=True) for each in by_text]
    found: list[RecurringStretch] = []
    for each in sorted(given, key=lambda one: (one.start_s, one.end_s)):
        if found and each.start_s < found[-1].end_s:
            last = found[-1]
            found[-1] = replace(
                last,
                end_s=max(last.end_s, each.end_s),
                items=max(last.items, each.items),
                by_sound=last.by_sound or each.by_sound,
                by_text=last.by_text or each.by_text,
            )
        else:
            found.append(each)
    return tuple(found)
