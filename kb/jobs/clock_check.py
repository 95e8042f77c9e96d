"""Stored times in the future, for the user interfaces: a clock was wrong, or is wrong now."""

from __future__ import annotations

import time

from kb.database import Database
from kb.database.future_times import future_times
from kb.errors import KBError


def clock_problem(database: Database, now: float | None = None) -> KBError | None:
    """Return the error that describes stored times in the future; None if there are none.

    `now` is the present time in epoch seconds. Raises LibraryError.
    """
    found = future_times(database, now)
    if not found:
        return None
    latest = max(each.latest for each in found)
    return KBError(
        "clock.future_times",
        "{count:stored time is|stored times lie} in the future (in {tables}; the latest is "
        "{latest}): a clock was "
        "wrong when they were written, or is wrong now. What happened at such a time has no known "
        "time, and what is due after it is due now.",
        hint="Compare the clocks of all machines of this library with the real time.",
        count=sum(each.count for each in found),
        tables=", ".join(sorted({each.table for each in found})),
        latest=time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(latest)).strip(),
    )
