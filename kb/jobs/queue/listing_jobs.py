"""Listings that workers make: postponed ones, and those of subscriptions."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kb.errors import KBError
from kb.jobs.queue import submission
from kb.jobs.queue.item_states import (
    ACTIVE,
    DONE,
    FIRST,
    HELD,
    LEFT_OUT,
    WAITING,
    ItemRow,
    Job,
    ListingJob,
)
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.order import SINCE, SOURCE
from kb.jobs.queue.request_settings import ASKED, settings_of
from kb.jobs.queue.source_factory import (
    SHARED,
    KnownIds,
    SourceFactory,
    available_items,
    batches,
    names_one_medium,
)
from kb.jobs.queue.source_facts import refresh_known
from kb.jobs.queue.workflow_ids import LISTING
from kb.library import Library
from kb.options import RUN, RunOptions
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.looks import OpenLook
from kb.sources.subscriptions import Subscription, Subscriptions
from kb.types import MediaItem
from kb.types.days import local_day_of

log = logging.getLogger(__name__)

EnqueueCaptions = Callable[[str, int, int, float], None]
"""Called with item id, serial, priority and the seconds to wait."""


def listing_job(reference: str, filters: VideoFilters, subscription_key: str = "") -> ListingJob:
    """Return the job for a listing; equal listings have the same id.

    `subscription_key` names the subscription that requested it.
    """
    values = filters.as_dict()
    exact = f"{reference}\n{sorted(values.items())}\n{subscription_key}"
    digest = hashlib.sha256(exact.encode()).hexdigest()[:12]
    return ListingJob(f"{LISTING}:{digest}", reference, values, subscription_key)


def subscription_listing(subscription: Subscription) -> ListingJob:
    """Return the job that lists the new media of a subscription."""
    new = replace(subscription.filters, new=True)
    return listing_job(subscription.reference, new, subscription.key)


def enqueue_listing(
    items: ItemStore, job: ListingJob, options: Mapping[str, Any], enqueue: Enqueue
) -> None:
    """Queue a listing, even if an equal one was made before; a queued one is not changed.

    An interrupted one keeps the time at which it was asked for. A look that waits for quota is made
    too: the feed of a channel needs none.
    """
    before = items.read(job.id)
    asked_at: float | None = items.database.time()
    if before is not None and before.state != DONE and isinstance(before.job, ListingJob):
        asked_at = before.job.asked_at or asked_at
    # It gets the first priority: behind a thousand downloads with pauses it would wait for hours.
    items.submit([replace(job, asked_at=asked_at)], options, enqueue, again=True, priority=FIRST)
    if before is not None and job.subscription_key and _waits_for_quota(before):
        items.retry([job.id], enqueue, (WAITING,), fresh=False, serials={job.id: before.serial})


def _waits_for_quota(row: ItemRow) -> bool:
    return row.state == WAITING and (row.problem or {}).get("code") == "youtube.quota_exhausted"


def run_listing(
    job: ListingJob,
    options: Mapping[str, Any],
    source_factory: SourceFactory,
    items: ItemStore,
    library: Library,
    enqueue: Enqueue,
    check: Callable[[], None],
    subscriptions: Subscriptions,
    look: OpenLook | None = None,
    enqueue_captions: EnqueueCaptions = lambda *_: None,
) -> KBError | None:
    """Make a listing and queue its media, a few hundred at a time.

    Returns an error to report although the listing succeeded: the name of a followed channel that
    leads elsewhere. `options` are the row's, as plain JSON values. `check` may raise to stop it.
    `look` is the record of a look at a followed reference: it gets the facts as they arrive.
    Known items get the facts that their source gives now; captions that it has since their last
    listing are queued with `enqueue_captions`, where captions are kept.
    Raises LookOutdated for a look at a source that is not followed so any more, and the source's
    errors; a later call continues at the same place and queues nothing twice.
    """
    filters = job.filters.dated()  # the last 30 days are those of today
    followed = _followed(subscriptions, job)
    if followed is not None:
        since = local_day_of(followed.created_at)
        options = {**options, SOURCE: followed.key, SINCE: since}
    if RUN not in options:  # a look at a followed source
        options = {**options, RUN: uuid.uuid4().hex}
    known = KnownIds(items, library)
    listing = source_factory.asked_by(options).open(
        job.reference,
        filters,
        fresh=filters.new,  # a search for new media must not use cached pages
        known=known,
        check=check,
        channel_id=(followed.channel_id or "") if followed else "",
        shared=bool(options.get(SHARED)),
        followed=bool(job.subscription_key),
    )
    if followed is not None and listing.channel_id:
        # At once: the name may lead elsewhere before the end of a first look that breaks off.
        subscriptions.record_channel(followed.key, listing.channel_id)
    again = RunOptions.from_dict(options).again
    removed: list[MediaItem] = []
    seen: list[MediaItem] = []
    listing.on_known = seen.append

    def fetch_captions(row: ItemRow) -> None:
        if keeps_captions(row, source_factory.settings):
            enqueue_captions(row.id, row.serial, row.priority, 0.0)

    def ask(given: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**given, **{k: v for k, v in options.items() if k == ASKED}}

    def refresh(found: Sequence[MediaItem]) -> None:
        refresh_known(items, library, found, enqueue, fetch_captions, ask)

    try:
        for part in batches(available_items(listing)):
            _followed(subscriptions, job)
            queued, skipped = submission.submit(
                items, library, part, options, enqueue,
                again=again, asked_at=job.asked_at, by_itself=bool(job.subscription_key),
            )  # fmt: skip
            left_out = {each.id for each in skipped if each.code in LEFT_OUT}
            removed += [item for item in part if item.id in left_out]
            refresh([each for each in part if each.id not in set(queued)])
            if look is not None:
                look.count(found=len(part), queued=len(queued))
                look.note_listing(listing)
                look.save()
    finally:
        refresh(seen)
        if look is not None:
            look.note_listing(listing)
    if names_one_medium(listing) and not job.subscription_key:  # the request was for this item
        asked = [item.id for item in removed]
        submission.submit(items, library, removed, options, enqueue, again=again, asked=asked)
    if followed is not None and listing.channel_id:
        subscriptions.record_channel(
            followed.key, listing.channel_id, listing.report.title, listing.handle
        )
    for note in listing.report.notes:
        log.warning("%s: %s", job.reference, note)
    return listing.notice


def keeps_captions(row: ItemRow, settings: Settings) -> bool:
    """Return True if captions of an item are shown until its transcript, or kept beside it.

    `settings` are those of this machine; the item's request has its own.
    """
    asked = settings_of(row.options, settings)
    if row.state in ACTIVE:
        return RunOptions.from_dict(row.options).wants_captions(asked)
    return row.state in (DONE, HELD) and (asked.witness or bool(asked.captions))


class LookOutdated(Exception):
    """The source of a look is not followed any more, or is followed with other terms."""


def _followed(subscriptions: Subscriptions, job: ListingJob) -> Subscription | None:
    """Return the subscription of a look, None for another listing.

    Raises LookOutdated unless it is followed with the look's own terms: what a person ended or
    changed holds from that moment.
    """
    if not job.subscription_key:
        return None
    followed = subscriptions.find(job.subscription_key)
    if followed is None or subscription_listing(followed).id != job.id:
        raise LookOutdated(job.id)
    return followed


def record_poll(subscriptions: Subscriptions, job: Job, error: KBError | None = None) -> None:
    """Record the result of a subscription's listing; other jobs are ignored."""
    if isinstance(job, ListingJob) and job.subscription_key:
        message = f"{error.message} {error.hint}".strip() if error else ""
        subscriptions.record_result(
            job.subscription_key, error=message, problem=error.problem if error else None
        )
