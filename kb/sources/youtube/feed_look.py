"""Looks while the Data API gives nothing: a channel's feed shows the newest uploads without quota.

All keys are spent, or the service does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence

from kb.errors import KBError, MediaUnavailable, QuotaExhausted
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.listing.selection import known_among
from kb.sources.youtube.feed import FeedEntry
from kb.types import MediaItem

Feed = Callable[[], Sequence[FeedEntry]]


def feed_listing(
    feed: Feed,
    cause: KBError,
    report: ListingReport,
    filters: VideoFilters,
    known: Container[str],
    *,
    followed: bool,
) -> Listing:
    """Return a listing of what is new in a feed, which ends with the error of the API."""

    def produce(listing: Listing) -> Iterator[MediaItem]:
        yield from _wanted(feed(), listing)
        raise cause

    return Listing(report, produce, filters, known, followed=followed, selected=followed)


def with_feed(look: Iterator[MediaItem], listing: Listing, feed: Feed) -> Iterator[MediaItem]:
    """Yield the videos of a look, and those of the feed where the API gives nothing more now.

    Raises the errors of the look, after the videos of the feed.
    """
    try:
        yield from look
    except (QuotaExhausted, MediaUnavailable) as error:
        if passes(error):
            yield from _wanted(feed(), listing)
        raise


def passes(error: KBError) -> bool:
    """Return True for an error of the API that a later look may not have."""
    return isinstance(error, QuotaExhausted) or error.retryable


def _wanted(entries: Sequence[FeedEntry], listing: Listing) -> Iterator[MediaItem]:
    """Yield the videos of a feed that pass the filters of a listing and are not known.

    Filters that need more than a feed says are left to a look with the Data API.
    """
    if not entries:
        return
    filters, is_first = listing.filters, not listing.report.listed
    if is_first:
        listing.update(listed=len(entries), via="feed")
    if filters.needs_duration or filters.no_shorts or filters.captions is not None:
        return
    newest = sorted(entries, key=lambda each: each.published_at, reverse=True)
    items = [item for item in (each.as_item() for each in newest) if filters.keep(item)]
    if filters.limit:
        items = items[: filters.limit]
    known = known_among(listing.known, [item.id for item in items])
    listing.skipped += len(known) if is_first else 0
    yield from (item for item in items if item.id not in known)
