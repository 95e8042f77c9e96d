"""The items table, read: single items, pages, counts and ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from kb.database import Database, items
from kb.database.repeating import repeated
from kb.jobs.queue.item_states import (
    DONE,
    RUNNING,
    STATES,
    WAITING,
    ItemRow,
    ItemSummary,
    effective_state,
    is_look,
    is_recording,
    is_shown_listing,
    row_from,
    summary_columns,
)
from kb.jobs.queue.workflow_ids import LISTING
from kb.types import MediaItem
from kb.types.clock import SLACK_S
from kb.types.media import begins_with

_AT_ONCE = 20_000  # ids in one statement; SQLite allows 32,766 parameters

Key = tuple[str, int]
"""An item's id and the serial of the workflow that was started for it."""


class ItemQueries:
    """Reads items. Every method raises LibraryError when the database fails."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @repeated
    def read(self, item_id: str) -> ItemRow | None:
        """Return one item, or None."""
        with self.database.begin() as connection:
            return read_item(connection, item_id)

    @repeated
    def rows(
        self, ids: Sequence[str], live_workers: Collection[str] | None = None
    ) -> list[ItemRow]:
        """Return these items' rows, newest publication first; `live_workers` as in `summaries`."""
        query = sa.select(items, effective_state(live_workers).label("shown"))
        found: list[ItemRow] = []
        with self.database.begin() as connection:
            for part in in_parts(ids):
                selected = connection.execute(query.where(items.c.id.in_(part))).mappings()
                found.extend(row_from({**row, "state": row["shown"]}) for row in selected)
        found.sort(key=lambda row: row.id)
        return sorted(found, key=lambda row: row.published, reverse=True)

    @repeated
    def summaries(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        ids: Sequence[str] | None = None,
        listings: bool = False,
        live_workers: Collection[str] | None = None,
    ) -> list[ItemSummary]:
        """Return items for a list, newest publication first; `ids` None: all of them.

        With `listings`, looks and other listings instead of recordings; `ids` may name both.
        With `live_workers`, the items of all other workers are shown as queued.
        """
        shown = effective_state(live_workers)
        query = sa.select(*summary_columns(shown, self.database.time())).order_by(
            items.c.published.desc(), items.c.id
        )
        if state is not None:
            query = query.where(shown == state)
        if ids is None:
            query = query.where(is_shown_listing(shown) if listings else is_recording())
        if limit is not None:
            query = query.limit(limit)
        queries = (
            [query]
            if ids is None
            else [query.where(items.c.id.in_(part)) for part in in_parts(ids)]
        )
        with self.database.begin() as connection:
            return [ItemSummary(*row) for each in queries for row in connection.execute(each)][
                :limit
            ]

    @repeated
    def unfinished(self, live_workers: Collection[str] | None = None) -> dict[str, str]:
        """Return the state of every unfinished item, by id; `live_workers` as in `summaries`."""
        shown = effective_state(live_workers)
        query = sa.select(items.c.id, shown).where(shown != DONE)
        with self.database.begin() as connection:
            return {str(item_id): str(state) for item_id, state in connection.execute(query)}

    @repeated
    def states(self) -> dict[str, str]:
        """Return the state of every item (listings are left out), by id."""
        query = sa.select(items.c.id, items.c.state).where(items.c.source != LISTING)
        with self.database.begin() as connection:
            return {str(item_id): str(state) for item_id, state in connection.execute(query)}

    @repeated
    def ids(self, state: str) -> list[str]:
        """Return the ids of all items in a state."""
        query = sa.select(items.c.id).where(items.c.state == state)
        with self.database.begin() as connection:
            return [str(item_id) for item_id in connection.scalars(query)]

    @repeated
    def looks_of(self, key: str, states: Collection[str]) -> list[str]:
        """Return the looks at the followed source with this key that are in one of the states."""
        query = sa.select(items.c.id, items.c.item).where(
            items.c.source == LISTING, items.c.state.in_(list(states))
        )
        with self.database.begin() as connection:
            return [
                str(look)
                for look, document in connection.execute(query)
                if (document.get("extra") or {}).get("followed") == key
            ]

    @repeated
    def ids_with_prefix(self, prefix: str) -> list[str]:
        """Return the ids that begin with `prefix`, or whose part after the last colon does."""
        begins = items.c.id.startswith(prefix, autoescape=True)
        pattern = items.c.id.contains(f":{prefix}", autoescape=True)
        with self.database.begin() as connection:
            found = connection.scalars(sa.select(items.c.id).where(begins | pattern))
            return [str(i) for i in found if begins_with(str(i), prefix)]

    @repeated
    def unknown_ids(self, ids: Sequence[str], queued_before: float | None = None) -> list[str]:
        """Return the ids that are not in the table.

        With `queued_before` (seconds since the epoch), also those that were queued at that time or
        later.
        """
        query = sa.select(items.c.id)
        if queued_before is not None:
            query = query.where(items.c.enqueued_at < queued_before)
        known: set[str] = set()
        with self.database.begin() as connection:
            for part in in_parts(ids):
                known.update(connection.scalars(query.where(items.c.id.in_(part))))
        return [item_id for item_id in ids if item_id not in known]

    def counts(self, live_workers: Collection[str] | None = None) -> dict[str, int]:
        """Return the number of items in every state. `live_workers` as in `summaries`.

        Items are recordings: looks at followed sources and other listings are none.
        """
        return self._counts(live_workers, is_recording())

    def listing_counts(
        self, live_workers: Collection[str] | None = None, *, followed: bool = True
    ) -> dict[str, int]:
        """Return the number of looks and other listings in every state, as they are listed.

        Without `followed`, looks at followed sources are left out.
        """
        where = is_shown_listing(effective_state(live_workers))
        return self._counts(live_workers, where if followed else sa.and_(where, ~is_look()))

    def row_counts(self) -> dict[str, int]:
        """Return the number of items, looks and other listings together in every state."""
        return self._counts(None, sa.true())

    @repeated
    def has_rows(self) -> bool:
        """Return True if there is any item, look or other listing."""
        with self.database.begin() as connection:
            return connection.execute(sa.select(items.c.id).limit(1)).first() is not None

    @repeated
    def _counts(
        self, live_workers: Collection[str] | None, where: sa.ColumnElement[bool]
    ) -> dict[str, int]:
        shown = effective_state(live_workers)
        query = sa.select(shown, sa.func.count()).where(where).group_by(shown)
        with self.database.begin() as connection:
            found = {str(state): int(count) for state, count in connection.execute(query)}
        return {state: found.get(state, 0) for state in STATES}

    @repeated
    def last_queued_at(self) -> float | None:
        """Return the time at which the newest item was queued (epoch seconds), None without.

        Times in the future are unknown.
        """
        query = sa.select(sa.func.max(items.c.enqueued_at)).where(
            items.c.enqueued_at <= self.database.time() + SLACK_S
        )
        with self.database.begin() as connection:
            found: float | None = connection.scalar(query)
            return found

    @repeated
    def machines_at_work(self) -> set[str]:
        """Return the workers that have running items, the dead ones too until they are reaped."""
        query = sa.select(items.c.executor).where(items.c.state == RUNNING).distinct()
        with self.database.begin() as connection:
            return {str(name) for name in connection.scalars(query) if name}

    @repeated
    def running(self, executor: str) -> set[Key]:
        """Return the keys of the items that the table assigns to a worker."""
        query = sa.select(items.c.id, items.c.serial).where(
            items.c.executor == executor, items.c.state == RUNNING
        )
        with self.database.begin() as connection:
            return {(str(item_id), int(serial)) for item_id, serial in connection.execute(query)}

    @repeated
    def due(self, now: float) -> list[str]:
        """Return the waiting items whose time has come, or was written in the future."""
        query = sa.select(items.c.id).where(
            items.c.state == WAITING,
            sa.or_(items.c.wait_until <= now, items.c.updated_at > now + SLACK_S),
        )
        with self.database.begin() as connection:
            return [str(item_id) for item_id in connection.scalars(query)]

    @repeated
    def earlier_copies(self, media: Sequence[MediaItem]) -> dict[str, list[str]]:
        """Return the items that had the path of these local files with another content.

        By the id of the file that is there now, the ids of the earlier contents.
        """
        now = {item.url: item.id for item in media if item.source == "file" and item.url}
        query = sa.select(items.c.id, items.c.reference).where(items.c.source == "file")
        found: dict[str, list[str]] = {}
        with self.database.begin() as connection:
            for part in in_parts(list(now)):
                rows = connection.execute(query.where(items.c.reference.in_(part)))
                for item_id, address in rows.all():
                    if now[address] != item_id:
                        found.setdefault(now[address], []).append(str(item_id))
        return found

    @repeated
    def ids_in(self, ids: Sequence[str], states: Collection[str]) -> list[str]:
        """Return those of these ids whose row has one of the states."""
        query = sa.select(items.c.id).where(items.c.state.in_(list(states)))
        with self.database.begin() as connection:
            return [
                str(item_id)
                for part in in_parts(ids)
                for item_id in connection.scalars(query.where(items.c.id.in_(part)))
            ]


def in_parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield ids in groups that fit into one statement."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def read_item(connection: sa.Connection, item_id: str) -> ItemRow | None:
    """Return one item in a transaction, or None."""
    found = connection.execute(sa.select(items).where(items.c.id == item_id)).mappings().first()
    return row_from(dict(found)) if found is not None else None
