"""Looks at followed references that are under way: in the queue, running or paused."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from kb.database import Database, items
from kb.database.repeating import repeated
from kb.jobs.queue.item_states import PAUSED, QUEUED, RUNNING, effective_state
from kb.jobs.queue.workflow_ids import LISTING
from kb.sources.looks import Looks


@dataclass(frozen=True, slots=True)
class LookUnderWay:
    """A look that has not ended: `state` is queued, running or paused.

    `since` is the time in epoch seconds at which it was queued, or at which it began.
    """

    state: str
    since: float


@repeated
def looks_under_way(
    database: Database, live_workers: Collection[str] | None
) -> dict[str, LookUnderWay]:
    """Return the looks that are under way, by the key of their subscription.

    `live_workers` None: all workers are taken for live. Raises LibraryError.
    """
    began = {key: look.started_at for key, look in Looks(database).open().items()}
    followed = items.c.item["extra"]["followed"].as_string()
    query = sa.select(followed, effective_state(live_workers), items.c.enqueued_at).where(
        items.c.source == LISTING, items.c.state.in_((QUEUED, RUNNING, PAUSED))
    )
    with database.begin() as connection:
        return {
            str(key): LookUnderWay(
                str(state), began.get(key, queued_at) if state == RUNNING else queued_at
            )
            for key, state, queued_at in connection.execute(query)
            if key
        }
