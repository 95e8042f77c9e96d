"""Listings as items of the queue: for when one cannot be made now, or again and again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any

from kb.errors import KBError
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.item_states import DONE, ItemRow
from kb.jobs.queue.items import FIRST, Enqueue, ItemStore
from kb.jobs.queue.library_sync import sync_from_library
from kb.jobs.queue.source_factory import KnownIds, SourceFactory, available_items, batches
from kb.library import Library
from kb.options import RunOptions
from kb.sources.listing.filters import VideoFilters
from kb.sources.subscriptions import Subscription, Subscriptions
from kb.types import MediaItem


def listing_item(reference: str, filters: VideoFilters, subscription_key: str = "") -> MediaItem:
    """A listing as an item; `subscription_key` names the subscription that asked for it."""
    exact = f"{reference}\n{sorted(filters.as_dict().items())}\n{subscription_key}"
    digest = hashlib.sha256(exact.encode()).hexdigest()[:12]
    return MediaItem(
        id=f"{workflow_ids.LISTING}:{digest}",
        source=workflow_ids.LISTING,
        url=reference,
        title=f"Listing of {reference}",
        published="",
        extra={"filters": filters.as_dict(), "followed": subscription_key},
    )


def subscription_listing(subscription: Subscription) -> MediaItem:
    """The listing that a look at a subscription is."""
    new = replace(subscription.filters, new=True)
    return listing_item(subscription.reference, new, subscription.key)


def enqueue_listing(
    items: ItemStore, item: MediaItem, options: Mapping[str, Any], enqueue: Enqueue
) -> None:
    """Queues a listing, even if the same one was made before; one still queued stays as it is.

    `asked_at` marks what was known when it was first asked for: a listing that was broken off
    has queued its newest items already, and they must not be taken for the end of what is new.
    """
    before = items.read(item.id)
    asked_at: float = time.time()
    if before is not None and before.state != DONE:
        asked_at = before.item.extra.get("asked_at", asked_at)
    stamped = replace(item, extra={**item.extra, "asked_at": asked_at})
    # First in the row: behind a thousand downloads, each with its pause, it would wait for hours.
    items.submit([stamped], options, enqueue, again=True, priority=FIRST)


def run_listing(
    row: ItemRow,
    sourcing: SourceFactory,
    items: ItemStore,
    library: Library,
    enqueue: Enqueue,
    check: Callable[[], None],
) -> None:
    """Makes a listing and queues what it gives, a few hundred items at a time.

    `check` may raise to stop it. Raises what the source raises; made again it goes on where
    it stopped, and queues nothing twice.
    """
    filters = VideoFilters.from_dict(row.item.extra.get("filters", {}))
    known: Container[str] = KnownIds(items, before=row.item.extra.get("asked_at"))
    listing = sourcing.open(
        row.item.url,
        filters,
        fresh=filters.new,  # whoever asks for what is new wants no remembered pages
        known=known,
        check=check,
    )
    again = RunOptions.from_dict(row.options).again
    for part in batches(available_items(listing)):
        sync_from_library(items, library, [item.id for item in part])
        items.submit(part, row.options, enqueue, again=again)


def record_poll(
    subscriptions: Subscriptions, item: MediaItem, error: KBError | None = None
) -> None:
    """Notes with the subscription how a look at it ended; nothing for any other item."""
    if item.source == workflow_ids.LISTING and (key := item.extra.get("followed")):
        said = f"{error.message} {error.hint}".strip() if error else ""
        subscriptions.record_result(key, error=said)
