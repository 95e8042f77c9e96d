"""The queue moved to another database, whole: rows, and the workflows of what is still to do.

The files in the library folder are the checkpoints of the items, so that DBOS's own records of
finished steps are not needed: an item that was under way begins with its next stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from kb.database import DATABASE_NAME, Database, deliveries, items, moves, steps, subscriptions
from kb.database.copying import copy_rows, still
from kb.database.snapshots import make_snapshot
from kb.errors import UsageError
from kb.jobs.queue import outbox_states, step_states
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.heartbeat import list_workers
from kb.jobs.queue.item_states import ACTIVE, PAUSED, QUEUED, RUNNING, is_recording

COPIES_KEPT = 3


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a move: rows by table, the items, and what is still to do in the new database.

    Paused items and what waits for a time are to do, too; what is held for a person is not.
    """

    source: str
    target: str
    rows: dict[str, int]
    items: int
    follows: int
    items_to_do: int
    listings_to_do: int
    publications_to_do: int
    steps_to_do: int


def move_queue(source: Database, target: Database) -> Moved:
    """Copy the queue to the target, and mark the source as left.

    Raises UsageError while a worker runs or if the target has work of its own, LibraryError when a
    database fails; nothing is changed then.
    """
    _require_no_worker(source)
    _require_free(target, source)
    if target.path is not None:
        make_snapshot(target.path, "moved", COPIES_KEPT)
    client = DbosClient(target)
    try:
        with still(source) as old:
            _require_no_worker(source)
            with still(target) as new:
                rows = copy_rows(old, new)
                new.execute(sa.delete(moves))
                _forget_workflows(target, new)
                _queue(client, new)
                numbers = _numbers(new)
            left = {"target": target.location, "at": source.clock()}
            old.execute(sa.delete(moves))
            old.execute(sa.insert(moves).values(id=1, **left))
    finally:
        client.close()
    return Moved(source.location, target.location, rows, **numbers)


def _numbers(connection: sa.Connection) -> dict[str, int]:
    """Return the numbers of a move's result, counted where the queue is now."""
    is_open = items.c.state.in_(ACTIVE)
    open_deliveries = (*outbox_states.IN_PROGRESS, *outbox_states.DEFERRED)
    counted: dict[str, tuple[sa.Table, sa.ColumnElement[bool]]] = {
        "items": (items, is_recording()),
        "follows": (subscriptions, sa.true()),
        "items_to_do": (items, sa.and_(is_recording(), is_open)),
        "listings_to_do": (items, sa.and_(~is_recording(), is_open)),
        "publications_to_do": (deliveries, deliveries.c.status.in_(open_deliveries)),
        "steps_to_do": (steps, steps.c.status.in_(step_states.UNFINISHED)),
    }
    return {
        name: connection.scalar(sa.select(sa.func.count()).select_from(table).where(which)) or 0
        for name, (table, which) in counted.items()
    }


def _queue(client: DbosClient, connection: sa.Connection) -> None:
    """Queue the workflows of all items, publications and steps that are queued or under way."""
    c = items.c
    under_way = sa.update(items).where(c.state == RUNNING)
    connection.execute(under_way.values(state=QUEUED, executor=""))
    order = sa.select(c.id, c.serial, c.priority).where(c.state == QUEUED)
    found = connection.execute(order.order_by(c.priority, c.enqueued_at)).all()
    for item_id, serial, priority in found:
        client.ingest(connection, item_id, serial, priority)
    d = deliveries.c
    sending = sa.update(deliveries).where(d.status.in_(outbox_states.IN_PROGRESS))
    connection.execute(sending.values(status=outbox_states.QUEUED))
    sends = sa.select(d.sink, d.item_id, d.serial, d.priority).where(
        d.status == outbox_states.QUEUED
    )
    for sink, item_id, serial, priority in connection.execute(sends).all():
        client.publish(connection, sink, item_id, serial, priority)
    s = steps.c
    under_way = sa.update(steps).where(s.status.in_(step_states.STEP_IN_PROGRESS))
    connection.execute(under_way.values(status=step_states.QUEUED))
    wanted = sa.select(s.step, s.item_id, s.serial, s.priority)
    for row in connection.execute(wanted.where(s.status == step_states.QUEUED)).all():
        client.step(connection, row.step, row.item_id, row.serial, row.priority)


def _forget_workflows(database: Database, connection: sa.Connection) -> None:
    """Delete the workflows of an earlier stay: a used id would not be queued again."""
    schema = None if database.is_sqlite else "dbos"
    connection.execute(sa.delete(sa.table("workflow_status", schema=schema)))


def _require_no_worker(database: Database) -> None:
    alive = [worker.executor_id for worker in list_workers(database) if worker.is_alive()]
    if alive:
        raise UsageError(
            "move.worker_runs",
            "A worker is running: {names}. The queue is moved only while none does.",
            hint="kb worker --stop, then try again.",
            names=", ".join(alive),
        )


def _require_free(target: Database, source: Database) -> None:
    """Raise UsageError if the target has work or follows of its own.

    Those of an earlier stay are not its own, nor are items that are paused in both: a new database
    takes them from the library's files when it is opened.
    """
    _require_no_worker(target)
    with target.begin() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(moves)):
            return
        active = sa.select(sa.func.count()).where(items.c.state.in_(set(ACTIVE) - {PAUSED}))
        follows = sa.select(sa.func.count()).select_from(subscriptions)
        found = (connection.scalar(active) or 0, connection.scalar(follows) or 0)
        paused = _paused(connection)
    if paused:
        with source.begin() as connection:
            found = (found[0] + len(paused - _paused(connection)), found[1])
    if any(found):
        raise UsageError(
            "move.target_in_use",
            "{target} has a queue already: {items:item|items} to do, {follows:follow|follows}.",
            hint="Name an empty database; or finish or cancel this work first.",
            target=target.location,
            items=found[0],
            follows=found[1],
        )


def _paused(connection: sa.Connection) -> set[str]:
    return set(connection.scalars(sa.select(items.c.id).where(items.c.state == PAUSED)))


def is_file(target: str) -> bool:
    """Return True if the target of a move is the file in the library folder."""
    return target.strip().lower() in ("sqlite", DATABASE_NAME, f"sqlite:///{DATABASE_NAME}")
