"""Rows of listings: those of the version before, and damaged ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.errors import RetryLater, UsageError
from kb.jobs.queue.item_states import QUEUED, WAITING, ListingJob
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


@pytest.mark.parametrize(
    ("subscription", "code", "state"),
    [
        ("channel:UC1", "youtube.quota_exhausted", QUEUED),  # the feed needs no quota
        ("channel:UC1", "youtube.no_answer", WAITING),
        ("channel:UC1", "lane.paused_by_hand", WAITING),
        ("", "youtube.quota_exhausted", WAITING),  # a list that was asked for once
    ],
)
def test_a_look_that_waits_for_quota_is_made_at_its_time(
    store: ItemStore, subscription: str, code: str, state: str
) -> None:
    job = listing_job("@talks", VideoFilters(new=True), subscription)
    queue = Queue()
    enqueue_listing(store, job, {}, queue)
    assert store.claim(job.id, 1, "worker") is not None
    error = RetryLater(code, "{n}", n=1)
    store.finish(job.id, 1, "worker", WAITING, **error.record(), wait_until=4e9, attempts=3)
    enqueue_listing(store, job, {}, queue)
    row = store.read(job.id)
    assert row is not None and row.state == state
    assert len(queue.put) == (2 if state == QUEUED else 1)
    assert row.attempts == 3
