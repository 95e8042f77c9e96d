"""The conditions of followed references: their order, their rank and their English words.

Lists, summaries, the digest and the page show the conditions in this order: what needs a person
first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Condition(NamedTuple):
    """A condition: `rank` as in `FollowState.rank`, `words` after a number or a name."""

    rank: int
    words: str


CONDITIONS: Mapping[str, Condition] = {
    "error": Condition(0, "with an error"),
    "waiting": Condition(0, "with a look that waits"),
    "missing": Condition(1, "with missing items"),
    "short": Condition(1, "with a list shorter than its count"),
    "noted": Condition(1, "well, with a note"),
    "overdue": Condition(2, "overdue, because no worker runs"),
    "coming": Condition(3, "with items on the way"),
    "new": Condition(3, "without a look yet"),
    "well": Condition(3, "well"),
}
_PLACES = {name: place for place, name in enumerate(CONDITIONS)}


def place_of(condition: str) -> int:
    """Return the place of a condition in their order."""
    return _PLACES[condition]


def numbers_of(conditions: Iterable[str]) -> dict[str, int]:
    """Return the number of references in each condition that occurs, in their order."""
    found = dict.fromkeys(CONDITIONS, 0)
    for each in conditions:
        found[each] += 1
    return {name: count for name, count in found.items() if count}
