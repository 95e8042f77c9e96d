"""Filters of a listing, and the parser of the dates and lengths that users write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from kb.errors import UsageError
from kb.sources.base import Filters
from kb.storage.validation import first_mistake
from kb.types import MediaItem

# A short is upright and at most three minutes long; the API gives only the length.
SHORT_MAX_S = 180.0
SHORT_SURE_S = 61.0

_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_BEFORE_TODAY = re.compile(r"(\d+)([dw])")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2})")


@dataclass(frozen=True, slots=True)
class VideoFilters(Filters):
    """The filters of `kb scan` and `kb ingest`; with the defaults every item passes.

    `after` and `before` are ISO dates, both inclusive; those of a followed source may be a time
    before today, such as `30d`, which `dated` makes a date at each look. `playlist` narrows a
    channel to one of its playlists (id, link or title). `title` is a regular expression that
    matches anywhere in the title, ignoring case. `new` leaves out the items that are known already.
    `limit` is the largest number of items, 0 for all. `captions` are those that people made: True
    for items with such, False for items without. An item passes a filter for a duration or captions
    that are unknown, because it may be wanted.
    """

    playlist: str = ""
    min_duration_s: float | None = None
    max_duration_s: float | None = None
    title: str = ""
    no_shorts: bool = False
    new: bool = False
    limit: int = 0
    captions: bool | None = None

    @classmethod
    def of(cls, filters: Filters) -> VideoFilters:
        """Return any filters as video filters."""
        if isinstance(filters, cls):
            return filters
        return cls(after=filters.after, before=filters.before)

    @classmethod
    def typed(
        cls,
        *,
        after: str = "",
        before: str = "",
        min_duration: str = "",
        max_duration: str = "",
        playlist: str = "",
        **others: Any,
    ) -> VideoFilters:
        """Return the filters of typed values, with days and lengths as a user writes them.

        `others` are fields. Raises UsageError for an invalid value.
        """
        return cls(
            after=moving_day(after) if after else "",
            before=moving_day(before, end=True) if before else "",
            playlist=playlist.strip(),
            min_duration_s=parse_span(min_duration) if min_duration else None,
            max_duration_s=parse_span(max_duration) if max_duration else None,
            **others,
        ).checked()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> VideoFilters:
        """Return the filters that `as_dict` wrote; unknown names are ignored.

        Raises UsageError naming the filter whose value cannot be used.
        """
        try:
            return _STORED.validate_python(values)
        except ValidationError as error:
            name, problem = first_mistake(error)
            raise UsageError(
                "filters.stored",
                "Stored filters, {name}: {problem}.",
                hint="Follow or ingest the source again with other filters.",
                name=name,
                problem=problem,
            ) from error

    def as_dict(self) -> dict[str, Any]:
        """Return the filters as plain JSON values."""
        document: dict[str, Any] = _STORED.dump_python(self, mode="json")
        if self.captions is None:
            del document["captions"]  # a listing without this filter keeps its id
        return document

    def as_typed(self) -> str:
        """Return these filters as flags of the command line, without `--new`."""
        low, high = self.min_duration_s, self.max_duration_s
        flags = (
            ("--after", self.after),
            ("--before", self.before),
            ("--playlist", self.playlist),
            ("--min-duration", "" if low is None else f"{low:g}s"),
            ("--max-duration", "" if high is None else f"{high:g}s"),
            ("--title", self.title),
            ("--limit", f"{self.limit or ''}"),
        )
        words = [f"{flag} {shlex.quote(value)}" for flag, value in flags if value]
        switches = ("--no-shorts" if self.no_shorts else "", _CAPTIONS_FLAGS[self.captions])
        return " ".join([*words, *filter(None, switches)])

    @property
    def needs_duration(self) -> bool:
        """True if a filter needs the duration of an item."""
        return self.min_duration_s is not None or self.max_duration_s is not None

    def checked(self) -> VideoFilters:
        """Return these filters.

        Raises UsageError for an invalid date, pattern or number, and for an empty range.
        """
        for name in ("after", "before"):
            if value := getattr(self, name):
                parse_day(value, end=name == "before")
        first, last = self._days()
        if first and last and first > last:
            raise UsageError(
                "filters.days_reversed",
                "No day is both after {after} and before {before}.",
                hint="Choose an earlier first day or a later last day.",
                after=first,
                before=last,
            )
        try:
            re.compile(self.title)
        except re.error as error:
            raise UsageError(
                "filters.title_pattern",
                "The title pattern {pattern!r} is no regular expression: {reason}.",
                hint="Put a backslash before characters such as ( [ + ? to mean themselves.",
                pattern=self.title,
                reason=error,
            ) from None
        low, high = self.min_duration_s, self.max_duration_s
        if low is not None and high is not None and low > high:
            raise UsageError(
                "filters.durations_reversed",
                "No duration is over {low:g} s and under {high:g} s.",
                hint="Choose a shorter minimum or a longer maximum duration.",
                low=low,
                high=high,
            )
        if self.limit < 0:
            raise UsageError(
                "filters.limit",
                "The limit must be 0 (all) or more, not {limit}.",
                hint="Give the largest number of media, or 0 for all.",
                limit=self.limit,
            )
        return self

    def dated(self) -> VideoFilters:
        """Return these filters with the dates that their times before today have now."""
        after, before = self._days()
        return replace(self, after=after, before=before)

    def _days(self) -> tuple[str, str]:
        return (
            parse_day(self.after) if self.after else "",
            parse_day(self.before, end=True) if self.before else "",
        )

    def keep(self, item: MediaItem) -> bool:
        """Return True if the item passes the filters that need nothing but the item.

        `new` and `limit` need the listing and are not applied here.
        """
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
        captions = item.extra.get("captions")
        if self.captions is not None and isinstance(captions, bool) and captions != self.captions:
            return False
        return not self.title or re.search(self.title, item.title, re.IGNORECASE) is not None


_STORED = TypeAdapter(VideoFilters)
_CAPTIONS_FLAGS = {None: "", True: "--with-captions", False: "--without-captions"}


def is_short(item: MediaItem) -> bool:
    """Return True for a YouTube short: by the listing's own value, else by length and tag."""
    listed = item.extra.get("short")
    if isinstance(listed, bool):
        return listed
    if item.source != "youtube" or not item.duration_s or item.duration_s > SHORT_MAX_S:
        return False
    words = f"{item.title} {item.description} {' '.join(item.tags)}".lower()
    return item.duration_s <= SHORT_SURE_S or "#short" in words


