"""Hours of the day in which work may begin: `22:00-06:00`, or `22:00-06:00@Europe/Berlin`.

Without a zone they are in that of the machine.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SPAN = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*[-–]\s*(\d{1,2})(?::(\d{2}))?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
# Files of a system that are another zone, or none, on each machine.
_NO_ZONES = frozenset(("localtime", "posixrules", "Factory"))
_DAY_MIN = 24 * 60
_DAYS_AHEAD = 8  # an hour that a change of the clock leaves out comes on the next day


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans of the day in minutes since midnight; one whose end is not later crosses midnight."""

    spans: tuple[tuple[int, int], ...]
    zone: tzinfo | None = None

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours of a text such as `22:00-06:00` or `7-9, 12:30-13`.

        A zone may follow: `@Europe/Berlin` or `@+0200`. Raises ValueError for other text, for a
        span without length and for an unknown zone.
        """
        spans = []
        hours, has_zone, zone = text.partition("@")
        for part in hours.split(","):
            match = _SPAN.fullmatch(part.strip())
            numbers = [int(each or 0) for each in match.groups()] if match else []
            if not match or max(numbers[1], numbers[3]) > 59:
                raise ValueError(text)
            start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
            if start >= _DAY_MIN or end > _DAY_MIN or start == end:
                raise ValueError(text)
            spans.append((start, end))
        return cls(tuple(spans), _zone(zone.strip()) if has_zone else None)

    def clock(self, moment_s: float) -> str:
        """Return a time in epoch seconds as the clock of the zone shows it."""
        return f"{datetime.fromtimestamp(moment_s, self.zone):%H:%M %Z}".strip()

    def contains(self, moment_s: float) -> bool:
        """Return True if a time in epoch seconds is within the hours."""
        local = datetime.fromtimestamp(moment_s, self.zone)
        minute = local.hour * 60 + local.minute
        return any(
            start <= minute < end if start < end else minute >= start or minute < end
            for start, end in self.spans
        )

    def next_open(self, now_s: float) -> float:
        """Return the time in epoch seconds at which work may begin: now, or the next opening."""
        if self.contains(now_s):
            return now_s
        today = datetime.fromtimestamp(now_s, self.zone).date()
        moments = sorted(
            moment
            for ahead in range(_DAYS_AHEAD)
            for start, _ in self.spans
            for moment in _moments(today + timedelta(days=ahead), start, self.zone)
            if moment > now_s and self.contains(moment)
        )
        return moments[0] if moments else now_s + 60.0 * _DAY_MIN


def with_zone(text: str) -> str:
    """Return hours of the day with a zone: that of this machine where they name none."""
    return text if "@" in text else f"{text}@{local_zone()}"


def local_zone() -> str:
    """Return the name of this machine's zone, or its present distance from UTC: `+0200`."""
    place = Path("/etc/localtime").resolve().as_posix().partition("zoneinfo/")[2]
    for name in (os.environ.get("TZ", "").lstrip(":"), place):
        try:
            # Only one that gives the clock of this process: TZ may come too late for it.
            if name and datetime.now(_zone(name)).utcoffset() == _offset():
                return name
        except ValueError:
            continue
    return f"{datetime.now().astimezone():%z}"


def _offset() -> timedelta | None:
    return datetime.now().astimezone().utcoffset()


def _zone(name: str) -> tzinfo:
    match = _OFFSET.fullmatch(name)
    if match:
        sign, hours, minutes = match.groups()
        distance = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-distance if sign == "-" else distance)
    try:
        if name in _NO_ZONES:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(name) from None


def _moments(day: date, minute: int, zone: tzinfo | None) -> tuple[float, float]:
    """Return the time of a minute of a day; an hour that the clock repeats has two of them."""
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    return local.timestamp(), local.replace(fold=1).timestamp()
