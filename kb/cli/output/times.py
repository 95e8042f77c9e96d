"""Times for people at a terminal: with year and zone, because lists are read weeks later."""

from __future__ import annotations

import time

from kb.types.clock import is_future


def format_moment(seconds: float) -> str:
    """Return a time (epoch seconds) as `26 Nov 2026 18:05 CET`."""
    return time.strftime("%d %b %Y %H:%M %Z", time.localtime(seconds)).strip()


def format_past(seconds: float) -> str:
    """Return the time of what has happened; one in the future says nothing (`kb.types.clock`)."""
    return "(time unknown)" if is_future(seconds) else format_moment(seconds)


def with_next_try(text: str, next_at: float | None) -> str:
    """Return a sentence, and the time of the next try (epoch seconds) after it."""
    if next_at is None:
        return text
    stop = "" if text.endswith((".", "!", "?")) else "."
    return f"{text}{stop} Next try {format_moment(next_at)}."


def format_span(seconds: float) -> str:
    """Return a length of time as `45 s`, `6 h`, `1 h 30 min` or `2 d`."""
    if seconds >= 2 * 86_400 and seconds % 86_400 == 0:
        return f"{seconds / 86_400:.0f} d"
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(int(seconds / 60 + 0.5), 60)  # `round` makes 2 of 1.5 and of 2.5
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
