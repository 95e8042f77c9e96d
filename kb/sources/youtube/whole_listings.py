"""The record of listings that came to their true end, which allows later ones to stop early.

A page on which every video is known does not show that all older videos are known: an ingest may
have been limited, narrowed by a filter or interrupted, and a deletion during a listing hides a
video. So a listing of new videos stops early only if all videos of the same playlist that pass
the same filters were queued once, and not longer ago than `WHOLE_EVERY_S`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import sqlalchemy as sa

from kb.database import Database, whole_listings
from kb.sources.listing.filters import VideoFilters

WHOLE_EVERY_S = 7 * 86_400.0
EVERYTHING = ""  # the key of a listing without filters


class WholeListings:
    """The records of one playlist. Methods raise LibraryError when the database cannot be used."""

    def __init__(
        self, database: Database, playlist_id: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._id = playlist_id
        self._clock = clock

    def allow_early_end(self, filters: VideoFilters) -> bool:
        """Return True if everything that passes the filters was queued recently."""
        query = sa.select(whole_listings.c.ended_at).where(
            whole_listings.c.id == self._id,
            whole_listings.c.filters.in_({EVERYTHING, filters_key(filters)}),
        )
        now = self._clock()
        with self._database.begin() as connection:
            ends = connection.scalars(query).all()
        # A time in the future: the clock was set back.
        return any(end is not None and 0 <= now - end < WHOLE_EVERY_S for end in ends)

    def record(self, filters: VideoFilters, missing: int) -> None:
        """Record that all listed videos were queued; `missing` more are in the service's count.

        With missing videos the listing counts as whole only if the same number was missing
        before: the service's count may differ for good.
        """
        key = filters_key(filters)
        where = (whole_listings.c.id == self._id) & (whole_listings.c.filters == key)
        with self._database.begin() as connection:
            self._database.insert_if_missing(
                connection, whole_listings, id=self._id, filters=key, missing=0, ended_at=None
            )
            before = connection.scalar(sa.select(whole_listings.c.missing).where(where)) or 0
            whole = missing <= 0 or missing == before
            connection.execute(
                sa.update(whole_listings)
                .where(where)
                .values(missing=missing, ended_at=self._clock() if whole else None)
            )


def filters_key(filters: VideoFilters) -> str:
    """Return a key for the filters that decide which videos are wanted."""
    values = {
        name: value
        for name, value in filters.as_dict().items()
        if value and name not in ("new", "limit", "playlist")
    }
    if not values:
        return EVERYTHING
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
