"""Items that a worker had taken and left are done by the next one, whatever its name is.

A worker that is stopped leaves its workflows for its next start. A host that is renamed, or another
`KB_EXECUTOR_ID`, gives the next worker another name.
"""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from kb.database import workers
from kb.jobs.queue.item_states import QUEUED
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_share import ItemShare
from tests.support.items import item

TAKEN = sa.text("UPDATE workflow_status SET status = 'PENDING', executor_id = 'former'")

# How the former worker ended, seconds since its heartbeat, and if its items are taken.
FORMER = {
    "stopped": (True, 1.0, True),
    "gone long ago": (False, 3600.0, True),
    "never heard of": (None, 0.0, True),
    "at work": (False, 1.0, False),
}


@pytest.mark.parametrize("case", FORMER)
def test_what_a_worker_of_another_name_left(context: WorkerContext, case: str) -> None:
    ended, silent_s, taken = FORMER[case]
    store, client = context.items, context.client
    ids, _ = store.submit([item(n) for n in range(3)], {}, client.ingest)
    now = time.time()
    with store.database.begin() as connection:
        connection.execute(TAKEN)
        connection.execute(
            sa.text("UPDATE workflow_status SET started_at_epoch_ms = :at"), {"at": int(now * 1000)}
        )
        if ended is not None:
            connection.execute(
                sa.insert(workers).values(
                    executor_id="former", host="elsewhere", pid=1, started_at=now - 4000,
                    seen_at=now - silent_s, ended_at=now if ended else None,
                )
            )  # fmt: skip
    share = ItemShare(context, 8)
    assert sorted(share.take_back()) == (sorted(ids) if taken else [])
    found = [store.read(each) for each in ids]
    assert all(each is not None and each.state == QUEUED for each in found)
    assert share.take_back() == []  # they are on the queue, and taken once
    with store.database.begin() as connection:
        query = "SELECT count(*) FROM workflow_status WHERE status = 'ENQUEUED'"
        assert connection.scalar(sa.text(query)) == (3 if taken else 0)