def parse_day(text: str, *, end: bool = False, today: date | None = None) -> str:
    """Return a date in one of the forms that users write as an ISO date.

    `2024-03-05`, `2024-03`, `2024` (their first day, or the last with `end`), `today`,
    `yesterday`, or a time before today such as `30d` or `2w`. Raises UsageError for other text.
    """
    now = today or date.today()
    word = text.strip().lower()
    try:
        if word in ("today", "yesterday"):
            return (now - timedelta(days=word == "yesterday")).isoformat()
        if match := _BEFORE_TODAY.fullmatch(word):
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
        "filters.date",
        "{text!r} is not a date.",
        hint="Write 2024-03-05, 2024-03, 2024, yesterday or 30d.",
        text=text,
    )


def moving_day(text: str, *, end: bool = False) -> str:
    """Return a time before today, such as `30d`, as it is, and any other date as `parse_day` does.

    Raises UsageError for other text.
    """
    day = parse_day(text, end=end)
    word = text.strip().lower()
    return word if _BEFORE_TODAY.fullmatch(word) else day


def parse_span(text: str) -> float:
    """Return a length of time in seconds.

    Accepts `90`, `90s`, `1:30`, `1:02:03`, `10m`, `1h30m`, `6h` and `1d`. Raises UsageError for
    other text.
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
        "filters.duration",
        "{text!r} is not a length of time.",
        hint="Write 90s, 10m, 1h30m, 6h, 1d or 1:02:03.",
        text=text,
    )
