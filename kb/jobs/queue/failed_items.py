"""Failed items whose next attempt is due by the schedule, or by an update of yt-dlp."""

from __future__ import annotations

import sqlalchemy as sa

from kb.database import items
from kb.database.repeating import repeated
from kb.jobs.queue.item_queries import in_parts
from kb.jobs.queue.item_states import FAILED
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.retry_schedule import (
    LONGEST_INTERVAL_S,
    PASSING,
    can_pass,
)
from kb.jobs.queue.workflow_ids import LISTING
from kb.types.clock import SLACK_S


def retry_due(store: ItemStore, now: float, version: str, enqueue: Enqueue) -> list[str]:
    """Queue the failed items whose next attempt is due; return their ids.

    `version` is that of the installed yt-dlp: items that failed with an older one are due at
    once. The number of attempts and the time of the first failure are kept.
    """
    queued = store.retry(due_ids(store, now, version), enqueue, states=(FAILED,), fresh=False)
    ids = [item_id for item_id, _ in queued]
    # Another machine may try them with its older version: that must not make them due again.
    _record_version(store, ids, version)
    return ids


@repeated
def _record_version(store: ItemStore, ids: list[str], version: str) -> None:
    with store.database.begin() as connection:
        for part in in_parts(ids):
            connection.execute(
                sa.update(items).where(items.c.id.in_(part)).values(failed_with=version)
            )


@repeated
def due_ids(store: ItemStore, now: float, version: str) -> list[str]:
    """Return the failed items whose next attempt is due.

    Items that failed before there was a schedule are due too, if their cause can pass.
    """
    c = items.c
    due = sa.or_(
        c.wait_until <= now,
        # The clock was wrong when it was recorded.
        c.wait_until > now + LONGEST_INTERVAL_S + SLACK_S,
    )
    updated = sa.and_(c.failing_since.is_not(None), c.failed_with < version)
    unscheduled = sa.and_(
        c.failing_since.is_(None),
        c.wait_until.is_(None),
        c.problem["code"].as_string().in_(sorted(PASSING)),
    )
    query = sa.select(c.id, c.problem, c.failing_since).where(
        c.state == FAILED, c.source != LISTING, sa.or_(due, updated, unscheduled)
    )
    with store.database.begin() as connection:
        return [
            str(item_id)
            for item_id, problem, since in connection.execute(query)
            if since is not None or can_pass(problem)
        ]
