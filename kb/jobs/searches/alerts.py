"""Alerts of saved searches: new items that have all words of one.

A worker looks at what has ended since its last look, and once more at the last minutes: an item
whose transaction took longer is in the next look. A row of the table says that an item was
reported, so that it is reported once, whatever is killed; the copies in `library.json`
(`kb.jobs.searches.saved`) outlive the database.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items, notices, search_alerts, steps
from kb.database.repeating import repeated
from kb.errors import KBError
from kb.jobs.queue import step_states
from kb.jobs.queue.item_states import DONE, HELD
from kb.jobs.queue.order import SOURCE
from kb.jobs.queue.workflow_ids import LISTING
from kb.jobs.searches.saved import SavedSearch, SearchStore
from kb.library import Library
from kb.pipeline.list_filter import allows_new
from kb.settings import Settings
from kb.types import Hit

OVERLAP_S = 600.0  # that each look begins before the end of the last one
AT_ONCE = 100  # items of one query to the index, and of one notice
MOST_HITS = 1_000  # of one query
COPIED = 500  # alerts of each search that `library.json` has
EVENT = "search.hits"
SCREEN = "screen"  # step whose result is searched too, when the item has ended already


@dataclass(frozen=True, slots=True)
class Alert:
    """A new item with the words of a saved search: `hits` passages, the first at `at_s`."""

    search: str
    item_id: str
    at: float
    hits: int
    at_s: float
    seen_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    item_id: str
    ended_at: float
    changed_at: float
    followed: bool


@dataclass
class SearchAlerts:
    """The alerts of one library. Methods raise LibraryError."""

    settings: Settings
    database: Database
    library: Library
    # (search, item) -> the change that was looked at: the last minutes are not searched again.
    _looked: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def store(self) -> SearchStore:
        """The searches themselves."""
        return SearchStore(self.library)

    # Looking

    def check(self, warn: Callable[[KBError], None]) -> list[Alert]:
        """Look for new items with the words of each search; return the alerts that were made.

        `warn` gets the errors of single searches: they are looked for again at the next call.
        """
        searches = [each for each in self.store.all() if each.alerts != "off"]
        if not searches:
            return []
        now = self.database.time()
        ended = self._ended(min(_begin(each, now) for each in searches))
        made: list[Alert] = []
        for search in searches:
            try:
                made += self._check(search, ended, now)
            except KBError as error:
                warn(error)
        known = {each.id for each in searches}, {each.item_id for each in ended}
        self._looked = {
            key: at for key, at in self._looked.items() if key[0] in known[0] and key[1] in known[1]
        }
        return made

    def _check(self, search: SavedSearch, ended: Sequence[_Ended], now: float) -> list[Alert]:
        begin = _begin(search, now)
        due = [
            each
            for each in ended
            if each.ended_at >= search.made_at
            and each.changed_at >= begin
            and (each.followed or search.alerts == "new")
            and self._looked.get((search.id, each.item_id)) != each.changed_at
        ]
        if not due:
            return []
        entries = self.library.find_all([each.item_id for each in due])
        wanted = [entry.item.id for entry in entries if allows_new(search.filters, entry)]
        titles = {entry.item.id: entry.item.title for entry in entries}
        found: list[Alert] = []
        for start in range(0, len(wanted), AT_ONCE):
            hits = self._hits(search.query, wanted[start : start + AT_ONCE])
            if hits:
                found += self._record(search, hits, titles, now)
        self._copy(search.id, now)
        self._looked.update({(search.id, each.item_id): each.changed_at for each in due})
        return found

    def _hits(self, query: str, ids: Sequence[str]) -> dict[str, list[Hit]]:
        """Return the passages with all words of a query, by item."""
        from kb.sinks.local.sink import LocalSink  # loads the index

        found: dict[str, list[Hit]] = {}
        for hit in LocalSink(self.settings).search(query, "keyword", MOST_HITS, ids):
            if not hit.missing and not hit.by_meaning:
                found.setdefault(hit.item_id, []).append(hit)
        return found

    @repeated
    def _ended(self, since: float) -> list[_Ended]:
        """Return the items that ended for the first time, or whose screen was read, since then."""
        c = items.c
        screen = (
            sa.select(steps.c.item_id, steps.c.updated_at)
            .where(
                steps.c.step == SCREEN, steps.c.status == step_states.DONE,
                steps.c.updated_at >= since,
            )
            .subquery()
        )  # fmt: skip
        query = (
            sa.select(c.id, c.ended_at, screen.c.updated_at, c.options[SOURCE].as_string())
            .outerjoin(screen, screen.c.item_id == c.id)
            .where(
                c.source != LISTING, c.state.in_((DONE, HELD)), c.run == 1,
                sa.or_(c.ended_at >= since, screen.c.updated_at.is_not(None)),
            )
        )  # fmt: skip
        with self.database.begin() as connection:
            return [
                _Ended(str(item_id), at, max(at, read_at or at), bool(source))
                for item_id, at, read_at, source in connection.execute(query)
                if at is not None
            ]

    @repeated
    def _record(
        self,
        search: SavedSearch,
        hits: Mapping[str, Sequence[Hit]],
        titles: Mapping[str, str],
        now: float,
    ) -> list[Alert]:
        """Add the alerts that are not there, and the notice of them, in one transaction."""
        wanted = [
            Alert(search.id, item_id, now, len(found), min(hit.at_s for hit in found))
            for item_id, found in hits.items()
        ]
        added: list[Alert] = []
        with self.database.begin() as connection:
            for each in wanted:
                row = {"search": search.id, **_row(each)}
                insert = self.database.insert(search_alerts).values(**row)
                insert = insert.on_conflict_do_nothing().returning(search_alerts.c.item_id)
                if connection.execute(insert).first():
                    added.append(each)
            if added and self.settings.search_webhook.get_secret_value():
                connection.execute(sa.insert(notices).values(**_notice(search, added, titles, now)))
        return added

    # The alerts that are there

    @repeated
    def stored(
        self, search: str | None = None, *, unseen: bool = False, limit: int = 1_000
    ) -> list[Alert]:
        """Return alerts, newest first; of one search, or those that are unseen."""
        c = search_alerts.c
        query = sa.select(search_alerts).order_by(c.at.desc(), c.item_id).limit(limit)
        if search is not None:
            query = query.where(c.search == search)
        if unseen:
            query = query.where(c.seen_at.is_(None))
        with self.database.begin() as connection:
            return [Alert(**row) for row in connection.execute(query).mappings()]

    @repeated
    def unseen(self) -> dict[str, int]:
        """Return the number of alerts that are unseen, by search."""
        c = search_alerts.c
        query = sa.select(c.search, sa.func.count()).where(c.seen_at.is_(None)).group_by(c.search)
        with self.database.begin() as connection:
            return {str(search): int(count) for search, count in connection.execute(query)}

    def mark_seen(self, search: str) -> int:
        """Mark the alerts of a search as seen; return their number."""
        count = self._mark_seen(search)
        if count:
            self._copy(search, None)
        return count

    @repeated
    def _mark_seen(self, search: str) -> int:
        c = search_alerts.c
        with self.database.begin() as connection:
            now = self.database.time(connection)
            change = sa.update(search_alerts).where(c.search == search, c.seen_at.is_(None))
            return int(connection.execute(change.values(seen_at=now)).rowcount)

    @repeated
    def forget(self, search: str) -> None:
        """Delete the alerts of a search that was removed."""
        with self.database.begin() as connection:
            connection.execute(sa.delete(search_alerts).where(search_alerts.c.search == search))

    # The copy that outlives the database

    def _copy(self, search: str, checked_until: float | None) -> None:
        rows = tuple(
            {name: value for name, value in _row(each).items() if value is not None}
            for each in self.stored(search, limit=COPIED)
        )
        self.store.update(
            search,
            lambda each: replace(
                each,
                alerted=rows,
                checked_until=each.checked_until if checked_until is None else checked_until,
            ),
        )


def restore_alerts(database: Database, library: Library) -> None:
    """Add the alerts of `library.json` that the database lacks: it may be an older copy, or new.

    Raises LibraryError.
    """
    rows = [
        {**row, "search": search.id, "seen_at": row.get("seen_at")}
        for search in SearchStore(library).all()
        for each in search.alerted
        if (row := _stored_row(each)) is not None
    ]
    if rows:
        _insert(database, rows)


@repeated
def _insert(database: Database, rows: Sequence[Mapping[str, Any]]) -> None:
    with database.begin() as connection:
        database.insert_all_if_missing(connection, search_alerts, rows)


def _begin(search: SavedSearch, now: float) -> float:
    """Return the time from which on a search looks; a clock in the future is not believed."""
    return max(search.made_at, min(search.checked_until, now) - OVERLAP_S)


def _row(alert: Alert) -> dict[str, Any]:
    return {
        "item_id": alert.item_id, "at": alert.at, "hits": alert.hits, "at_s": alert.at_s,
        "seen_at": alert.seen_at,
    }  # fmt: skip


def _stored_row(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a row of the copy; None if a person has changed it to something else."""
    item_id, numbers = stored.get("item_id"), {}
    for name in ("at", "hits", "at_s", "seen_at"):
        value = stored.get(name)
        if value is None and name == "seen_at":
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            return None
        numbers[name] = value
    if not isinstance(item_id, str) or not item_id:
        return None
    return {"item_id": item_id, **numbers, "hits": int(numbers["hits"])}


def _notice(
    search: SavedSearch, added: Sequence[Alert], titles: Mapping[str, str], now: float
) -> dict[str, Any]:
    """Return the row of a notice; its address is that of the settings when it is sent."""
    notice_id = f"msg_{secrets.token_hex(12)}"
    body = {
        "id": notice_id,
        "type": EVENT,
        "created_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "data": {
            "search_id": search.id,
            "name": search.name,
            "query": search.query,
            "items": [
                {
                    "item_id": each.item_id,
                    "title": titles.get(each.item_id, ""),
                    "hits": each.hits,
                    "at_s": each.at_s,
                }
                for each in added
            ],
            "alerts_url": f"/v1/searches/{search.id}/alerts",
        },
    }
    return {
        "id": notice_id, "job": "", "address": "", "body": json.dumps(body), "next_at": now,
        "created_at": now,
    }  # fmt: skip
