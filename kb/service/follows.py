"""Followed references with their state: the last look, its result, and what is missing and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kb.errors import StoredProblem
from kb.jobs.queue import reasons
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.reasons import MissingItem, Reason
from kb.service.subscriptions import Subscriptions
from kb.sources.looks import KEPT, Look, LookKind, LookOutcome, Looks
from kb.sources.subscriptions import Subscription, subscription_key

# A look that is later than its time by more than this is overdue: no worker makes it.
OVERDUE_S = 1800.0


@dataclass(frozen=True, slots=True)
class FollowState:
    """A followed reference and its state.

    `condition`: `well`; `missing` (items failed, wait or are held); `short` (the whole list has
    fewer entries than its source counts); `error` (the last look failed, or reports one); `waiting`
    (the look is tried again by itself); `new` (no look was made yet); `overdue` (no worker looks).
    `counts` are the numbers of its items by state, None if they cannot be told from others;
    `missing` has the newest first.
    """

    subscription: Subscription
    condition: str
    last: Look | None
    counts: Mapping[str, int] | None
    missing: tuple[MissingItem, ...]
    next_at: float

    @property
    def rank(self) -> int:
        """0 for what needs a person, 1 for what misses items, 2 for the rest."""
        if self.condition in ("error", "waiting", "overdue"):
            return 0
        return 1 if self.condition in ("missing", "short") else 2

    @property
    def error(self) -> str:
        """The error of the last look, empty if it succeeded."""
        return self.subscription.error

    @property
    def problem(self) -> StoredProblem | None:
        """Code and values of the error."""
        return self.subscription.problem

    def as_dict(self) -> dict[str, Any]:
        """Return the subscription's fields as before, and those of its state."""
        return {
            **asdict(self.subscription),
            "condition": self.condition,
            "last_look": asdict(self.last) if self.last else None,
            "counts": dict(self.counts) if self.counts is not None else None,
            "missing": [asdict(each) for each in self.missing],
        }


@dataclass
class Follows:
    """The states of the followed references of one library. Methods raise LibraryError."""

    queue: JobQueue
    subscriptions: Subscriptions

    def states(self) -> list[FollowState]:
        """Return all followed references with their states, the oldest first."""
        followed = self.subscriptions.list()
        if not followed:
            return []
        database = self.queue.database
        last = Looks(database).last()
        counts = reasons.counts_by_channel(database)
        missing = reasons.missing_by_channel(database)
        now = time.time()
        found = []
        for each in followed:
            if each.channel_id:
                own = counts.get(each.channel_id, {})
                gaps = missing.get(each.channel_id, [])
            elif each.key.startswith("youtube:") or "://" in each.reference:
                own, gaps = None, []
            else:
                own = reasons.counts_under(database, each.reference)
                gaps = reasons.missing_under(database, each.reference)
            look = last.get(each.key)
            condition = _condition(each, look, bool(gaps), now)
            found.append(FollowState(each, condition, look, own, tuple(gaps), _next(each, look)))
        return found

    def history(self, reference: str, limit: int = KEPT) -> tuple[Look, ...]:
        """Return the looks at a reference, the newest first; those of an ended one too."""
        wanted = {reference.strip(), subscription_key(reference)}
        keys = [
            each.key for each in self.subscriptions.list() if {each.reference, each.key} & wanted
        ] or [subscription_key(reference)]
        return Looks(self.queue.database).history(keys[0], limit)

    def reasons(self) -> list[Reason]:
        """Return for which reasons items wait, failed or are held, the most frequent first."""
        live = [worker.executor_id for worker in self.queue.workers()]
        return reasons.item_reasons(self.queue.database, live)

    def publication_reasons(self) -> list[Reason]:
        """Return for which reasons publications failed or wait."""
        return reasons.publication_reasons(self.queue.database)


def _condition(each: Subscription, look: Look | None, gaps: bool, now: float) -> str:
    if look is not None and look.outcome == LookOutcome.WAITING:
        return "waiting"
    if each.error:
        return "error"
    if now > each.next_at + OVERDUE_S:
        return "overdue"
    if each.last_at is None:
        return "new"
    if gaps:
        return "missing"
    return "short" if look is not None and _is_short(look) else "well"


def _is_short(look: Look) -> bool:
    return look.kind == LookKind.WHOLE and look.listed < (look.reported or 0)


def _next(each: Subscription, look: Look | None) -> float:
    """Return the time of the next look: the next try of one that waits, or the next due one."""
    if look is not None and look.outcome == LookOutcome.WAITING and look.next_at is not None:
        return min(look.next_at, each.next_at)
    return each.next_at
