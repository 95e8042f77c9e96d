"""Subscriptions: references that are checked for new media at regular intervals.

The workers read them from the database; `library.json` beside the media keeps a copy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from kb.database import Database, subscriptions
from kb.errors import StoredProblem, UsageError
from kb.library import Library
from kb.sources.listing.filters import VideoFilters
from kb.sources.youtube.links import parse_link

FACT = "subscriptions"
DEFAULT_EVERY_S = 6 * 3600.0
LEAST_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """One followed reference; times are in epoch seconds, `every_s` is in seconds.

    `options` are the options of the run as plain JSON values; `error` is the error of the last
    check, empty if it succeeded. `channel_id` is the lasting id of a channel, None before the
    first check: a handle may pass to another channel.
    """

    key: str
    reference: str
    every_s: float
    filters: VideoFilters
    options: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0
    next_at: float = 0.0
    last_at: float | None = None
    error: str = ""
    problem: StoredProblem | None = None
    channel_id: str | None = None


def subscription_key(reference: str) -> str:
    """Return a key that is the same for every form of a link to one channel or playlist."""
    link = parse_link(reference)
    return link.key if link else reference.strip()


class Subscriptions:
    """The subscriptions of one library. Methods raise LibraryError when it cannot be used.

    `clock` returns epoch seconds.
    """

    def __init__(
        self,
        database: Database,
        library: Library | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock

    def follow(
        self,
        reference: str,
        *,
        every_s: float = DEFAULT_EVERY_S,
        filters: VideoFilters | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Subscription:
        """Subscribe to a reference; its first check is due at once.

        A second call for the same reference changes its options and interval; its check is due
        at once too. Raises UsageError for a single video, and for an interval under a minute.
        """
        link = parse_link(reference)
        if link is not None and link.kind == "video":
            raise UsageError(
                "subscription.single_video",
                "{reference} is a single video, which brings nothing new.",
                hint="Follow its channel or a playlist.",
                reference=reference.strip(),
            )
        if not math.isfinite(every_s) or every_s < LEAST_EVERY_S:
            raise UsageError(
                "subscription.interval",
                "The interval of a subscription must be at least {least:g} s, not {given} s.",
                hint="Give a longer interval; every 6 h is the default.",
                least=LEAST_EVERY_S,
                given=f"{every_s:g}",
            )
        now = self._clock()
        key = subscription_key(reference)
        terms = {
            "reference": reference.strip(),
            "every_s": every_s,
            "filters": (filters or VideoFilters()).checked().as_dict(),
            "options": dict(options or {}),
        }
        with self._database.begin() as connection:
            self._database.insert_if_missing(
                connection,
                subscriptions,
                key=key,
                created_at=now,
                next_at=now,
                error="",
                problem=None,
                **terms,
            )
            connection.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.key == key)
                .values(next_at=now, **terms)
            )
        self._save_to_library()
        return next(each for each in self.list() if each.key == key)

    def unfollow(self, reference: str) -> bool:
        """Remove a subscription; return False if there was none."""
        with self._database.begin() as connection:
            removed = connection.execute(
                sa.delete(subscriptions).where(
                    subscriptions.c.key.in_([subscription_key(reference), reference.strip()])
                )
            )
        self._save_to_library()
        return bool(removed.rowcount)

    def list(self) -> tuple[Subscription, ...]:
        """Return all subscriptions, the oldest first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                sa.select(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.key)
            ).all()
        return tuple(map(_subscription, rows))

    def poll(self, start: Callable[[Subscription], None]) -> int:
        """Start a check of each subscription that is due; return the number started.

        One check replaces all that were missed while the machine was off: the next time is in
        the future, a whole number of intervals after the old one. `start` must be idempotent:
        after a crash between the start and the update of the next time, and when two workers
        poll at once, it is called twice for one check.
        """
        now = self._clock()
        count = 0
        for each in self.list():
            # A time further away than one interval: the clock was set back.
            if now < each.next_at <= now + each.every_s:
                continue
            start(each)
            beats = math.floor((now - each.next_at) / each.every_s) + 1
            with self._database.begin() as connection:
                moved = connection.execute(
                    sa.update(subscriptions)
                    .where(subscriptions.c.key == each.key, subscriptions.c.next_at == each.next_at)
                    .values(next_at=each.next_at + beats * each.every_s, last_at=now)
                )
            count += bool(moved.rowcount)
        return count

    def record_result(
        self, key: str, *, error: str = "", problem: StoredProblem | None = None
    ) -> None:
        """Store the error of a check, or the reason why it waits; an empty text is a success."""
        with self._database.begin() as connection:
            connection.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.key == key)
                .values(error=error, problem=problem)
            )

    def find(self, key: str) -> Subscription | None:
        """Return the subscription with this key, None if there is none."""
        return next((each for each in self.list() if each.key == key), None)

    def record_channel(self, key: str, channel_id: str) -> None:
        """Store the id of the channel that the reference led to at its first check."""
        with self._database.begin() as connection:
            changed = connection.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.key == key, subscriptions.c.channel_id.is_(None))
                .values(channel_id=channel_id)
            )
        if changed.rowcount:
            self._save_to_library()

    def restore(self) -> int:
        """Add the subscriptions of `library.json` that the database lacks; return their number."""
        if self._library is None:
            return 0
        known = {each.key for each in self.list()}
        saved = self._library.read_facts().get(FACT)
        count = 0
        for each in saved if isinstance(saved, list) else ():
            reference = each.get("reference") if isinstance(each, dict) else None
            if not isinstance(reference, str) or subscription_key(reference) in known:
                continue
            self.follow(
                reference,
                every_s=float(each.get("every_s") or DEFAULT_EVERY_S),
                filters=VideoFilters.from_dict(each.get("filters") or {}),
                options=each.get("options") or {},
            )
            if isinstance(each.get("channel_id"), str) and each["channel_id"]:
                self.record_channel(subscription_key(reference), each["channel_id"])
            count += 1
        return count

    def _save_to_library(self) -> None:
        if self._library is None:
            return
        self._library.write_facts(
            {
                FACT: [
                    {
                        "reference": each.reference,
                        "every_s": each.every_s,
                        "filters": each.filters.as_dict(),
                        "options": dict(each.options),
                        **({"channel_id": each.channel_id} if each.channel_id else {}),
                    }
                    for each in self.list()
                ]
            }
        )


def _subscription(row: sa.Row[Any]) -> Subscription:
    values = dict(row._mapping)
    return Subscription(**{**values, "filters": VideoFilters.from_dict(values["filters"])})
