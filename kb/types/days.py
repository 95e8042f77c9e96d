"""Days on one calendar, that of this machine's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

# Clocks that were never set count from one of these days; a time zone may move them by a day.
_UNSET = tuple(date(year, 1, 1) for year in (1904, 1970, 1980))
_DAY = timedelta(days=1)
FIRST_YEAR = 1880  # no recording that can be played is older


def local_day(moment: datetime) -> str:
    """Return the day of a moment on this machine's calendar as an ISO date.

    A moment without a time zone is local already. Returns an empty text if it is out of range.
    """
    try:
        return moment.astimezone().date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def local_day_of(timestamp_s: float) -> str:
    """Return the local day of a time in seconds since the epoch, empty if it is out of range."""
    try:
        return local_day(datetime.fromtimestamp(timestamp_s, UTC))
    except (OverflowError, OSError, ValueError):
        return ""


def utc_day_of(timestamp_s: float) -> str:
    """Return the UTC day of a time in seconds since the epoch, empty if it is out of range."""
    try:
        return datetime.fromtimestamp(timestamp_s, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def local_day_of_iso(text: str) -> str:
    """Return the local day of an ISO moment; of a text that is none, the day that it begins with.

    A text that begins with no day gives an empty text.
    """
    try:
        return local_day(datetime.fromisoformat(text)) or text[:10]
    except ValueError:
        pass
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""


def as_recorded(year: int, month: int, day: int, *, by_clock: bool = False) -> str:
    """Return the ISO date of a day on which a recording can have been made, else an empty text.

    That is no impossible day, none before sound was recorded and none in the future (a day is
    allowed for time zones). `by_clock`: the day comes from a clock, which may not have been set.
    """
    try:
        found = date(year, month, day)
    except ValueError:
        return ""
    if year < FIRST_YEAR or found > date.today() + _DAY:
        return ""
    if by_clock and any(abs(found - unset) <= _DAY for unset in _UNSET):
        return ""
    return found.isoformat()


def clock_day(day: str) -> str:
    """Return the ISO date of a clock, empty if the clock was not set or the date is none."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return ""
    return as_recorded(found.year, found.month, found.day, by_clock=True)
