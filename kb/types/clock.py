"""Stored times against a clock that may have been wrong.

Every time in the database and the files is in epoch seconds, by the clock of the process that
wrote it. A clock that is set back leaves times in the future, and such a time says nothing: its
age is unknown. All readers of stored times ask here, so that a clock that was wrong once is not
believed later. Within one process, elapsed time is measured with `time.monotonic`.
"""

from __future__ import annotations

import time

# Seconds by which a stored time may be later than now and still be believed: the clocks of the
# machines on one library differ by less.
SLACK_S = 1800.0
# No real time of this program is before 2020: a machine without a battery begins at such a day.
EARLIEST_S = 1_577_836_800.0


def is_future(moment: float, now: float | None = None) -> bool:
    """Return True for a stored time that is later than now by more than clocks differ."""
    return moment > (time.time() if now is None else now) + SLACK_S


def known_time(moment: float | None, now: float | None = None) -> float | None:
    """Return a stored time, None where it is unknown because it is in the future."""
    return None if moment is None or is_future(moment, now) else moment


def age_s(moment: float | None, now: float | None = None) -> float | None:
    """Return the seconds since a stored time, at least 0; None if they are unknown."""
    now = time.time() if now is None else now
    moment = known_time(moment, now)
    return None if moment is None else max(0.0, now - moment)


def is_younger(moment: float | None, limit_s: float, now: float | None = None) -> bool:
    """Return True if a stored time is known and less than `limit_s` seconds ago."""
    age = age_s(moment, now)
    return age is not None and age < limit_s


def has_come(
    due_at: float | None,
    now: float | None = None,
    *,
    written_at: float | None = None,
    longest_s: float | None = None,
) -> bool:
    """Return True if the time `due_at` has come, or cannot be believed.

    It cannot if it was written in the future (`written_at`), or is further away than `longest_s`,
    the longest wait of its kind: the clock was set back since. None has come.
    """
    now = time.time() if now is None else now
    if due_at is None or due_at <= now:
        return True
    if written_at is not None and is_future(written_at, now):
        return True
    return longest_s is not None and due_at > now + longest_s + SLACK_S


def believed_due(
    due_at: float,
    now: float | None = None,
    *,
    written_at: float | None = None,
    longest_s: float | None = None,
) -> float:
    """Return the time to show for one that is due: now, where it cannot be believed (`has_come`).

    What is due by such a time is done at once.
    """
    now = time.time() if now is None else now
    is_due = has_come(due_at, now, written_at=written_at, longest_s=longest_s)
    return now if is_due and due_at > now else due_at
