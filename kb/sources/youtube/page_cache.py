"""The pages of a listing, stored in the database so that an interrupted listing can resume.

Each page is stored, with the token of the next, before its items are used. Several processes
can list the same playlist at once: each page is fetched by the process that needs it first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, listing_pages, listings
from kb.library.metadata import item_document, item_from_document
from kb.types import MediaItem
from kb.types.clock import SLACK_S, is_younger

# An older unfinished listing starts again at its first page; a wait for quota takes up to a day.
STALE_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its items, and the number of its entries that are unavailable."""

    items: tuple[MediaItem, ...]
    unavailable: int = 0


# Maps the token of a page (empty: the first) to the page and the next token (empty: the last).
FetchPage = Callable[[str], tuple[Page, str]]


class PageStore:
    """The store of one listing. Methods raise LibraryError when the database cannot be used."""

    def __init__(
        self,
        database: Database,
        listing_id: str,
        *,
        clock: Callable[[], float] | None = None,
        reuse_s: float = 0.0,
    ) -> None:
        self.id = listing_id
        self._database = database
        self._clock = clock or database.time
        self._reuse_s = reuse_s

    def clear(self) -> None:
        """Delete the stored pages of this listing."""
        with self._database.begin() as connection:
            self._delete(connection)

    def _delete(self, connection: sa.Connection) -> None:
        connection.execute(sa.delete(listing_pages).where(listing_pages.c.listing_id == self.id))
        connection.execute(sa.delete(listings).where(listings.c.id == self.id))

    def pages(self, fetch: FetchPage) -> Iterator[Page]:
        """Yield all pages in order: the stored ones, then fetched ones, stored before use.

        A listing that was finished within the last `reuse_s` seconds gives its stored pages. One
        that was interrupted and is older fetches the first pages again, which have new entries.
        """
        row = self._row(discard_stale=True)
        started_lately = is_younger(row.started_at, self._reuse_s, self._clock())
        if row.pages and row.finished_at is None and not started_lately:
            yield from self._fetch_new(fetch)
        number = 0
        while True:
            if number > row.pages:
                number = 0  # another process restarted the listing
            page = self._load(number) if number < row.pages else None
            if page is not None:
                number += 1
                yield page
                continue
            if number == row.pages:
                if row.finished_at is not None:
                    return
                self._store(number, *fetch(row.next_token))
            row = self._row()

    def _fetch_new(self, fetch: FetchPage) -> Iterator[Page]:
        first = self._load(0)
        stored_ids = {item.id for item in first.items} if first else set()
        token = ""
        while True:
            page, token = fetch(token)
            yield page
            if not token or not stored_ids or any(item.id in stored_ids for item in page.items):
                return

    def _row(self, *, discard_stale: bool = False) -> sa.Row[Any]:
        """Return the listing's row, created if missing; `discard_stale` restarts a stale one."""
        query = sa.select(listings).where(listings.c.id == self.id)
        now = self._clock()  # before the transaction: the server is asked on another connection
        with self._database.begin() as connection:
            row = connection.execute(query).one_or_none()
            if row is not None and discard_stale and self._is_stale(row, now):
                self._delete(connection)
                row = None
            if row is None:
                self._database.insert_if_missing(
                    connection,
                    listings,
                    id=self.id,
                    pages=0,
                    next_token="",
                    started_at=now,
                )
                row = connection.execute(query).one()
            return row

    def _is_stale(self, row: sa.Row[Any], now: float) -> bool:
        if row.finished_at is not None:
            return not is_younger(row.finished_at, self._reuse_s, now)
        return not is_younger(row.started_at, STALE_S, now)

    def _load(self, number: int) -> Page | None:
        with self._database.begin() as connection:
            stored = connection.scalar(
                sa.select(listing_pages.c["items"]).where(
                    listing_pages.c.listing_id == self.id, listing_pages.c.number == number
                )
            )
        if stored is None:
            return None
        return Page(tuple(map(item_from_document, stored["items"])), stored["unavailable"])

    def _store(self, number: int, page: Page, token: str) -> None:
        document = {"items": list(map(item_document, page.items)), "unavailable": page.unavailable}
        now = self._clock()
        with self._database.begin() as connection:
            # Only the first of two processes that fetched the same page advances the count.
            advanced = connection.execute(
                sa.update(listings)
                .where(
                    listings.c.id == self.id,
                    listings.c.pages == number,
                    listings.c.finished_at.is_(None),
                )
                .values(
                    pages=number + 1,
                    next_token=token,
                    finished_at=None if token else now,
                )
            )
            if advanced.rowcount:
                self._database.insert_if_missing(
                    connection,
                    listing_pages,
                    listing_id=self.id,
                    number=number,
                    items=document,
                )


def prune(database: Database, *, clock: Callable[[], float] | None = None) -> None:
    """Delete listings that are too old to be resumed, or whose time is in the future."""
    now, started_at = (clock or database.time)(), listings.c.started_at
    with database.begin() as connection:
        unusable = sa.or_(started_at < now - STALE_S, started_at > now + SLACK_S)
        old = sa.select(listings.c.id).where(unusable)
        connection.execute(sa.delete(listing_pages).where(listing_pages.c.listing_id.in_(old)))
        connection.execute(sa.delete(listings).where(listings.c.id.in_(old)))
