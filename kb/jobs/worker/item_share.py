"""The share of the queue that this worker takes: its limit of items in flight.

One machine alone takes as many items as fill its batches. Of several, each takes a part of what is
there, so that 40 items are not 32 here and 8 there, and the parts get smaller towards the end. What
a machine took and does not begin is taken back by another one that has nothing to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

from kb.database import items
from kb.database.repeating import repeated
from kb.jobs.queue import heartbeat, workflow_ids
from kb.jobs.queue.item_states import QUEUED, RUNNING
from kb.jobs.worker.context import WorkerContext

PARTS = 1.5  # of the open items that are shared out at once, one part of so many
NOT_BEGUN_S = 15.0  # a machine that has an item for so long without beginning it gives it back


def share_of(open_items: int, machines: int, most: int) -> int:
    """Return the number of items in flight for one of several machines."""
    if machines <= 1:
        return most
    return max(1, min(most, math.ceil(open_items / (machines * PARTS))))


class ItemShare:
    """The limit of items in flight of this worker; `limit` is read at every poll of the queue."""

    def __init__(self, context: WorkerContext, most: int) -> None:
        self._context = context
        self._most = most
        self._share = most

    def limit(self) -> int:
        """Return the limit; 0 while this worker takes no items."""
        return 0 if self._context.lane_is_paused() else self._share

    def refresh(self) -> None:
        """Compute the share from the open items and the machines that take some.

        Raises LibraryError.
        """
        if self._context.items.database.is_sqlite:
            return
        closed = self._closed()
        alive = [
            worker
            for worker in heartbeat.list_workers(self._context.items.database)
            if worker.is_alive() and worker.executor_id not in closed
        ]
        machines = len({worker.executor_id for worker in alive} | {self._context.executor})
        self._share = share_of(self._count(machines), machines, self._most)

    def take_back(self) -> list[str]:
        """Queue items again that another worker does not begin, if this one has nothing to do.

        A worker that was stopped keeps what it had taken for its next start, which may have another
        name.
        The former workflow of such an item finds another serial in the table, and ends. Return the
        ids. Raises LibraryError.
        """
        context = self._context
        with context.lock:
            free = self.limit() - len(context.running)
        if free <= 0 or context.client.has_queued():
            return []
        found = context.client.not_begun(
            context.executor, self._closed(), heartbeat.HEARTBEAT_TIMEOUT_S, NOT_BEGUN_S, free
        )
        moved = context.items.retry(
            list(found), context.client.ingest, states=(QUEUED,), fresh=False, serials=found
        )
        context.client.cancel([workflow_ids.ingest_id(*key) for key in moved])
        return [item_id for item_id, _ in moved]

    def on(self, context: WorkerContext) -> ItemShare:
        """Return the same share for another thread, with its connections to the database."""
        other = ItemShare(context, self._most)
        other.limit = self.limit  # type: ignore[method-assign]
        return other

    def _closed(self) -> set[str]:
        """Return the workers that take no items for a reason of their own."""
        now = self._context.items.database.time()
        pauses = self._context.lanes.pauses(now)
        prefix = workflow_ids.machine_lane("")
        return {name.removeprefix(prefix) for name, _ in pauses if name.startswith(prefix)}

    @repeated
    def _count(self, machines: int) -> int:
        """Count the open items as far as it matters: a queue of millions is not counted."""
        enough = math.ceil(self._most * machines * PARTS)
        part = sa.select(items.c.id).where(items.c.state.in_((QUEUED, RUNNING))).limit(enough)
        with self._context.items.database.begin() as connection:
            query = sa.select(sa.func.count()).select_from(part.subquery())
            return int(connection.scalar(query) or 0)


def limit_queues(limits: Mapping[str, Callable[[], int]]) -> None:
    """Give queues of this process limits of its own.

    DBOS keeps one limit for each queue in the database, for all workers: the last one that starts
    would decide for all. Called once, before `DBOS.launch()`.
    """
    stored = SystemDatabase.get_queue

    def get_queue(self: SystemDatabase, name: str, *args: object, **more: object) -> object:
        queue = stored(self, name, *args, **more)
        if queue is not None and name in limits:
            queue._worker_concurrency = limits[name]()
        return queue

    SystemDatabase.get_queue = get_queue
