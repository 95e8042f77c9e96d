"""Subscriptions for the user interfaces: the end of a subscription also cancels its poll."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.jobs.queue.source_factory import marked
from kb.library import Library
from kb.settings import Settings
from kb.sources import subscriptions
from kb.sources.listing.filters import VideoFilters


class Subscriptions(subscriptions.Subscriptions):
    """The subscriptions of one library, connected to its queue."""

    def __init__(self, settings: Settings, queue: JobQueue, library: Library) -> None:
        super().__init__(queue.database, library)
        self._queue = queue
        self._settings = settings

    def follow(
        self,
        reference: str,
        *,
        every_s: float = subscriptions.DEFAULT_EVERY_S,
        filters: VideoFilters | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> subscriptions.Subscription:
        """Subscribe to a reference; see `kb.sources.subscriptions.Subscriptions.follow`.

        Its listings keep the limits of a shared dashboard, if it was followed on one.
        """
        stored = marked(options or {}, self._settings)
        return super().follow(reference, every_s=every_s, filters=filters, options=stored)

    def unfollow(self, reference: str) -> bool:
        """Remove a subscription and cancel its poll; return whether the subscription existed."""
        key = subscriptions.subscription_key(reference)
        listing_ids = [subscription_listing(each).id for each in self.list() if each.key == key]
        followed = super().unfollow(reference)
        self._queue.cancel(listing_ids)
        return followed
