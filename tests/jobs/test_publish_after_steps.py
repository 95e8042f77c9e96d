"""A remote knowledge base gets an item once its steps have ended, or the longest wait is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, deliveries, steps
from kb.errors import Superseded
from kb.jobs.queue import outbox_states, step_states
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.step_states import QUEUED, product_step
from kb.jobs.queue.steps import StepStore
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.publish_steps import HOUR_S, PublishSteps
from kb.options import RunOptions
from kb.settings import Settings
from tests.jobs.test_steps import ITEM, finished
from tests.support.postgres import database_url, server

__all__ = ["database_url", "server"]

SINK = "folder"
STEPS = ("screen", "speakers")


def documents(context: WorkerContext) -> list[Path]:
    return list(context.settings.home.glob("markdown/**/*.md"))


def publish(context: WorkerContext, *, requested_s_ago: float = 0.0) -> str:
    """Queue the item for the folder of documents and carry its workflow out."""
    context.outbox.send(ITEM.id, [SINK], context.client.publish)
    with context.items.database.begin() as connection:
        since = sa.update(deliveries).where(deliveries.c.sink == SINK)
        connection.execute(since.values(since=deliveries.c.since - requested_s_ago))
    return work(context)


def work(context: WorkerContext) -> str:
    (row,) = (r for r in context.outbox.for_items([ITEM.id])[ITEM.id] if r.sink == SINK)
    return PublishSteps(context, SINK, ITEM.id, row.serial).run()


def set_step(database: Database, step: str, status: str) -> None:
    with database.begin() as connection:
        changed = sa.update(steps).where(steps.c.step == step, steps.c.item_id == ITEM.id)
        connection.execute(changed.values(status=status))


# The states of the item's steps, and whether a publication that was just queued is sent at once.
AT_ONCE: dict[str, tuple[tuple[str, ...], bool]] = {
    "no step was chosen": ((), True),
    **{f"one is {state}": ((state,), True) for state in step_states.STEP_STATES},
    **{f"one is {state}": ((state,), False) for state in step_states.UNFINISHED},
    "one has ended, one is queued": (("done", "queued"), False),
    "both have ended": (("skipped", "failed"), True),
}


@pytest.mark.parametrize("case", AT_ONCE)
def test_an_item_is_sent_when_its_steps_have_ended(case: str, context: WorkerContext) -> None:
    states, at_once = AT_ONCE[case]
    finished(context)
    for step, state in zip(STEPS, states, strict=False):
        context.steps.request([(step, ITEM.id)], context.client.step)
        set_step(context.items.database, step, state)
    assert publish(context) == (outbox_states.SYNCED if at_once else outbox_states.WAITING)
    assert len(documents(context)) == at_once


def test_it_waits_no_longer_than_the_setting(context: WorkerContext) -> None:
    finished(context)
    context.steps.request([(STEPS[0], ITEM.id)], context.client.step)
    hours = context.settings.publish_wait_hours
    assert publish(context, requested_s_ago=hours * HOUR_S - 60) == outbox_states.WAITING
    (row,) = context.outbox.for_items([ITEM.id])[ITEM.id]
    assert row.due_at is not None and 0 < row.due_at - context.now() <= 60
    assert row.problem is not None and row.problem["code"] == outbox_states.AWAITS_STEPS
    assert publish(context, requested_s_ago=hours * HOUR_S + 1) == outbox_states.SYNCED
    assert len(documents(context)) == 1


def test_a_setting_of_nothing_does_not_wait(context: WorkerContext) -> None:
    finished(context)
    context.settings = context.settings.model_copy(update={"publish_wait_hours": 0.0})
    context.steps.request([(STEPS[0], ITEM.id)], context.client.step)
    assert publish(context) == outbox_states.SYNCED


Ending = Callable[[StepStore, DbosClient], object]


def _killed_and_done(store: StepStore, client: DbosClient) -> None:
    """Let the worker of a step die, and another one carry the step out."""
    (row,) = store.for_items([ITEM.id])[ITEM.id]
    assert store.claim(row.step, ITEM.id, row.serial) is not None
    assert store.requeue_lost([(row.step, ITEM.id, row.serial)], client.step)
    _ends(step_states.DONE)(store, client)


def _ends(status: str) -> Ending:
    def end(store: StepStore, _client: DbosClient) -> None:
        (row,) = store.for_items([ITEM.id])[ITEM.id]
        claimed = store.claim(row.step, ITEM.id, row.serial)
        assert claimed is not None and store.finish(claimed, status)

    return end


def _removed(store: StepStore, _client: DbosClient) -> None:
    with store._database.begin() as connection:
        connection.execute(sa.delete(steps))


ENDINGS: dict[str, Ending] = {
    **{state: _ends(state) for state in ("done", "failed", "skipped")},
    "cancelled": lambda store, _client: store.cancel([ITEM.id]),
    "its worker was killed": _killed_and_done,
    "its row is gone": _removed,
}


def check_endings(database: Database, outbox: Outbox, store: StepStore, client: DbosClient) -> None:
    """Check that an entry that waits for a step is due with each of its ends, and not before."""
    for case, end in ENDINGS.items():
        store.request([(STEPS[0], ITEM.id)], client.step)
        outbox.send(ITEM.id, [SINK], client.publish)
        (row,) = outbox.for_items([ITEM.id])[ITEM.id]
        claimed = outbox.claim(SINK, ITEM.id, row.serial)
        assert claimed is not None
        now = database.time()
        problem = {"code": outbox_states.AWAITS_STEPS}
        waits = outbox_states.WAITING
        assert outbox.finish(claimed, waits, problem=problem, due_at=now + HOUR_S), case
        assert outbox.claim_due(now, client.publish) == [], case
        assert not outbox.has_work(now), case
        end(store, client)
        assert outbox.has_work(now), case
        assert outbox.claim_due(now, client.publish) == [(SINK, ITEM.id)], case
        # What waits for something else is not due with it.
        claimed = outbox.claim(SINK, ITEM.id, outbox.for_items([ITEM.id])[ITEM.id][0].serial)
        assert claimed is not None
        other = {"code": "publish.refused"}
        assert outbox.finish(claimed, waits, problem=other, due_at=now + HOUR_S), case
        assert outbox.claim_due(now, client.publish) == [], case


def test_the_end_of_the_last_step_makes_it_due(context: WorkerContext) -> None:
    check_endings(context.items.database, context.outbox, context.steps, context.client)


@pytest.fixture
def server_database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(Settings(home=tmp_path / "home", KB_DATABASE_URL=database_url))
    yield opened
    opened.close()


@pytest.mark.slow
def test_it_is_the_same_on_a_server(server_database: Database) -> None:
    """Machines share its rows: one carries out the step, another one sends."""
    client = DbosClient(server_database)
    check_endings(server_database, Outbox(server_database), StepStore(server_database), client)
    client.close()


def test_the_version_before_leaves_such_an_entry_to_its_time(context: WorkerContext) -> None:
    """Its worker knows neither the code nor the steps: the entry has a time like any other."""
    finished(context)
    context.steps.request([(STEPS[0], ITEM.id)], context.client.step)
    assert publish(context) == outbox_states.WAITING
    (row,) = context.outbox.for_items([ITEM.id])[ITEM.id]
    assert row.status in outbox_states.DEFERRED and row.due_at is not None
    entry = context.library.find(ITEM.id)
    assert entry is not None
    # The folder has the request, for a database that is made anew.
    assert entry.published[SINK]["status"] == outbox_states.WAITING  # type: ignore[index]


def test_a_step_over_what_was_sent_sends_nothing_by_itself(context: WorkerContext) -> None:
    finished(context)
    assert publish(context) == outbox_states.SYNCED
    context.steps.request([(STEPS[0], ITEM.id)], context.client.step)
    assert context.outbox.for_items([ITEM.id])[ITEM.id][0].status == outbox_states.SYNCED
    assert context.outbox.claim_due(context.now(), context.client.publish) == []


@pytest.mark.slow
def test_products_have_rows_of_their_own_on_a_server(server_database: Database) -> None:
    """Two machines share them: a product that one has is refused to the other."""
    database = server_database
    client, store = DbosClient(database), StepStore(database)
    ItemStore(database).submit([ITEM], RunOptions().as_dict(), lambda *_: None)
    steps = [product_step("reel", digest) for digest in ("00", "01")]
    for step in (*steps, "sound"):
        store.request([(step, ITEM.id)], client.step)
    assert store.product_counts() == {"reel": {QUEUED: 2}} and set(store.counts()) == {"sound"}
    serials = {row.step: row.serial for row in store.for_items([ITEM.id])[ITEM.id]}
    claimed = store.claim(steps[1], ITEM.id, serials[steps[1]])
    assert claimed is not None
    assert [row.step for row in store.products_under_way(5)] == [steps[1], steps[0]]
    assert [row.step for row in store.products_under_way(1)] == [steps[1]]
    fence = Fences(database).step(claimed)
    with fence.guard():
        pass
    store.request([(steps[1], ITEM.id)], client.step)
    with pytest.raises(Superseded), fence.guard():
        pass
    assert [row.step for row in store.cancel([ITEM.id], [steps[0]])] == [steps[0]]
    assert store.forget_products(database.time() + 10) == 1
