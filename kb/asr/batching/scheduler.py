"""Scheduling: the waiting windows, and the choice of those that share a batch.

Items take turns, so that a short one is not held up behind a long one. Within a small horizon
(twice a batch) the choice is free, and is used for two things: windows of one language go
together, and the longest go first, because a batch takes as long as its longest text. What is
passed over goes at the latest two batches later, so that nothing waits for ever.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

HORIZON = 2  # batches, in turn order, within which the order is free
MOST_PASSES = 2  # batches that may go without a window whose turn it was

Job = TypeVar("Job")


@dataclass(slots=True, eq=False)
class Ticket(Generic[Job]):
    """A job that waits. `kind`: jobs of different kinds never share a batch (task, way of
    decoding). `length_s`: its expected length, in seconds of speech. `language` is asked when
    the choice is made, because it may become known while the job waits; empty if it is not."""

    owner: Hashable
    job: Job
    kind: Hashable
    length_s: float
    language: Callable[[], str]
    skipped: int = 0


class FairScheduler(Generic[Job]):
    """The waiting jobs, by owner. Not thread-safe."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[Ticket[Job]]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def owners(self) -> list[Hashable]:
        """Return the owners that wait, in the order of their turns."""
        return list(self._waiting)

    def queued_of(self, owner: Hashable) -> int:
        """Return the number of waiting jobs of `owner`."""
        return len(self._waiting.get(owner, ()))

    def add(self, ticket: Ticket[Job]) -> None:
        """Queue a job behind its owner's others."""
        self._waiting.setdefault(ticket.owner, deque()).append(ticket)
        self._count += 1

    def remove(self, owner: Hashable) -> list[Job]:
        """Remove and return all jobs of `owner`."""
        dropped = self._waiting.pop(owner, deque())
        self._count -= len(dropped)
        return [ticket.job for ticket in dropped]

    def next_batch(self, size: int) -> list[Job]:
        """Remove and return up to `size` jobs that go together, longest first."""
        candidates = self._round_robin(HORIZON * size)
        if not candidates:
            return []
        leader = next((t for t in candidates if t.skipped >= MOST_PASSES), candidates[0])
        compatible = [ticket for ticket in candidates if ticket.kind == leader.kind]
        language = leader.language()
        compatible.sort(
            key=lambda t: (
                t.skipped < MOST_PASSES,  # those who have waited long enough come first
                t.language() != language,  # then the leader's language; others fill up
                -t.length_s,
            )
        )
        batch = compatible[:size]
        chosen = set(map(id, batch))
        for ticket in candidates[:size]:
            ticket.skipped += id(ticket) not in chosen
        for owner in dict.fromkeys(ticket.owner for ticket in candidates if id(ticket) in chosen):
            rest = deque(t for t in self._waiting[owner] if id(t) not in chosen)
            if rest:
                self._waiting[owner] = rest
                self._waiting.move_to_end(owner)  # the next item's turn
            else:
                del self._waiting[owner]
        self._count -= len(batch)
        return [t.job for t in sorted(batch, key=lambda t: -t.length_s)]

    def _round_robin(self, most: int) -> list[Ticket[Job]]:
        """Return the first `most` tickets, with owners in turn."""
        tickets_in_order: list[Ticket[Job]] = []
        round_number = 0
        while len(tickets_in_order) < min(most, self._count):
            for tickets in self._waiting.values():
                if round_number < len(tickets) and len(tickets_in_order) < most:
                    tickets_in_order.append(tickets[round_number])
            round_number += 1
        return tickets_in_order
