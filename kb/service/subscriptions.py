"""Subscriptions for the user interfaces: the end of a subscription also cancels its poll."""

from __future__ import annotations

from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.library import Library
from kb.sources import subscriptions


class Subscriptions(subscriptions.Subscriptions):
    """The subscriptions of one library, connected to its queue."""

    def __init__(self, queue: JobQueue, library: Library) -> None:
        super().__init__(queue.database, library)
        self._queue = queue

    def unfollow(self, reference: str) -> bool:
        """Remove a subscription and cancel its poll; return whether the subscription existed."""
        key = subscriptions.subscription_key(reference)
        listing_ids = [subscription_listing(each).id for each in self.list() if each.key == key]
        followed = super().unfollow(reference)
        self._queue.cancel(listing_ids)
        return followed
