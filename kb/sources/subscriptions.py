"""Subscriptions: references that are checked for new media at regular intervals.

A subscription is a channel, a playlist or an address by its lasting identity
(`kb.sources.channel_identity`); the names by which it was followed lead to it. The workers read
subscriptions from the database; `library.json` beside the media keeps a copy, and the list of those
that were ended, so that a lost or an older database follows what the user follows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from kb.database import Database, subscriptions
from kb.database.repeating import repeated
from kb.errors import LibraryError, StoredProblem, UsageError
from kb.library import Library
from kb.sources import saved_subscriptions
from kb.sources.channel_identity import handle_key, identity, name_key
from kb.sources.listing.filters import VideoFilters
from kb.sources.saved_subscriptions import DEFAULT_EVERY_S as DEFAULT_EVERY_S
from kb.sources.saved_subscriptions import LEAST_EVERY_S
from kb.sources.youtube.links import parse_link
from kb.types.clock import has_come, known_time

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One followed reference; times are in epoch seconds, `every_s` is in seconds.

    `options` are the options of the run as plain JSON values; `error` is the error of the last
    check, empty if it succeeded. `channel_id` is the lasting id of a channel, None before it is
    known: a handle may pass to another channel. `title` and `handle` are the channel's or
    playlist's own, as the last check found them; `names` are references by which it was followed
    earlier; `followed_at` is the time of the last of these requests.
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
    title: str | None = None
    handle: str | None = None
    names: Sequence[str] | None = None
    followed_at: float | None = None

    @property
    def identity(self) -> str:
        """The lasting identity of what is followed; "" until the first check."""
        return identity(self.reference, self.channel_id)

    @property
    def keys(self) -> frozenset[str]:
        """The keys that items of this subscription may have: also those of merged ones."""
        names = map(name_key, _all_names(self))
        return frozenset(each for each in (self.key, self.identity, *names) if each)

    def is_named(self, reference: str) -> bool:
        """Return True for a reference that names what is followed, as far as that is known."""
        own = set(self.keys)
        if self.handle:
            own.add(handle_key(self.handle, self.reference))
        return name_key(reference) in own or reference.strip() in _all_names(self)


def subscription_key(reference: str) -> str:
    """Return a key that is the same for every form of a link to one channel or playlist."""
    return name_key(reference)


def check_interval(every_s: float) -> None:
    """Raise UsageError for an interval under a minute."""
    if not math.isfinite(every_s) or every_s < LEAST_EVERY_S:
        raise UsageError(
            "subscription.interval",
            "The interval of a subscription must be at least {least:g} s, not {given} s.",
            hint="A number alone is seconds: write 30m, 6h or 1d; every 6 h is the default.",
            least=LEAST_EVERY_S,
            given=f"{every_s:g}",
        )


class Subscriptions:
    """The subscriptions of one library. Methods raise LibraryError when it cannot be used.

    `clock` returns epoch seconds; without one the database's clock counts.
    """

    def __init__(
        self,
        database: Database,
        library: Library | None = None,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._library = library
        self._clock = clock or database.time

    @repeated
    def follow(
        self,
        reference: str,
        *,
        every_s: float = DEFAULT_EVERY_S,
        filters: VideoFilters | None = None,
        options: Mapping[str, Any] | None = None,
        channel_id: str = "",
    ) -> Subscription:
        """Subscribe to a reference; its first check is due at once.

        A second call for the same channel, playlist or address, under any name, changes its
        filters, options, interval and reference; its check is due at once too. `channel_id` is the
        id of the channel that the reference leads to, "" if it is not known yet.
        Raises UsageError for a single video, and for an interval under a minute.
        """
        link = parse_link(reference)
        if link is not None and link.kind == "video":
            raise UsageError(
                "subscription.single_video",
                "{reference} is a single video, which brings nothing new.",
                hint="Follow its channel or a playlist.",
                reference=reference.strip(),
            )
        check_interval(every_s)
        now = self._clock()
        terms = {
            "reference": reference.strip(),
            "every_s": every_s,
            "filters": (filters or VideoFilters()).checked().as_dict(),
            "options": dict(options or {}),
            "followed_at": now,
        }
        known = self.find_same(reference, channel_id, filters)
        if known is None:
            key = identity(reference, channel_id) or name_key(reference)
        else:
            key = known.key
            terms["names"] = _other_names(reference, known)
        if channel_id:
            terms["channel_id"] = channel_id
        with self._database.begin() as connection:
            self._database.insert_if_missing(
                connection,
                subscriptions,
                **{"key": key, "created_at": now, "next_at": now, "error": "", "problem": None}
                | terms,
            )
            connection.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.key == key)
                .values(next_at=now, **terms)
            )
        self._save_to_library()
        return next(each for each in self.list() if each.key == key)

    def find_same(
        self, reference: str, channel_id: str = "", filters: VideoFilters | None = None
    ) -> Subscription | None:
        """Return the subscription to what a reference leads to, under whatever name.

        `channel_id` is the id of the channel that it leads to now, "" if that is not known.
        """
        same = identity(reference, channel_id)
        playlist = _playlist(filters or VideoFilters())
        # A name that led to another channel earlier is followed beside that one.
        found = [
            each
            for each in self.list()
            if (each.identity == same and same)
            or (each.is_named(reference) and not (same and each.identity))
        ]
        found.sort(key=lambda each: (_playlist(each.filters) != playlist, each.created_at))
        return found[0] if found else None

    def find_named(self, reference: str) -> tuple[Subscription, ...]:
        """Return the subscriptions that a reference names: by a name, an id or any link."""
        everything = self.list()
        exact = tuple(each for each in everything if each.key == reference)
        return exact or tuple(each for each in everything if each.is_named(reference))

    def unfollow(self, reference: str) -> bool:
        """Remove a subscription, given by any of its names; return False if there was none."""
        return bool(self.end(self.find_named(reference)))

    @repeated
    def end(self, ended: Sequence[Subscription]) -> int:
        """Remove subscriptions; return the number removed."""
        keys = [each.key for each in ended]
        with self._database.begin() as connection:
            removed = connection.execute(
                sa.delete(subscriptions).where(subscriptions.c.key.in_(keys))
            )
        self._save_to_library(ended=ended)
        return int(removed.rowcount)

    @repeated
    def list(self) -> tuple[Subscription, ...]:
        """Return all subscriptions, the oldest first."""
        with self._database.begin() as connection:
            rows = connection.execute(
                sa.select(subscriptions).order_by(subscriptions.c.created_at, subscriptions.c.key)
            ).all()
        now = self._clock()
        return tuple(_subscription(row, now) for row in rows)

    def poll(self, start: Callable[[Subscription], None]) -> int:
        """Start a check of each subscription that is due; return the number started.

        One check replaces all that were missed while the machine was off: the next time is in
        the future, a whole number of intervals after the old one. `start` must be idempotent:
        after a crash between the start and the update of the next time, and when two workers
        poll at once, it is called twice for one check.
        """
        self.merge_doubles()
        now = self._clock()
        count = 0
        for each in self.list():
            if not has_come(each.next_at, now, longest_s=each.every_s):
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

    @repeated
    def record_result(
        self, key: str, *, error: str = "", problem: StoredProblem | None = None
    ) -> None:
        """Store the error of a check, or the reason why it waits; an empty text is a success.

        The copy in the library's files gets it too; where it cannot be written, the next check
        does so.
        """
        own_row = subscriptions.c.key == key
        with self._database.begin() as connection:
            change = sa.update(subscriptions).where(own_row).values(error=error, problem=problem)
            found = connection.execute(change).rowcount
        if not found or self._library is None:
            return
        try:
            if saved_subscriptions.lacks_check(self._library, self._row(key)):
                self._save_to_library()
        except LibraryError as problem_of_copy:
            log.warning("%s %s", problem_of_copy.message, problem_of_copy.hint)

    def find(self, key: str) -> Subscription | None:
        """Return the subscription with this key, None if there is none."""
        return next((each for each in self.list() if each.key == key), None)

    def find_of_item(self, key: str) -> Subscription | None:
        """Return the subscription of an item with this key, also if its own was merged with it."""
        everything = self.list()
        exact = next((each for each in everything if each.key == key), None)
        return exact or next((each for each in everything if key in each.keys), None)

    @repeated
    def record_channel(
        self, key: str, channel_id: str, title: str | None = None, handle: str | None = None
    ) -> None:
        """Store what a check found: the channel's id at the first one, its present names at each.

        Subscriptions that turn out to be the same channel are merged.
        """
        own_row = subscriptions.c.key == key
        shown = {"title": title, "handle": handle}
        with self._database.begin() as connection:
            changed = 0
            if channel_id:
                changed = connection.execute(
                    sa.update(subscriptions)
                    .where(own_row, subscriptions.c.channel_id.is_(None))
                    .values(channel_id=channel_id)
                ).rowcount
            for name, value in shown.items():
                column = subscriptions.c[name]
                if value:
                    different = sa.or_(column.is_(None), column != value)
                    change = sa.update(subscriptions).where(own_row, different)
                    changed += connection.execute(change.values({name: value})).rowcount
        if changed:
            self.merge_doubles()
            self._save_to_library()

    def merge_doubles(self) -> Sequence[str]:
        """Make one subscription of those that are the same channel; return the keys that are gone.

        It has the filters, options and interval of the one that was followed last, and the age of
        the first.
        """
        groups: dict[tuple[str, str], list[Subscription]] = {}
        for each in self.list():
            if each.identity:
                groups.setdefault((each.identity, _playlist(each.filters)), []).append(each)
        gone: list[str] = []
        for first, *others in groups.values():
            if not others:
                continue
            last = max((first, *others), key=lambda each: each.followed_at or each.created_at)
            names = {name: None for each in (first, *others) for name in _all_names(each)}
            terms = {
                name: value
                for name, value in self._row(last.key).items()
                if name not in ("key", "created_at", "channel_id", "names")
            }
            terms["next_at"] = self._clock()  # their looks end: the one that is kept is due now
            terms["channel_id"] = first.channel_id or last.channel_id
            terms["names"] = [name for name in names if name != last.reference]
            terms["followed_at"] = last.followed_at or last.created_at
            keys = [each.key for each in others]
            with self._database.begin() as connection:
                connection.execute(sa.delete(subscriptions).where(subscriptions.c.key.in_(keys)))
                own_row = subscriptions.c.key == first.key
                connection.execute(sa.update(subscriptions).where(own_row).values(**terms))
            gone += keys
            log.warning(
                "%s were followed as %d subscriptions and are the same; the terms of %s are kept"
                "%s; items that are queued keep the options of their runs",
                ", ".join(names), len(others) + 1, last.reference,
                "".join(_dropped(each, last) for each in (first, *others)),
            )  # fmt: skip
        if gone:
            self._save_to_library()
        return gone

    @repeated
    def restore(self) -> int:
        """Bring the database to what `library.json` says; return the number of subscriptions added.

        Those that were ended are removed, and those that were followed with other terms later get
        these terms: the database may be an older copy.
        """
        if self._library is None:
            return 0
        everything = self.list()
        known = {key for each in everything for key in (each.key, name_key(each.reference))}
        saved = saved_subscriptions.read_rows(self._library, self._clock())
        added = [row for row in saved if row["key"] not in known]
        terms_of = {each.key: each.followed_at or 0.0 for each in everything}
        changed = [
            row for row in saved
            if row["key"] in terms_of and (row.get("followed_at") or 0.0) > terms_of[row["key"]]
        ]  # fmt: skip
        kept = {row["key"] for row in saved}
        ended = saved_subscriptions.read_ended(self._library).keys() - kept
        gone = [each.key for each in everything if each.key in ended]
        with self._database.begin() as connection:
            for row in added:
                self._database.insert_if_missing(connection, subscriptions, **row)
            for row in changed:
                own = sa.update(subscriptions).where(subscriptions.c.key == row["key"])
                connection.execute(own.values(**row))
            connection.execute(sa.delete(subscriptions).where(subscriptions.c.key.in_(gone)))
        return len(added)

    @repeated
    def _row(self, key: str) -> dict[str, Any]:
        with self._database.begin() as connection:
            query = sa.select(subscriptions).where(subscriptions.c.key == key)
            return dict(connection.execute(query).mappings().one())

    def _save_to_library(self, ended: Sequence[Subscription] = ()) -> None:
        """Write all subscriptions to `library.json`, and remember those that were ended."""
        if self._library is not None:
            now = {each.key: {"reference": each.reference, "at": self._clock()} for each in ended}
            saved_subscriptions.write(self._library, self._database, now)


def _subscription(row: sa.Row[Any], now: float) -> Subscription:
    values = dict(row._mapping)
    return Subscription(
        **{
            **values,
            "filters": VideoFilters.from_dict(values["filters"]),
            "last_at": known_time(values["last_at"], now),
        }
    )


def _playlist(filters: VideoFilters) -> str:
    return (filters.playlist or "").strip().casefold()


def _dropped(other: Subscription, kept: Subscription) -> str:
    """Return the terms of a merged subscription that the kept one does not have, as a clause."""
    options = [
        f"{name}={value}"
        for name, value in sorted(other.options.items())
        if value is not None and kept.options.get(name) != value
    ]
    filters = other.filters.as_typed() if other.filters != kept.filters else ""
    every = f"every {other.every_s / 3600:g} h" if other.every_s != kept.every_s else ""
    terms = [each for each in (filters, every, *options) if each]
    return f"; dropped of {other.reference}: {', '.join(terms)}" if terms else ""


def _all_names(subscription: Subscription) -> list[str]:
    return [subscription.reference, *(subscription.names or ())]


def _other_names(reference: str, known: Subscription) -> list[str]:
    """Return the names that a subscription keeps beside its new reference."""
    return [name for name in dict.fromkeys(_all_names(known)) if name != reference.strip()]
