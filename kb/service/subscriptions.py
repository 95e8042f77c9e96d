"""Subscriptions for the user interfaces: the end of a subscription also cancels its poll."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import WAITING
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.jobs.queue.order import SOURCE
from kb.jobs.queue.source_factory import marked
from kb.library import Library
from kb.options import RunOptions, SourceOptions, chosen
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
        found = super().follow(reference, every_s=every_s, filters=filters, options=stored)
        self._wake(found.key)
        return found

    def of(self, reference: str) -> subscriptions.Subscription | None:
        """Return the subscription to a reference, None if it is not followed."""
        return self.find(subscriptions.subscription_key(reference))

    def change(
        self,
        reference: str,
        *,
        every_s: float | None = None,
        filters: VideoFilters | None = None,
        options: RunOptions | None = None,
        terms: SourceOptions | None = None,
        reset: bool = False,
    ) -> subscriptions.Subscription:
        """Subscribe to a reference, or change what is given of a subscription; the rest is kept.

        `reset` gives up its earlier filters and options. Raises as `follow` does.
        """
        known = self.of(reference)
        stored: dict[str, Any] = {}
        kept = VideoFilters()
        if known is not None:
            every_s = known.every_s if every_s is None else every_s
            if not reset:
                stored, kept = dict(known.options), known.filters
        given = {
            each.name: value
            for each in fields(VideoFilters)
            if (value := getattr(filters or kept, each.name)) != each.default
        }
        return self.follow(
            reference,
            every_s=subscriptions.DEFAULT_EVERY_S if every_s is None else every_s,
            filters=replace(kept, **given),
            options={
                **stored,
                **(chosen(options) if options else {}),
                **(terms.checked().as_dict() if terms else {}),
            },
        )

    def _wake(self, key: str) -> None:
        """Queue the items that wait for the hours or the pace of a source."""
        items = self._queue.items
        waiting = [
            row.id
            for row in items.rows(items.ids(WAITING))
            if row.options.get(SOURCE) == key
            and row.problem is not None
            and row.problem.get("code") in ("source.outside_hours", "source.pace")
        ]
        if waiting:
            self._queue.resume(waiting)

    def unfollow(self, reference: str) -> bool:
        """Remove a subscription and cancel its poll; return whether the subscription existed."""
        key = subscriptions.subscription_key(reference)
        listing_ids = [subscription_listing(each).id for each in self.list() if each.key == key]
        followed = super().unfollow(reference)
        self._queue.cancel(listing_ids)
        return followed
