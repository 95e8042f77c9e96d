"""Followed references for the user interfaces: their states, their looks, and the digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kb.errors import UsageError
from kb.jobs.digest.activity import DAY_S, NO_LOOKS, activity, looks_by_source
from kb.jobs.digest.activity import Activity as Activity
from kb.jobs.digest.digest import Digest, compose
from kb.jobs.digest.digest_text import digest_text as digest_text
from kb.jobs.queue import reasons
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.follow_conditions import CONDITIONS as CONDITIONS
from kb.jobs.queue.follow_conditions import numbers_of as numbers_of
from kb.jobs.queue.follow_states import FollowState as FollowState
from kb.jobs.queue.follow_states import by_condition, follow_states
from kb.jobs.queue.known_numbers import CLOSED as CLOSED
from kb.jobs.queue.known_numbers import NO_ITEM as NO_ITEM
from kb.jobs.queue.known_numbers import KnownEntry as KnownEntry
from kb.jobs.queue.look_states import LookUnderWay as LookUnderWay
from kb.jobs.queue.reasons import Reason
from kb.library import Library
from kb.service.subscriptions import Subscriptions
from kb.settings import Settings
from kb.sources.keys.key_ring import KeyRing, quota_use, read_keys
from kb.sources.keys.key_ring import QuotaUse as QuotaUse
from kb.sources.looks import KEPT, Look, Looks
from kb.sources.subscriptions import subscription_key


@dataclass
class Follows:
    """The states of the followed references of one library. Methods raise LibraryError."""

    settings: Settings
    library: Library
    queue: JobQueue
    subscriptions: Subscriptions

    def states(self) -> list[FollowState]:
        """Return all followed references with their states, in the order of their conditions.

        Those in the same condition are in the order in which they were followed.
        """
        live = [worker.executor_id for worker in self.queue.workers()]
        followed = self.subscriptions.list()
        return by_condition(follow_states(self.queue.database, self.library, followed, live))

    def documents(self, days: float) -> list[dict[str, Any]]:
        """Return the states as plain JSON values, each with its looks of the last days.

        Each has the room of the whole library too.
        """
        now = self.queue.database.time()
        begin = now - days * DAY_S
        looks = looks_by_source(self.queue.database, begin, now, now=now)
        room = self.activity(days).room_dict()
        return [
            {
                **each.as_dict(),
                "week": {"days": days, **(looks.get(each.subscription.key) or NO_LOOKS)},
                "room": room,
            }
            for each in self.states()
        ]

    def history(self, reference: str, limit: int = KEPT) -> tuple[Look, ...]:
        """Return the looks at a reference, the newest first; those of an ended one too.

        Raises UsageError for a reference that is not followed and was never looked at.
        """
        named = self.subscriptions.find_named(reference)
        key = named[0].key if named else subscription_key(reference)
        found = Looks(self.queue.database).history(key, limit)
        if not named and not found:
            raise UsageError(
                "follow.unknown",
                "{source!r} is not followed.",
                hint="See: kb follow --list",
                source=reference,
            )
        return found

    def activity(self, days: float, *, sizes: bool = True) -> Activity:
        """Return the activity of the last days; without `sizes` no file is looked up."""
        now = self.queue.database.time()
        begin = now - days * DAY_S
        return activity(self.queue.database, self.library, begin, now, now=now, sizes=sizes)

    def quota(self) -> QuotaUse | None:
        """Return the quota of today; None without a key. Raises SettingsError too."""
        keys = read_keys(self.settings)
        return quota_use(KeyRing(keys, self.queue.database).statuses()) if keys else None

    def digest(self, days: float) -> Digest:
        """Return the digest of the last days."""
        now = self.queue.database.time()
        return compose(self.queue.database, self.library, now - days * DAY_S, now, now=now)

    def send_digest(self, digest: Digest) -> list[str]:
        """Send a digest by every way of the settings; return the ways. Raises KBError."""
        from kb.jobs.digest import delivery  # e-mail and TLS are slow to import

        ways = delivery.channels(self.settings)
        if not ways:
            raise UsageError(
                "digest.no_way",
                "The settings name no way to send a digest.",
                hint="Set KB_DIGEST_EMAIL and KB_SMTP_HOST, or KB_DIGEST_WEBHOOK.",
            )
        for way in ways:
            delivery.send(self.settings, digest, way)
        return list(ways)

    def reasons(self) -> list[Reason]:
        """Return for which reasons items wait, failed or are held, the most frequent first."""
        live = [worker.executor_id for worker in self.queue.workers()]
        return reasons.item_reasons(self.queue.database, live)

    def publication_reasons(self) -> list[Reason]:
        """Return for which reasons publications failed or wait."""
        return reasons.publication_reasons(self.queue.database)
