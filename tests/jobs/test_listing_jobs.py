"""Rows of listings: those of the version before, and damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.errors import UsageError
from kb.jobs.queue.item_states import (
    ListingJob,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.listing_jobs import enqueue_listing, listing_job
from kb.sources.listing.filters import VideoFilters
from tests.support.queue_store import Queue

LISTING_BEFORE = json.loads(
    """{"id": "listing:2cbef14b910d", "source": "listing",
    "url": "https://www.youtube.com/@talks",
    "title": "Listing of https://www.youtube.com/@talks", "published": "", "duration_s": null,
    "channel": "", "description": "", "tags": [], "chapters": [], "language": null,
    "extra": {"filters": {"after": "", "before": "", "playlist": "", "min_duration_s": null,
    "max_duration_s": null, "title": "", "no_shorts": false, "new": true, "limit": 0},
    "followed": "channel:UC1", "asked_at": 1700000000.5}}"""
)


def test_a_listing_job_has_the_id_and_the_row_of_the_version_before(store: ItemStore) -> None:
    job = listing_job("https://www.youtube.com/@talks", VideoFilters(new=True), "channel:UC1")
    assert job.id == LISTING_BEFORE["id"]
    enqueue_listing(store, job, {}, Queue())
    with store.database.begin() as connection:
        row = connection.execute(sa.select(items)).mappings().one()
        assert (row["source"], row["reference"]) == ("listing", LISTING_BEFORE["url"])
        assert (row["title"], row["published"], row["duration_s"]) == (
            LISTING_BEFORE["title"], "", None,
        )  # fmt: skip
        extra = {**LISTING_BEFORE["extra"], "asked_at": row["item"]["extra"]["asked_at"]}
        assert row["item"]["extra"] == extra
        assert row["item"].items() <= {**LISTING_BEFORE, "extra": extra}.items()
        # The row in the form of the previous version.
        connection.execute(sa.update(items).values(item=LISTING_BEFORE))
    found = store.read(job.id)
    assert found is not None
    assert found.job == replace(job, asked_at=1700000000.5)
    with pytest.raises(TypeError, match="listing"):
        _ = found.item
    # A second request before the end keeps the first time, so that no new media is missed.
    store.stop([job.id])
    enqueue_listing(store, job, {}, Queue())
    again = store.read(job.id)
    assert again is not None and again.job == found.job


def test_a_listing_with_a_damaged_filter_is_claimed_and_fails_by_itself(store: ItemStore) -> None:
    job = listing_job("https://www.youtube.com/@talks", VideoFilters())
    enqueue_listing(store, job, {}, Queue())
    damaged = {**LISTING_BEFORE["extra"], "filters": {"limit": "many"}}
    with store.database.begin() as connection:
        connection.execute(sa.update(items).values(item={**LISTING_BEFORE, "extra": damaged}))
    row = store.claim(job.id, 1, "worker")
    assert row is not None and isinstance(row.job, ListingJob)
    with pytest.raises(UsageError) as caught:
        _ = row.job.filters
    assert caught.value.code == "filters.stored"
    # A new request replaces the stored filters.
    store.finish(job.id, 1, "worker", "failed")
    enqueue_listing(store, job, {}, Queue())
    again = store.read(job.id)
    assert again is not None and isinstance(again.job, ListingJob)
    assert again.job.filters == VideoFilters()
