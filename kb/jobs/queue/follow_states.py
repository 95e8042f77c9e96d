"""Followed references with their state: the last look, its result, and what is missing and why."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database
from kb.errors import StoredProblem
from kb.jobs.queue import reasons
from kb.jobs.queue.reasons import MissingItem
from kb.sources.looks import Look, LookKind, LookOutcome, Looks
from kb.sources.subscriptions import Subscription
from kb.sources.youtube.links import parse_link

# A look that is later than its time by more than this is overdue: no worker makes it.
OVERDUE_S = 1800.0


@dataclass(frozen=True, slots=True)
class FollowState:
    """A followed reference and its state.

    `condition`: `well`; `missing` (items failed, wait or are held); `short` (the whole list has
    fewer entries than its source counts); `error` (the last look failed, or reports one); `waiting`
    (the look is tried again by itself); `new` (no look was made yet); `overdue` (no worker looks).
    `counts` are the numbers of its items by state; `missing` has the newest first.
    """

    subscription: Subscription
    condition: str
    last: Look | None
    counts: Mapping[str, int]
    missing: tuple[MissingItem, ...]
    next_at: float

    @property
    def rank(self) -> int:
        """0 for what needs a person, 1 for what misses items, 2 for the rest."""
        if self.condition in ("error", "waiting", "overdue"):
            return 0
        return 1 if self.condition in ("missing", "short") else 2

    @property
    def title(self) -> str:
        """The channel's present name and handle, as far as the reference does not say them."""
        each = self.subscription
        said = each.reference.casefold()
        title, handle = each.title or "", each.handle or ""
        if title.casefold() in (said, said.removeprefix("@")):
            title = ""
        if handle.casefold() in said:
            handle = ""
        return f"{title} ({handle})" if title and handle else title or handle

    @property
    def last_at(self) -> float | None:
        """The start of the last look in epoch seconds, None if there was none."""
        return self.subscription.last_at or (self.last.started_at if self.last else None)

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
            "counts": dict(self.counts),
            "missing": [asdict(each) for each in self.missing],
        }


def follow_states(database: Database, followed: Sequence[Subscription]) -> list[FollowState]:
    """Return the states of followed references in their order. Raises LibraryError."""
    if not followed:
        return []
    last = Looks(database).last()
    counts = reasons.counts_by_channel(database)
    missing = reasons.missing_by_channel(database)
    now = time.time()
    found = []
    for each in followed:
        if each.channel_id:
            own = counts.get(each.channel_id, {})
            gaps = missing.get(each.channel_id, [])
        else:
            condition = _own_items(each)
            own = reasons.counts_of(database, condition)
            gaps = reasons.missing_of(database, condition)
        look = last.get(each.key)
        state = _condition(each, look, bool(gaps), now)
        found.append(FollowState(each, state, look, own, tuple(gaps), _next(each, look)))
    return found


def _own_items(each: Subscription) -> sa.ColumnElement[bool]:
    """Return the condition of the items of a playlist, an address or a folder."""
    link = parse_link(each.reference)
    if link is not None or "://" in each.reference:
        playlist_id = link.id if link is not None and link.kind == "playlist" else ""
        return reasons.asked_by(each.keys, playlist_id)
    return reasons.below(each.reference)


def _condition(each: Subscription, look: Look | None, gaps: bool, now: float) -> str:
    if look is not None and look.outcome == LookOutcome.WAITING:
        return "waiting"
    if each.error:
        return "error"
    if now > each.next_at + OVERDUE_S:
        return "overdue"
    if each.last_at is None and look is None:  # a time in the future is unknown
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
