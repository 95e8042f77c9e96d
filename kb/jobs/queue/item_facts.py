"""The facts of an item in the queue's table: changed without a change of its state."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from kb.database import Database, items
from kb.database.repeating import repeated
from kb.jobs.queue.item_states import described
from kb.jobs.queue.partial_files import REPLACES
from kb.pipeline.transcript_files import BROUGHT
from kb.types import MediaItem

OF_THE_REQUEST = frozenset((BROUGHT, REPLACES))
"""Keys of `MediaItem.extra` that say what is asked for, and nothing about the medium."""


def as_asked(found: MediaItem, asked: MediaItem) -> MediaItem:
    """Return the facts of a medium with the wishes of the item `asked`, and with no others.

    The library's metadata have neither those of a later request, nor are those in it still valid.
    """
    extra = {key: value for key, value in found.extra.items() if key not in OF_THE_REQUEST}
    extra |= {key: value for key, value in asked.extra.items() if key in OF_THE_REQUEST}
    return replace(found, extra=extra)


@repeated
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
