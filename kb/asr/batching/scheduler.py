"""Scheduling: the waiting windows, and the choice of those that share a batch.

Items take turns, so that a short item does not wait for a long one. Within a small horizon (twice
a batch) the order is free, for two purposes: windows of one language share a batch, and the
longest windows come first, because a batch takes as long as its longest text. A window that was
skipped is decoded at most two batches later, so that no window waits forever.

Windows of a short request whose caller waits for the answer are urgent: they come before all
others, and what is left of their batch is filled with others. After four batches in a row without
room for others, the next one is theirs.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

HORIZON = 2  # batches, in turn order, within which the order is free
MOST_PASSES = 2  # most batches that may skip a window in its turn
MOST_URGENT = 4  # most batches in a row of urgent windows alone while others wait

Job = TypeVar("Job")


@dataclass(slots=True, eq=False)
class Ticket(Generic[Job]):
    """A waiting job.

    `kind`: jobs of different kinds (task, decoding options) never share a batch. `length_s`: its
    expected length, in seconds of speech. `language()` is called when the batch is chosen, because
    the language may become known during the wait; it returns an empty text while unknown.
    `urgent`: a caller waits for it, so that it comes before all that are not urgent.
    """

    owner: Hashable
    job: Job
    kind: Hashable
    length_s: float
    language: Callable[[], str]
    urgent: bool = False
    skipped: int = 0


class FairScheduler(Generic[Job]):
    """The waiting jobs, by owner. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[Ticket[Job]]] = OrderedDict()
        self._count = 0
        self._urgent_alone = 0  # batches in a row of urgent windows alone while others waited

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> list[Hashable]:
        """The owners with waiting jobs, in the order of their turns."""
        return list(self._waiting)

    @property
    def has_urgent(self) -> bool:
        """Return True if an urgent job waits."""
        return any(tickets[0].urgent for tickets in self._waiting.values())

    def queued_of(self, owner: Hashable) -> int:
        """Return the number of waiting jobs of `owner`."""
        return len(self._waiting.get(owner, ()))

    def add(self, ticket: Ticket[Job]) -> None:
        """Queue a job after the other jobs of its owner."""
        self._waiting.setdefault(ticket.owner, deque()).append(ticket)
        self._count += 1

    def remove(self, owner: Hashable) -> list[Job]:
        """Remove and return all jobs of `owner`."""
        dropped = self._waiting.pop(owner, deque())
        self._count -= len(dropped)
        return [ticket.job for ticket in dropped]

    def next_batch(self, size: int) -> list[Job]:
        """Remove and return up to `size` jobs for one batch, longest first."""
        urgent = self._round_robin(size, urgent=True)
        ordinary = self._round_robin(HORIZON * size, urgent=False)
        others_turn = bool(ordinary) and self._urgent_alone >= MOST_URGENT
        leaders = urgent if urgent and not others_turn else ordinary
        if not leaders:
            return []
        leader = next((t for t in leaders if t.skipped >= MOST_PASSES), leaders[0])
        candidates = [ticket for ticket in urgent + ordinary if ticket.kind == leader.kind]
        language = leader.language()
        batch = sorted(
            candidates,
            key=lambda t: (
                not (others_turn and t is leader),
                not t.urgent,
                t.skipped < MOST_PASSES,  # jobs that were skipped often enough come first
                t.language() != language,  # then those in the first job's language; others fill up
                -t.length_s,
            ),
        )[:size]
        room = size - sum(ticket.urgent for ticket in batch)
        self._remove_chosen(batch, urgent + ordinary, passed=ordinary[:room])
        alone = bool(ordinary) and all(ticket.urgent for ticket in batch)
        self._urgent_alone = self._urgent_alone + 1 if alone else 0
        return [t.job for t in sorted(batch, key=lambda t: -t.length_s)]

    def _remove_chosen(
        self, batch: list[Ticket[Job]], turns: list[Ticket[Job]], passed: list[Ticket[Job]]
    ) -> None:
        """Remove a batch from the queue; its owners' next turns come last, in the order of `turns`.

        Count the `passed` tickets that are not in it.
        """
        chosen = set(map(id, batch))
        for ticket in passed:
            ticket.skipped += id(ticket) not in chosen
        for owner in dict.fromkeys(ticket.owner for ticket in turns if id(ticket) in chosen):
            rest = deque(t for t in self._waiting[owner] if id(t) not in chosen)
            if rest:
                self._waiting[owner] = rest
                self._waiting.move_to_end(owner)  # the next item's turn
            else:
                del self._waiting[owner]
        self._count -= len(batch)

    def _round_robin(self, most: int, *, urgent: bool) -> list[Ticket[Job]]:
        """Return the first `most` tickets of one kind, one owner after the other in turn."""
        own = [
            tickets for tickets in self._waiting.values() if tickets and tickets[0].urgent == urgent
        ]
        count = sum(map(len, own))
        tickets_in_order: list[Ticket[Job]] = []
        round_number = 0
        while len(tickets_in_order) < min(most, count):
            for tickets in own:
                if round_number < len(tickets) and len(tickets_in_order) < most:
                    tickets_in_order.append(tickets[round_number])
            round_number += 1
        return tickets_in_order
