"""Items put on a queue whose workflows are recorded."""

from __future__ import annotations

import sqlalchemy as sa

from kb.jobs.queue.items import ItemStore
from tests.support.items import item

ME, OTHER = "me", "other"


class Queue:
    """A fake of the workflow queue that records what was added in the same transaction."""

    def __init__(self) -> None:
        self.put: list[tuple[str, int, int]] = []

    def __call__(self, connection: sa.Connection, item_id: str, serial: int, rank: int) -> None:
        self.put.append((item_id, serial, rank))


def queued(store: ItemStore, count: int = 1) -> tuple[list[str], Queue]:
    queue = Queue()
    taken, skipped = store.submit([item(n) for n in range(count)], {}, queue)
    assert len(taken) == count and not skipped
    return taken, queue
