"""The chores of a worker, called separately, on a real database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from kb.database import items, workers
from kb.database.snapshots import snapshots
from kb.jobs.queue import heartbeat, workflow_ids
from kb.jobs.queue.item_states import QUEUED, RUNNING, WAITING
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from tests.support.items import item


def queue(context: WorkerContext, count: int) -> list[str]:
    ids, _ = context.items.submit([item(n) for n in range(count)], {}, context.client.ingest)
    return ids


def claim(context: WorkerContext, ids: Sequence[str], executor: str = "me") -> None:
    for item_id in ids:
        row = context.items.claim(item_id, 1, executor)
        assert row is not None


def states(context: WorkerContext, ids: Sequence[str]) -> list[tuple[str, int]]:
    """Return the state and serial of each item."""
    found = [context.items.read(item_id) for item_id in ids]
    return [(row.state, row.serial) for row in found if row is not None]


def test_an_item_that_the_table_takes_away_is_cancelled(context: WorkerContext) -> None:
    ids = queue(context, 2)
    claim(context, ids)
    context.running |= {(item_id, 1) for item_id in ids}
    context.items.stop(ids[:1])
    context.lanes.pause(workflow_ids.ITEM_LANE, time.time() + 60, "the disk is full")
    chores.refresh_running(context)
    assert context.cancelled == {(ids[0], 1)}
    assert context.lane_pause is not None and context.lane_pause[1] == "the disk is full"


def test_only_waiting_items_whose_time_has_come_are_queued(context: WorkerContext) -> None:
    ids = queue(context, 2)
    claim(context, ids)
    now = time.time()
    for item_id, until in zip(ids, (now - 1, now + 60), strict=True):
        context.items.finish(item_id, 1, "me", WAITING, wait_until=until, attempts=2)
    chores.requeue_due(context)
    assert states(context, ids) == [(QUEUED, 2), (WAITING, 1)]
    row = context.items.read(ids[0])
    assert row is not None and row.attempts == 2
    assert context.client.abandoned() == {}  # every item has a workflow


def test_the_items_of_a_worker_that_fell_silent_are_put_back(context: WorkerContext) -> None:
    ids = queue(context, 1)
    claim(context, ids, "other")
    database = context.items.database
    now = time.time()
    with database.begin() as connection:
        database.insert_if_missing(
            connection, workers, executor_id="other", host="elsewhere", pid=1,
            started_at=now, seen_at=now, facts={},
        )  # fmt: skip
    detector = heartbeat.DeadWorkerDetector(0.05)
    chores.reap_dead_workers(context, detector)
    assert states(context, ids) == [(RUNNING, 1)]  # one check is no evidence
    time.sleep(0.1)
    chores.reap_dead_workers(context, detector)
    assert states(context, ids) == [(QUEUED, 1)]
    ended = {worker.executor_id: worker.ended for worker in heartbeat.list_workers(database)}
    assert ended == {"me": False, "other": True}


def test_an_item_without_a_workflow_is_queued_again(context: WorkerContext) -> None:
    (kept,) = queue(context, 1)
    (lost,), _ = context.items.submit([item(7)], {}, lambda *_: None)
    assert chores.requeue_lost(context, set()) == set()
    assert states(context, [kept, lost]) == [(QUEUED, 1), (QUEUED, 2)]
    assert context.client.abandoned() == {}


def test_an_item_that_no_thread_has_is_queued_again_at_the_second_look(
    context: WorkerContext,
) -> None:
    ids = queue(context, 2)
    claim(context, ids)
    context.running.add((ids[0], 1))
    idle = chores.requeue_lost(context, set())
    assert idle == {(ids[1], 1)}
    assert states(context, ids) == [(RUNNING, 1), (RUNNING, 1)]
    chores.requeue_lost(context, idle)
    assert states(context, ids) == [(RUNNING, 1), (QUEUED, 2)]


def test_records_older_than_the_setting_are_deleted(context: WorkerContext) -> None:
    ids = queue(context, 2)
    workflows = [workflow_ids.ingest_id(item_id, 1) for item_id in ids]
    context.client.cancel(workflows)
    ages_days = (context.settings.keep_records_days + 1, context.settings.keep_records_days - 1)
    table = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("completed_at"))
    for workflow_id, age in zip(workflows, ages_days, strict=True):
        at_ms = int((time.time() - age * chores.DAY_S) * 1000)
        with context.items.database.begin() as connection:
            this = table.c.workflow_uuid == workflow_id
            connection.execute(sa.update(table).where(this).values(completed_at=at_ms))
    chores.delete_old_records(context)
    with context.items.database.begin() as connection:
        left = connection.scalars(sa.select(table.c.workflow_uuid)).all()
    assert set(left) == {workflows[1]}


def test_a_subscription_that_is_due_is_listed_once(context: WorkerContext) -> None:
    subscription = context.subscriptions.follow("https://www.youtube.com/@talks")
    listing = subscription_listing(subscription).id
    chores.poll_subscriptions(context)
    chores.poll_subscriptions(context)
    assert states(context, [listing]) == [(QUEUED, 1)]
    with context.items.database.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(items)) == 1


def test_the_database_is_copied_once_a_day(context: WorkerContext) -> None:
    for _ in range(3):
        chores.back_up_database(context)
    assert [each.reason for each in snapshots(context.settings.home)] == ["daily"]


def test_the_database_is_copied_after_items_were_queued(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def copies_after(minutes: float) -> list[str]:
        monkeypatch.setattr(time, "time", lambda: now + minutes * 60)
        chores.back_up_database(context)
        return [each.reason for each in snapshots(context.settings.home)]

    assert copies_after(0) == ["daily"]
    monkeypatch.setattr(time, "time", lambda: now + 60)
    context.subscriptions.follow("https://www.youtube.com/@talks")
    chores.poll_subscriptions(context)  # queues an item
    assert copies_after(2) == ["daily"]  # 15 minutes between two copies
    assert copies_after(16) == ["queued", "daily"]
    newest = snapshots(context.settings.home)[0].path
    assert sqlite3.connect(newest).execute("SELECT count(*) FROM kb_items").fetchone() == (1,)
    assert copies_after(40) == ["queued", "daily"]  # nothing was queued since
    assert snapshots(context.settings.home)[0].path == newest
