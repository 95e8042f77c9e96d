"""Subscriptions for the user interfaces: a change or the end of one concerns its looks too."""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from kb.errors import KBError, MediaUnavailable, RetryLater, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, CANCELLED, FAILED, PAUSED, QUEUED, WAITING
from kb.jobs.queue.order import SOURCE
from kb.library import Library
from kb.options import RunOptions, SourceOptions, chosen
from kb.settings import Settings
from kb.sources import subscriptions
from kb.sources.channel_identity import has_other_names, identity
from kb.sources.listing.filters import VideoFilters
from kb.types.hours import with_zone


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
        channel_id: str = "",
    ) -> subscriptions.Subscription:
        """Subscribe to a reference; see `kb.sources.subscriptions.Subscriptions.follow`.

        The source is asked which channel a name leads to. Looks that wait or run with the terms
        before are cancelled; the next one is due at once. Its listings keep the limits of a shared
        dashboard, if it was followed on one. Raises the errors of the source for a name that leads
        nowhere.
        """
        if not channel_id:
            with suppress(RetryLater):  # a used-up quota is temporary; the first look asks again
                channel_id = self._channel_of(reference)
        stored = self._queue.asked(options or {})
        before = {each.key: each.options.get("priority") for each in self.list()}
        found = super().follow(
            reference, every_s=every_s, filters=filters, options=stored, channel_id=channel_id
        )
        if found.key in before and before[found.key] != stored.get("priority"):
            items = self._queue.items
            ids = [item_id for state in (QUEUED, WAITING, PAUSED) for item_id in items.ids(state)]
            its = [row.id for row in items.rows(ids) if row.options.get(SOURCE) in found.keys]
            self._queue.rank(its, RunOptions.from_dict(stored))
        self._queue.cancel(self._queue.items.looks_of(found.key, ACTIVE))
        self._wake(found.keys)
        return found

    def _with_zone(self, terms: SourceOptions) -> SourceOptions:
        """Return terms whose hours mean the same on all machines of a team."""
        if terms.window is None or self._queue.database.is_sqlite:
            return terms
        return replace(terms, window=with_zone(terms.window))

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

        `reset` gives up its earlier filters and options. While its service does not answer, a name
        means what it was followed as. Raises as `follow` does, and the errors of the source for any
        other reference that leads nowhere.
        """
        if every_s is not None:
            subscriptions.check_interval(every_s)  # before the network is asked
        reference = _absolute(reference)
        channel_id, is_away = "", False
        try:
            listing = self._queue.source_factory.open(
                reference, (filters or VideoFilters()).dated()
            )
            channel_id = listing.channel_id
        except RetryLater:
            pass  # a used-up quota is temporary; the first look asks again
        except MediaUnavailable as error:
            is_away = error.retryable and bool(self.find_named(reference))
            if not is_away:
                raise
        known = self.find_same(reference, channel_id, filters)
        if is_away and known is not None:
            channel_id = known.channel_id or ""
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
                **(self._with_zone(terms.checked()).as_dict() if terms else {}),
            },
            channel_id=channel_id,
        )

    def rename(self, key: str, reference: str) -> subscriptions.Subscription:
        """Follow a subscription under another name of the same channel; its terms are kept.

        Raises UsageError if the name leads elsewhere, and the errors of the source.
        """
        known = self.find(key)
        if known is None or identity(reference, self._channel_of(reference)) != known.identity:
            raise UsageError(
                "follow.other_channel",
                "{reference} does not lead to the channel that is followed.",
                hint="Follow it as a source of its own.",
                reference=reference,
            )
        return self.follow(
            reference,
            every_s=known.every_s,
            filters=known.filters,
            options=known.options,
            channel_id=known.channel_id or "",
        )

    def find_named(self, reference: str) -> tuple[subscriptions.Subscription, ...]:
        """Return the subscriptions that a reference names; a folder by its relative path too."""
        return super().find_named(reference) or super().find_named(_absolute(reference))

    def _wake(self, keys: Container[object]) -> None:
        """Queue the items that wait for the hours or the pace of a source."""
        items = self._queue.items
        waiting = [
            row.id
            for row in items.rows(items.ids(WAITING))
            if row.options.get(SOURCE) in keys
            and row.problem is not None
            and row.problem.get("code") in ("source.outside_hours", "source.pace")
        ]
        if waiting:
            self._queue.resume(waiting)

    def unfollow(self, reference: str) -> bool:
        """End a subscription given by any of its names, and its looks; return False without one."""
        ended = self.find_named(reference)
        if not ended and has_other_names(reference):
            with suppress(KBError):  # it has no name that the library knows
                same = identity(reference, self._channel_of(reference))
                ended = tuple(each for each in self.list() if same and each.identity == same)
        self.end(ended)
        for each in ended:
            self._queue.cancel(self._queue.items.looks_of(each.key, ACTIVE))
            failed = self._queue.items.looks_of(each.key, (FAILED,))
            self._queue.items.end_as(failed, CANCELLED, (FAILED,))
        return bool(ended)

    def _channel_of(self, reference: str) -> str:
        """Return the id of the channel that a name leads to now, "" if the source gives none."""
        if not has_other_names(reference):
            return ""
        return self._queue.source_factory.open(reference, VideoFilters()).channel_id


def _absolute(reference: str) -> str:
    """Return the full path of what is there: a worker may have another working directory."""
    with suppress(OSError, RuntimeError):  # a name that no file can have
        path = Path(reference).expanduser()
        if path.exists():
            return str(path.absolute())
    return reference
