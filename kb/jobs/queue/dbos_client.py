"""DBOS on the library's database, for clients and for workers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient, DBOSConfig, DBOSPortableJSONSerializer, EnqueueOptions

from kb.database import Database, deliveries, items, steps, workers
from kb.database.repeating import repeated
from kb.jobs.queue import dbos_delays, workflow_ids
from kb.jobs.queue.dbos_tables import make_tables
from kb.jobs.queue.item_states import QUEUED, RUNNING
from kb.jobs.queue.items import Enqueue
from kb.jobs.queue.outbox_states import IN_PROGRESS
from kb.jobs.queue.step_states import STEP_IN_PROGRESS, is_product

_GOING = ("PENDING", "ENQUEUED", "DELAYED")  # workflows that DBOS will still run


def config(database: Database, executor_id: str, threads: int) -> DBOSConfig:
    """Return the configuration of a worker. `threads`: workflows that may run at once."""
    return DBOSConfig(
        name=workflow_ids.APPLICATION,
        system_database_engine=database.engine,
        application_version=workflow_ids.APPLICATION_VERSION,
        executor_id=executor_id,
        log_level="WARNING",
        serializer=DBOSPortableJSONSerializer(),
        max_executor_threads=threads,
        use_listen_notify=False,
    )


class DbosClient:
    """DBOS client that puts workflows on queues. It makes DBOS's tables if they do not exist."""

    def __init__(self, database: Database) -> None:
        """Open the client. Raises LibraryError when the database cannot be used."""
        self._database = database
        schema = None if database.is_sqlite else "dbos"
        # The first migration writes about 65 lines to the log.
        logging.getLogger("dbos").setLevel(logging.WARNING)
        with database.errors():
            make_tables(database)
            self._client = DBOSClient(
                system_database_engine=database.engine,
                serializer=DBOSPortableJSONSerializer(),
                application_name=workflow_ids.APPLICATION,
            )
        self._workflows = sa.table(
            "workflow_status",
            sa.column("workflow_uuid"),
            sa.column("status"),
            sa.column("executor_id"),
            sa.column("started_at_epoch_ms"),
            schema=schema,
        )

    def ingest(self, connection: sa.Connection, item_id: str, serial: int, priority: int) -> None:
        """Queue an item's workflow in the caller's transaction; a used id has no effect."""
        self._client.enqueue_in_transaction(
            connection,
            _options(
                workflow_ids.INGEST,
                workflow_ids.ITEM_QUEUE,
                workflow_ids.ingest_id(item_id, serial),
                priority,
            ),
            item_id,
            serial,
        )

    def enqueue(self, *, captions_first: bool) -> Enqueue:
        """Return the function that queues items, with `captions_first` their captions too."""
        if not captions_first:
            return self.ingest

        def both(connection: sa.Connection, item_id: str, serial: int, priority: int) -> None:
            workflow_id = workflow_ids.captions_id(item_id, serial)
            self._client.enqueue_in_transaction(
                connection,
                _options(workflow_ids.CAPTIONS, workflow_ids.CAPTIONS_QUEUE, workflow_id, priority),
                item_id,
            )
            self.ingest(connection, item_id, serial, priority)

        return both

    def enqueue_captions(self, item_id: str, serial: int, priority: int, delay_s: float) -> None:
        """Queue an item's captions, to be fetched after so many seconds."""
        # Each postponement is a workflow of its own: the id of an earlier one would have no effect.
        number = round(self._database.time() * 1000)
        workflow_id = f"{workflow_ids.captions_id(item_id, serial)}:{number}"
        options = _options(
            workflow_ids.CAPTIONS, workflow_ids.CAPTIONS_QUEUE, workflow_id, priority
        )
        options["delay_seconds"] = delay_s
        with self._database.begin() as connection:
            self._client.enqueue_in_transaction(connection, options, item_id)
            dbos_delays.set_delay(connection, self._database, workflow_id, delay_s)

    def publish(
        self, connection: sa.Connection, sink: str, item_id: str, serial: int, priority: int
    ) -> None:
        """Queue a publication's workflow in the caller's transaction; a used id has no effect."""
        workflow_id = workflow_ids.publish_id(sink, item_id, serial)
        self._client.enqueue_in_transaction(
            connection,
            _options(workflow_ids.PUBLISH, workflow_ids.PUBLISH_QUEUE, workflow_id, priority),
            sink,
            item_id,
            serial,
        )

    def step(
        self, connection: sa.Connection, step: str, item_id: str, serial: int, priority: int
    ) -> None:
        """Queue a step's workflow in the caller's transaction; a used id has no effect.

        What makes a product has a lane of its own.
        """
        workflow_id = workflow_ids.step_id(step, item_id, serial)
        workflow = workflow_ids.PRODUCT if is_product(step) else workflow_ids.STEP
        self._client.enqueue_in_transaction(
            connection,
            _options(workflow, workflow_ids.queue_of(workflow_id), workflow_id, priority),
            step,
            item_id,
            serial,
        )

    def cancel(self, ids: list[str]) -> None:
        """Cancel workflows: they do not start, or they end after their present step."""
        if ids:
            with self._database.errors():
                self._client.cancel_workflows(ids)

    def take_over(self, executor_id: str) -> list[str]:
        """Put a dead worker's running workflows back on their queues; return their ids.

        Two workers may call this at once: only workflows that still belong to the dead worker are
        moved.
        """
        with self._database.errors():
            found = self._client.list_workflows(
                status="PENDING", executor_id=executor_id, load_input=False, load_output=False
            )
            # Not resume_workflows(): it would also queue workflows that another worker has taken
            # over and started meanwhile, and so run them twice.
            put_back = self._client._sys_db.reenqueue_for_recovery
            return [
                workflow.workflow_id
                for workflow in found
                if put_back(
                    workflow.workflow_id, [executor_id], workflow_ids.queue_of(workflow.workflow_id)
                )
            ]

    @repeated
    def abandoned(self) -> dict[str, int]:
        """Return id and serial of active items whose workflow has ended or is missing.

        This happens only if the database refused a write of the workflow (a full disk).
        """
        found = self._workflows
        serial = sa.cast(items.c.serial, sa.Text)
        workflow_id = sa.literal("ingest:").concat(items.c.id).concat(":").concat(serial)
        query = (
            sa.select(items.c.id, items.c.serial)
            .join_from(items, found, found.c.workflow_uuid == workflow_id, isouter=True)
            .where(
                items.c.state.in_((QUEUED, RUNNING)),
                sa.or_(found.c.status.is_(None), found.c.status.not_in(_GOING)),
            )
        )
        with self._database.begin() as connection:
            return {str(row.id): int(row.serial) for row in connection.execute(query)}

    @repeated
    def not_begun(
        self, executor: str, closed: Collection[str], silent_s: float, waits_s: float, most: int
    ) -> dict[str, int]:
        """Return id and serial of items that another worker took and does not begin.

        Its heartbeat is older than `silent_s`, it is one of `closed` (its lane is paused), or it
        has had the item for `waits_s` seconds; all by the database's clock. At most `most` items.
        """
        found, clock = self._workflows.c, self._database.clock()
        workflow_id = sa.literal("ingest:").concat(items.c.id).concat(":")
        workflow_id = workflow_id.concat(sa.cast(items.c.serial, sa.Text))
        alive = sa.select(workers.c.executor_id).where(
            workers.c.ended_at.is_(None), workers.c.seen_at > clock - silent_s
        )
        query = (
            sa.select(items.c.id, items.c.serial)
            .join(self._workflows, found.workflow_uuid == workflow_id)
            .where(
                items.c.state == QUEUED,
                found.status == "PENDING",
                found.executor_id != executor,
                sa.or_(
                    found.executor_id.not_in(alive),
                    found.executor_id.in_(list(closed)),
                    found.started_at_epoch_ms < (clock - waits_s) * 1000,
                ),
            )
            .order_by(items.c.priority, items.c.enqueued_at)
            .limit(most)
        )
        with self._database.begin() as connection:
            return {str(row.id): int(row.serial) for row in connection.execute(query)}

    @repeated
    def has_queued(self) -> bool:
        """Return whether an item waits in the queue that no worker has taken."""
        found = self._workflows.c
        query = sa.select(found.workflow_uuid).where(
            found.status == "ENQUEUED", found.workflow_uuid.like("ingest:%")
        )
        with self._database.begin() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def abandoned_deliveries(self) -> list[tuple[str, str, int]]:
        """Return the publications whose workflow has ended or is missing.

        Each is a tuple (knowledge base, item id, serial).
        """
        return self._abandoned("publish", deliveries, deliveries.c.sink, IN_PROGRESS)

    def abandoned_steps(self) -> list[tuple[str, str, int]]:
        """Return the steps whose workflow has ended or is missing: (step, item id, serial)."""
        return self._abandoned("step", steps, steps.c.step, STEP_IN_PROGRESS)

    @repeated
    def _abandoned(
        self, kind: str, table: sa.Table, name: sa.Column[Any], in_progress: Sequence[str]
    ) -> list[tuple[str, str, int]]:
        """Return the rows in progress without a workflow; `kind` is the start of its id."""
        found, c = self._workflows, table.c
        workflow_id = sa.literal(f"{kind}:").concat(name).concat(":").concat(c.item_id)
        workflow_id = workflow_id.concat(":").concat(sa.cast(c.serial, sa.Text))
        query = (
            sa.select(name, c.item_id, c.serial)
            .join_from(table, found, found.c.workflow_uuid == workflow_id, isouter=True)
            .where(
                c.status.in_(in_progress),
                sa.or_(found.c.status.is_(None), found.c.status.not_in(_GOING)),
            )
        )
        with self._database.begin() as connection:
            return [(str(s), str(i), int(n)) for s, i, n in connection.execute(query)]

    def publishing(self) -> bool:
        """Return whether publications to remote knowledge bases are queued or running."""
        with self._database.errors():
            return bool(
                self._client.list_workflows(
                    queue_name=workflow_ids.PUBLISH_QUEUE, status=list(_GOING), limit=1,
                    load_input=False, load_output=False,
                )
            )  # fmt: skip

    def delete_finished(self, before_s: float) -> int:
        """Delete the records of workflows that ended before a time (seconds since the epoch)."""
        with self._database.errors():
            old = self._client.list_workflows(
                status=["SUCCESS", "ERROR", "CANCELLED"],
                completed_before=datetime.fromtimestamp(before_s, UTC).isoformat(),
                load_input=False,
                load_output=False,
                limit=1000,
            )
            if old:
                self._client.delete_workflows([workflow.workflow_id for workflow in old])
        return len(old)

    def close(self) -> None:
        """Close the database."""
        self._client.destroy()


def _options(workflow: str, queue: str, workflow_id: str, priority: int) -> EnqueueOptions:
    return EnqueueOptions(
        workflow_name=workflow,
        queue_name=queue,
        workflow_id=workflow_id,
        app_version=workflow_ids.APPLICATION_VERSION,
        priority=priority,
        application_name=workflow_ids.APPLICATION,
    )
