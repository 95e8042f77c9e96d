"""Leaps of the clock: nothing is deleted by its age because a clock is wrong.

The clock is the database's own (`Database.time`): that of the machine for a file, that of the
server for PostgreSQL, whose machines share the record.

A clock that is a year ahead makes every file look a year old, and so does a year in which the
machine was off. The clock shows no difference between the two, so of a leap at most one day
counts: files are deleted days later than they could be, and never early. Under `clock` in
`library.json`, which outlives the database:

    {"last": latest time, "leaps": [[before, after], …]}   epoch seconds

A leap ends earlier when the clock is set back behind its end: it was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kb import storage
from kb.library.library import LOCK_FOLDER, Library
from kb.types.clock import SLACK_S

FACT = "clock"
COUNTED_S = 86_400.0  # the most that counts of a leap; a shorter step of the clock is none
WRITE_EVERY_S = 3600.0
DOUBT_S = 3600.0  # in which a machine that was off sets its clock by the network
MONTH_S = 30 * 86_400.0
KEPT = 200  # leaps


@dataclass(frozen=True, slots=True)
class ClockLeaps:
    """The leaps of a clock as pairs of times before and after, in epoch seconds."""

    leaps: Sequence[tuple[float, float]] = ()

    def age_s(self, moment: float, now: float) -> float | None:
        """Return the seconds since a stored time without leaps; None for one in the future."""
        if moment > now:
            return None
        unseen_s = sum(
            max(0.0, min(now, after) - max(moment, before) - COUNTED_S)
            for before, after in self.leaps
        )
        return max(0.0, now - moment - unseen_s)

    def is_doubtful(self, now: float) -> bool:
        """Return True shortly after a leap: the clock may be set back.

        That is an hour, and a day after a leap of a month or more.
        """
        return any(
            after <= now < after + (COUNTED_S if after - before >= MONTH_S else DOUBT_S)
            for before, after in self.leaps
        )


def record_time(library: Library, now: float) -> ClockLeaps:
    """Record that the clock shows `now` (epoch seconds); return its leaps. Raises LibraryError."""
    before = _read(library)
    if _next(before, now) is before:
        return _leaps(before)
    with storage.locked(library.home / LOCK_FOLDER / "library.lock"):
        before = _read(library)
        after = _next(before, now)
        if after is not before:
            library.write_facts({FACT: after})
    return _leaps(after)


def _next(before: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Return the record after a look at the clock, the same object if nothing is to be written."""
    last = before.get("last")
    if last is None:
        return {"last": now, "leaps": []}
    if now < last - SLACK_S:
        # The clock may be set back in part only, and then it is still ahead.
        leaps = [[start, min(end, now)] for start, end in before["leaps"] if start < now]
        leaps = [[start, end] for start, end in leaps if end - start > COUNTED_S]
        return {"last": now, "leaps": leaps}
    if now > last + COUNTED_S:
        return {**before, "last": now, "leaps": [*before["leaps"], [last, now]][-KEPT:]}
    return {**before, "last": now} if now >= last + WRITE_EVERY_S else before


def _read(library: Library) -> dict[str, Any]:
    """Return the stored record, empty if there is none that can be used."""
    stored: Any = library.read_facts().get(FACT)
    try:
        leaps = [[float(start), float(end)] for start, end in stored["leaps"]]
        return {"last": float(stored["last"]), "leaps": leaps}
    except (KeyError, TypeError, ValueError):
        return {}


def _leaps(record: Mapping[str, Any]) -> ClockLeaps:
    return ClockLeaps([(start, end) for start, end in record["leaps"]])
