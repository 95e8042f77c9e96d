"""Days as people write them in filters."""

from __future__ import annotations

from datetime import date

from kb.errors import UsageError


def check_day(name: str, day: str) -> None:
    """Raise UsageError unless the text is empty or an ISO day; `name` is that of the field."""
    if not day:
        return
    try:
        if date.fromisoformat(day).isoformat() == day:
            return
    except ValueError:
        pass
    raise UsageError(
        "reading.day",
        "{name} {day!r} is no day.",
        hint="Write a day like 2026-01-31.",
        name=name,
        day=day[:40],
    )
