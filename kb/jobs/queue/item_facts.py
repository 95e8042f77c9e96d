"""The facts of an item in the queue's table: changed without a change of its state."""

from __future__ import annotations

import sqlalchemy as sa

from kb.database import Database, items
from kb.jobs.queue.item_states import described
from kb.types import MediaItem


def describe(database: Database, item_id: str, item: MediaItem, *, serial: int) -> bool:
    """Record the facts of an item as its source gives them now.

    Return False if the item was queued again since it had the serial `serial`. Raises LibraryError.
    """
    values = described(item)
    if values["duration_s"] is None:
        del values["duration_s"]  # the measured one stays
    with database.begin() as connection:
        done = connection.execute(
            sa.update(items).where(items.c.id == item_id, items.c.serial == serial).values(**values)
        )
        return bool(done.rowcount)
