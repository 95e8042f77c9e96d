"""The known list of a source: every entry that was ever seen, with its metadata.

A look reads only the part of a list that can be new, and compares the whole known list with the
items of the library; so a video that was left out by a filter, or lost by a look that broke off,
is found without another request. What is still to be read is kept as open walks: a walk goes
through the pages of the list from its top, and continues at its token after an interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from kb.database import Database, list_entries, lists
from kb.database.repeating import repeated
from kb.library.metadata import item_document, item_from_document
from kb.types import MediaItem

_AT_ONCE = 500  # ids in one statement


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk through a list that has not come to its end.

    `number` is that of the look that began it, `token` that of the next page, `place` the number
    of entries before that page. A `whole` walk ends at the last entry, another one at the first
    page that ends with an entry that was known before it began.
    """

    number: int
    token: str = ""
    whole: bool = False
    place: int = 0


@dataclass(frozen=True, slots=True)
class ListState:
    """The state of a known list; times are in epoch seconds, None if unknown.

    `looks` counts the looks. `walks` are the open ones, the newest first. `whole_at` is the end of
    the last walk through the whole list, or through the part `extent` of it; `missing` is the
    difference to the service's count at its end. `surplus` is the number of entries that the
    service counted beside the available ones, `low` a smaller one that was seen since. `counted_at`
    is the time of the last whole walk that was started for the count. `floors` has the moment
    of the oldest entry of the newest N, by filters.
    """

    looks: int = 0
    walks: tuple[Walk, ...] = ()
    whole_at: float | None = None
    extent: str = ""
    missing: int = 0
    surplus: int | None = None
    low: int | None = None
    counted_at: float | None = None
    floors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a list: `since` is the number of the look that found it, `moment` its
    publication (ISO, empty if unknown), `read_at` the time when its metadata was read (None: not
    yet), `available` False for one that the service does not show."""

    item_id: str
    since: int
    moment: str
    read_at: float | None
    available: bool


class KnownList:
    """The known list of this id. Methods raise LibraryError when the database cannot be used.

    `clock` returns epoch seconds; without one the database's clock counts.
    """

    def __init__(
        self, database: Database, list_id: str, *, clock: Callable[[], float] | None = None
    ) -> None:
        self.id = list_id
        self._database = database
        self._clock = clock or database.time

    # State

    @repeated
    def state(self) -> ListState:
        """Return the state; that of a list that was never looked at is empty."""
        with self._database.begin() as connection:
            row = connection.execute(sa.select(lists).where(lists.c.id == self.id)).first()
        if row is None:
            return ListState()
        values = dict(row._mapping)
        values.pop("id")
        walks = tuple(Walk(**each) for each in values.pop("walks") or ())
        return ListState(**{**values, "walks": walks, "floors": values["floors"] or {}})

    @repeated
    def begin_look(self) -> int:
        """Count a look; return its number."""
        with self._database.begin() as connection:
            self._ensure_row(connection)
            connection.execute(
                sa.update(lists).where(lists.c.id == self.id).values(looks=lists.c.looks + 1)
            )
            number = connection.scalar(sa.select(lists.c.looks).where(lists.c.id == self.id))
            return int(number or 0)

    @repeated
    def update(self, **changes: Any) -> None:
        """Change fields of the state."""
        with self._database.begin() as connection:
            self._update(connection, changes)

    @repeated
    def end_whole_walk(
        self, number: int, *, extent: str, reported: int | None, missing: int, is_complete: bool
    ) -> None:
        """Record the end of a walk through the whole list.

        With `is_complete` the last page was seen: entries that the walk did not see are gone. If
        the service counts more entries than were listed (`missing` of them), the walk counts only
        if the same number was missing before: an entry may have moved while others were removed,
        or the service's count may differ for good.
        """
        state = self.state()
        if is_complete:
            with self._database.begin() as connection:
                connection.execute(
                    sa.update(list_entries)
                    .where(list_entries.c.list_id == self.id, list_entries.c.seen < number)
                    .values(gone=True)
                )
        whole = missing == 0 or missing == state.missing
        self.update(
            whole_at=self._clock() if whole else None,
            extent=extent,
            missing=missing,
            surplus=None if reported is None else reported - self.count(),
            low=None,
        )

    # Entries

    @repeated
    def count(self) -> int:
        """Return the number of available entries."""
        query = sa.select(sa.func.count()).where(
            list_entries.c.list_id == self.id,
            list_entries.c.gone.is_(False),
            list_entries.c.available.is_(True),
        )
        with self._database.begin() as connection:
            return int(connection.scalar(query) or 0)

    @repeated
    def entries(self, ids: Collection[str]) -> dict[str, Entry]:
        """Return those of these entries that are known, by id."""
        c = list_entries.c
        query = sa.select(c.item_id, c.since, c.moment, c.read_at, c.available)
        found: dict[str, Entry] = {}
        with self._database.begin() as connection:
            for part in _parts(ids):
                rows = connection.execute(query.where(c.list_id == self.id, c.item_id.in_(part)))
                found.update((row.item_id, Entry(*row)) for row in rows)
        return found

    @repeated
    def add_page(
        self, ids: Sequence[str], number: int, walks: Sequence[Walk] | None = None, place: int = 0
    ) -> None:
        """Record that a look saw these entries, and the open walks from then on.

        Entries without metadata are read later. `place` is the number of entries before these.
        """
        rows = [
            {
                "list_id": self.id, "item_id": item_id, "since": number, "seen": number,
                "place": place + offset, "gone": False, "available": True, "moment": "",
            }
            for offset, item_id in enumerate(dict.fromkeys(ids))
        ]  # fmt: skip
        with self._database.begin() as connection:
            self._ensure_row(connection)
            if rows:
                insert = self._database.insert(list_entries)
                connection.execute(
                    insert.on_conflict_do_update(
                        index_elements=["list_id", "item_id"],
                        set_={name: insert.excluded[name] for name in ("seen", "place", "gone")},
                    ),
                    rows,
                )
            if walks is not None:
                self._update(connection, {"walks": walks})

    @repeated
    def record(self, items: Sequence[MediaItem], missing: Collection[str] = ()) -> None:
        """Record the metadata of entries, and those that the service does not show now."""
        now = self._clock()
        c = list_entries.c
        with self._database.begin() as connection:
            rows = [
                {
                    "entry": item.id, "item": item_document(item), "read_at": now,
                    "moment": str(item.extra.get("published_at") or item.published),
                    "available": not item.availability.is_unavailable,
                }
                for item in items
            ]  # fmt: skip
            if rows:
                change = sa.update(list_entries).where(
                    c.list_id == self.id, c.item_id == sa.bindparam("entry")
                )
                columns = ("item", "read_at", "moment", "available")
                values: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
                connection.execute(change.values(**values), rows)
            for part in _parts(missing):
                connection.execute(
                    sa.update(list_entries)
                    .where(c.list_id == self.id, c.item_id.in_(part))
                    .values(read_at=now, available=False)
                )

    @repeated
    def ids(self, *, by_date: bool, seen_since: int = 0) -> list[str]:
        """Return the available entries: the newest first, or in the order of the list.

        With `seen_since` only those that were seen since the look of that number.
        """
        c = list_entries.c
        order = (c.moment.desc(), c.place) if by_date else (c.place,)
        query = sa.select(c.item_id).where(
            c.list_id == self.id,
            c.gone.is_(False),
            c.available.is_(True),
            c.read_at.is_not(None),
            c.seen >= seen_since,
        )
        with self._database.begin() as connection:
            return [str(each) for each in connection.scalars(query.order_by(*order))]

    @repeated
    def present(self) -> frozenset[str]:
        """Return the ids of all entries that are in the list, with and without metadata."""
        c = list_entries.c
        query = sa.select(c.item_id).where(c.list_id == self.id, c.gone.is_(False))
        with self._database.begin() as connection:
            return frozenset(map(str, connection.scalars(query)))

    @repeated
    def items(self, ids: Sequence[str]) -> list[MediaItem]:
        """Return the metadata of entries, in the order of `ids`."""
        c = list_entries.c
        found: dict[str, MediaItem] = {}
        query = sa.select(c.item_id, c["item"]).where(c.list_id == self.id, c["item"].is_not(None))
        with self._database.begin() as connection:
            for part in _parts(ids):
                for item_id, document in connection.execute(query.where(c.item_id.in_(part))):
                    found[item_id] = replace(item_from_document(document), id=item_id)
        return [found[each] for each in ids if each in found]

    @repeated
    def unread(self) -> list[str]:
        """Return entries whose metadata was never read, in the order of the list."""
        c = list_entries.c
        query = (
            sa.select(c.item_id)
            .where(c.list_id == self.id, c.gone.is_(False), c.read_at.is_(None))
            .order_by(c.place)
        )
        with self._database.begin() as connection:
            return [str(each) for each in connection.scalars(query)]

    @repeated
    def stale(self, limit: int, *, available_s: float, unavailable_s: float) -> list[str]:
        """Return entries whose metadata is older than these ages, the unavailable ones first.

        A time of reading in the future is unknown, and so is the age.
        """
        c, now = list_entries.c, self._clock()
        oldest = sa.case((c.available, now - available_s), else_=now - unavailable_s)
        query = (
            sa.select(c.item_id)
            .where(
                c.list_id == self.id,
                c.gone.is_(False),
                sa.or_(c.read_at <= oldest, c.read_at > now + available_s),
            )
            .order_by(c.available, c.read_at)
            .limit(limit)
        )
        with self._database.begin() as connection:
            return [str(each) for each in connection.scalars(query)]

    def _ensure_row(self, connection: sa.Connection) -> None:
        self._database.insert_if_missing(
            connection, lists, id=self.id, looks=0, extent="", missing=0
        )

    def _update(self, connection: sa.Connection, changes: Mapping[str, Any]) -> None:
        values = dict(changes)
        if "walks" in values:
            values["walks"] = [_plain(each) for each in values["walks"]]
        connection.execute(sa.update(lists).where(lists.c.id == self.id).values(**values))


def _plain(walk: Walk) -> dict[str, Any]:
    return {
        "number": walk.number, "token": walk.token, "whole": walk.whole, "place": walk.place,
    }  # fmt: skip


def _parts(values: Iterable[Any]) -> Iterable[list[Any]]:
    every = list(values)
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))
