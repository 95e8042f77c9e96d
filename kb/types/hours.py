"""Hours of the day in which work may begin: `22:00-06:00`, in this machine's zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

_SPAN = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*[-–]\s*(\d{1,2})(?::(\d{2}))?")
_DAY_MIN = 24 * 60
_DAYS_AHEAD = 8  # an hour that a change of the clock leaves out comes on the next day


@dataclass(frozen=True, slots=True)
class Hours:
    """Spans of the day in minutes since midnight; one whose end is not later crosses midnight."""

    spans: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Return the hours of a text such as `22:00-06:00` or `7-9, 12:30-13`.

        Raises ValueError for other text and for a span without length.
        """
        spans = []
        for part in text.split(","):
            match = _SPAN.fullmatch(part.strip())
            numbers = [int(each or 0) for each in match.groups()] if match else []
            if not match or max(numbers[1], numbers[3]) > 59:
                raise ValueError(text)
            start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
            if start >= _DAY_MIN or end > _DAY_MIN or start == end:
                raise ValueError(text)
            spans.append((start, end))
        return cls(tuple(spans))

    def contains(self, moment_s: float) -> bool:
        """Return True if a time in epoch seconds is within the hours."""
        local = datetime.fromtimestamp(moment_s)
        minute = local.hour * 60 + local.minute
        return any(
            start <= minute < end if start < end else minute >= start or minute < end
            for start, end in self.spans
        )

    def next_open(self, now_s: float) -> float:
        """Return the time in epoch seconds at which work may begin: now, or the next opening."""
        if self.contains(now_s):
            return now_s
        today = datetime.fromtimestamp(now_s).date()
        moments = sorted(
            moment
            for ahead in range(_DAYS_AHEAD)
            for start, _ in self.spans
            for moment in _moments(today + timedelta(days=ahead), start)
            if moment > now_s and self.contains(moment)
        )
        return moments[0] if moments else now_s + 60.0 * _DAY_MIN


def _moments(day: date, minute: int) -> tuple[float, float]:
    """Return the time of a minute of a day; an hour that the clock repeats has two of them."""
    local = datetime.combine(day, time(minute // 60, minute % 60))
    return local.timestamp(), local.replace(fold=1).timestamp()
