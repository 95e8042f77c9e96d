"""Followed references with their state: the last look, its result, and what is missing and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from kb.database import Database
from kb.errors import StoredProblem
from kb.jobs.queue import known_numbers, reasons
from kb.jobs.queue.follow_conditions import CONDITIONS, place_of
from kb.jobs.queue.item_states import QUEUED, RUNNING
from kb.jobs.queue.known_numbers import KnownEntry
from kb.jobs.queue.look_states import LookUnderWay, looks_under_way
from kb.jobs.queue.reasons import MISSING, MissingItem
from kb.library import Library
from kb.library.left_out import LeftOut
from kb.sources.looks import Look, LookKind, LookOutcome, Looks
from kb.sources.subscriptions import Subscription
from kb.sources.youtube.links import parse_link
from kb.types.clock import believed_due

# A look that is later than its time by more than this is overdue: no worker makes it.
OVERDUE_S = 1800.0
# Codes of the errors of a source that is gone: a later look finds nothing until it is back.
GONE = frozenset(("youtube.channel_deleted", "youtube.channel_missing", "youtube.playlist_missing"))
# Codes of what a look that succeeded reports.
NOTES = frozenset(("youtube.name_gone", "youtube.name_moved"))
_COMING = (QUEUED, RUNNING, known_numbers.TO_COME)


@dataclass(frozen=True, slots=True)
class FollowState:
    """A followed reference and its state.

    `condition`: `error` (the last look failed); `waiting` (the look is tried again by itself);
    `noted` (the last look succeeded and has something to report, such as another name); `missing`
    (items failed, wait or are held); `overdue` (no worker looks); `new` (no look has ended yet);
    `coming` (items are queued or run, for the first time or again); `short` (the whole list has
    fewer entries than its source counts); `well` (the last look succeeded, and all is there).

    `last` is the newest look that has ended, `looking` the one that is under way. `counts` are the
    numbers of what is known by class (see `kb.jobs.queue.known_numbers`) and sum to `known`;
    `missing` has the newest first. `entries` are the known entries without an item, by class; what
    the filters leave out is not among them. `next_at` is the time of the next look: now, if the
    recorded one cannot be believed, because the look is due then.
    """

    subscription: Subscription
    condition: str
    last: Look | None
    counts: Mapping[str, int]
    missing: tuple[MissingItem, ...]
    next_at: float
    looking: LookUnderWay | None = None
    entries: Mapping[str, tuple[KnownEntry, ...]] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """0 for what needs a person, 1 for missing items, 2 without a worker, 3 for the rest."""
        return CONDITIONS[self.condition].rank

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
    def known(self) -> int:
        """The number of what is known: entries of its list, and items that came from it."""
        return sum(self.counts.values())

    @property
    def error(self) -> str:
        """The error of the last look, empty if it succeeded."""
        return self.subscription.error

    @property
    def problem(self) -> StoredProblem | None:
        """Code and values of the error."""
        return self.subscription.problem

    @property
    def is_gone(self) -> bool:
        """True if the source does not exist any more: looks find nothing until it is back."""
        return bool(self.error) and (self.problem or {}).get("code") in GONE

    @property
    def better_name(self) -> str:
        """A reference that leads to the same channel, where its own does not; else empty."""
        problem = self.problem or {}
        values = problem.get("values") or {}
        name = ""
        if problem.get("code") == "youtube.name_gone":
            name = str(values.get("handle") or "")
        elif problem.get("code") == "youtube.name_moved" and values.get("id"):
            name = f"youtube.com/channel/{values['id']}"
        link = parse_link(self.subscription.reference)
        if not name or not self.error or link is None or not link.tab:
            return name if self.error else ""
        name = name.removeprefix("youtube.com/")
        return f"https://www.youtube.com/{name}/{'shorts' if link.tab == 'shorts' else 'streams'}"

    def as_dict(self) -> dict[str, Any]:
        """Return the subscription's fields as before, and those of its state.

        `next_at` is the recorded time, `next_look_at` the one that is shown: now, where the
        recorded one cannot be believed.
        """
        return {
            **asdict(self.subscription),
            "condition": self.condition,
            "next_look_at": self.next_at,
            "last_look": asdict(self.last) if self.last else None,
            "looking": asdict(self.looking) if self.looking else None,
            "counts": dict(self.counts),
            "known": self.known,
            "missing": [asdict(each) for each in self.missing],
            "entries": {name: [asdict(e) for e in found] for name, found in self.entries.items()},
        }


def by_condition(states: Iterable[FollowState]) -> list[FollowState]:
    """Return states in the order of their conditions, else in the order in which they are."""
    return sorted(states, key=lambda each: place_of(each.condition))


def follow_states(
    database: Database,
    library: Library,
    followed: Sequence[Subscription],
    live_workers: Collection[str] | None = None,
) -> list[FollowState]:
    """Return the states of followed references in their order.

    The running items of workers that are not in `live_workers` count as queued; None: all workers
    are taken for live. Raises LibraryError.
    """
    if not followed:
        return []
    last = Looks(database).ended()
    looking = looks_under_way(database, live_workers)
    marks = LeftOut(library).marks()
    listed = known_numbers.of_entries(database, followed, marks)
    named = known_numbers.named_entries(database, listed, marks)
    counts = reasons.counts_by_channel(database, live_workers)
    missing = reasons.missing_by_channel(database, live_workers)
    now = database.time()
    found = []
    for each in followed:
        if each.channel_id and _is_whole_channel(each):
            own = counts.get(each.channel_id, {})
            gaps = missing.get(each.channel_id, [])
        else:
            condition = _own_items(each)
            own = reasons.counts_of(database, condition, live_workers)
            gaps = reasons.missing_of(database, condition, live_workers)
        without = {name: len(ids) for name, ids in listed[each.key].items()}
        numbers = known_numbers.in_order(Counter(own) + Counter(without))
        look, way = last.get(each.key), looking.get(each.key)
        is_late = now > each.next_at + OVERDUE_S
        if way is not None and way.state == QUEUED and live_workers is not None:
            is_late = is_late or (not live_workers and now > way.since + OVERDUE_S)
        state = _condition(each, look, numbers, is_overdue=is_late)
        found.append(
            FollowState(
                each, state, look, numbers, tuple(gaps), _next(each, look, now), way,
                named[each.key],
            )
        )  # fmt: skip
    return found


def _is_whole_channel(each: Subscription) -> bool:
    link = parse_link(each.reference)
    return not each.filters.playlist and (link is None or not link.tab)


def _own_items(each: Subscription) -> sa.ColumnElement[bool]:
    """Return the condition of the items of a playlist, a tab, an address or a folder."""
    if parse_link(each.reference) is not None or "://" in each.reference:
        return reasons.asked_by(each.keys, known_numbers.lists_of(each))
    return reasons.below(each.reference)


def _condition(
    each: Subscription, look: Look | None, numbers: Mapping[str, int], *, is_overdue: bool
) -> str:
    """Return the condition; `look` is the newest one that has ended."""
    outcome = look.outcome if look is not None else ""
    if outcome == LookOutcome.WAITING:
        return "waiting"
    # After a loss of the database, the error is all that is left of the last look.
    is_note = look is None and (each.problem or {}).get("code") in NOTES
    if outcome == LookOutcome.FAILED or (
        each.error and outcome != LookOutcome.SUCCEEDED and not is_note
    ):
        return "error"
    if each.error:
        return "noted"
    if any(numbers.get(state) for state in MISSING):
        return "missing"
    if is_overdue:
        return "overdue"
    if look is None:
        return "new"
    if any(numbers.get(state) for state in _COMING):
        return "coming"
    return "short" if _is_short(look) else "well"


def _is_short(look: Look) -> bool:
    return look.kind == LookKind.WHOLE and look.listed < (look.reported or 0)


def _next(each: Subscription, look: Look | None, now: float) -> float:
    """Return the time of the next look: the next try of one that waits, or the next due one."""
    due_at = believed_due(each.next_at, now, longest_s=each.every_s)
    if look is not None and look.outcome == LookOutcome.WAITING and look.next_at is not None:
        return min(believed_due(look.next_at, now, written_at=look.started_at), due_at)
    return due_at
