"""Which media of a listing are wanted, and the words in which people say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Any

from kb.errors import UsageError
from kb.sources.base import Filters
from kb.types import MediaItem

# Up to three minutes and upright make a short; the API tells only the length.
SHORT_MAX_S = 180.0
SHORT_SURE_S = 61.0

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2})")


@dataclass(frozen=True, slots=True)
class VideoFilters(Filters):
    """The filters of `kb scan` and `kb ingest`; the defaults let everything through.

    `after` and `before` are ISO dates and included. `playlist` narrows a channel to one of
    its playlists (id, link or title). `title` is a regular expression, found anywhere, in any
    case. `new` leaves out what is known already. `limit` is the most items, 0 for all.
    An item whose duration is unknown passes the duration filters: it may be wanted.
    """

    playlist: str = ""
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    title: str = ""
    no_shorts: bool = False
    new: bool = False
    limit: int = 0

    @classmethod
    def of(cls, filters: Filters) -> VideoFilters:
        """Any filters as these."""
        if isinstance(filters, cls):
            return filters
        return cls(after=filters.after, before=filters.before)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoFilters:
        """The inverse of `as_dict`; unknown names are passed over."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """The filters as plain JSON values."""
        return asdict(self)

    @property
    def needs_duration(self) -> bool:
        """Whether it matters how long an item is."""
        return self.min_duration_s is not None or self.max_duration_s is not None

    def checked(self) -> VideoFilters:
        """These filters. Raises UsageError for dates, a pattern or numbers that make no sense."""
        for name in ("after", "before"):
            if value := getattr(self, name):
                parse_day(value, end=name == "before")
        if self.after and self.before and self.after > self.before:
            raise UsageError(f"Nothing lies after {self.after} and before {self.before}.")
        try:
            re.compile(self.title)
        except re.error as error:
            raise UsageError(
                f"The title pattern {self.title!r} is no regular expression: {error}.",
                hint="Put a backslash before characters such as ( [ + ? to mean themselves.",
            ) from None
        low, high = self.min_duration_s, self.max_duration_s
        if low is not None and high is not None and low > high:
            raise UsageError(f"No duration is over {low:g} s and under {high:g} s.")
        if self.limit < 0:
            raise UsageError("The limit must be 0 (all) or more.")
        return self

    def keep(self, item: MediaItem) -> bool:
        """Whether the item is wanted, `new` and `limit` left aside: those need the listing."""
        # Not super(): the zero-argument form breaks in dataclasses with slots.
        if not Filters.keep(self, item):
            return False
        duration = item.duration_s
        if duration is not None:
            if self.min_duration_s is not None and duration < self.min_duration_s:
                return False
            if self.max_duration_s is not None and duration > self.max_duration_s:
                return False
        if self.no_shorts and is_short(item):
            return False
        return not self.title or re.search(self.title, item.title, re.IGNORECASE) is not None


def is_short(item: MediaItem) -> bool:
    """Whether the item is a YouTube short: as listed, else guessed by length and its tag."""
    listed = item.extra.get("short")
    if isinstance(listed, bool):
        return listed
    if item.source != "youtube" or not item.duration_s or item.duration_s > SHORT_MAX_S:
        return False
    words = f"{item.title} {item.description} {' '.join(item.tags)}".lower()
    return item.duration_s <= SHORT_SURE_S or "#short" in words


def parse_day(text: str, *, end: bool = False, today: date | None = None) -> str:
    """A date as people write it, as an ISO date.

    `2024-03-05`, `2024-03`, `2024` (their first day, or the last with `end`), `today`,
    `yesterday`, or a span back from today such as `30d` or `2w`. Raises UsageError.
    """
    now = today or date.today()
    word = text.strip().lower()
    try:
        if word in ("today", "yesterday"):
            return (now - timedelta(days=word == "yesterday")).isoformat()
        if match := re.fullmatch(r"(\d+)([dw])", word):
            days = int(match[1]) * (7 if match[2] == "w" else 1)
            return (now - timedelta(days=days)).isoformat()
        if re.fullmatch(r"\d{4}", word):
            return f"{word}-12-31" if end else f"{word}-01-01"
        if match := re.fullmatch(r"(\d{4})-(\d{2})", word):
            first = date(int(match[1]), int(match[2]), 1)
            if not end:
                return first.isoformat()
            following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
            return (following - timedelta(days=1)).isoformat()
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{8}", word):
            return date.fromisoformat(word).isoformat()
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{text!r} is not a date.", hint="Write 2024-03-05, 2024-03, 2024, yesterday or 30d."
    )


def parse_span(text: str) -> float:
    """A length of time in seconds: `90`, `90s`, `1:30`, `1:02:03`, `10m`, `1h30m`, `6h`, `1d`.

    Raises UsageError.
    """
    word = text.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(?:\.\d+)?", word):
        return float(word)
    if match := _CLOCK.fullmatch(word):
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    if _SPAN.fullmatch(word):
        return sum(
            float(number) * _UNITS_S[unit]
            for number, unit in re.findall(r"(\d+(?:\.\d+)?)([wdhms])", word)
        )
    raise UsageError(
        f"{text!r} is not a length of time.", hint="Write 90s, 10m, 1h30m, 6h, 1d or 1:02:03."
    )
