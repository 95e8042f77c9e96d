"""DBOS's delays by the database's clock.

DBOS computes the end of a delay by the clock of the machine that asks for it, and compares it with
that of every worker. With a worker whose clock is an hour ahead, no delay would be kept.
"""

from __future__ import annotations

import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

from kb.database import Database


def set_delay(
    connection: sa.Connection, database: Database, workflow_id: str, delay_s: float
) -> None:
    """Let a workflow that was queued with a delay begin so many seconds from now."""
    found = sa.table(
        "workflow_status",
        sa.column("workflow_uuid"),
        sa.column("status"),
        sa.column("delay_until_epoch_ms"),
        schema=None if database.is_sqlite else "dbos",
    )
    until_ms = int((database.time(connection) + delay_s) * 1000)
    connection.execute(
        sa.update(found)
        .where(found.c.workflow_uuid == workflow_id, found.c.status == "DELAYED")
        .values(delay_until_epoch_ms=until_ms)
    )


def follow_database_clock(database: Database) -> None:
    """Let DBOS end delays by the database's clock in this process.

    Called once, before `DBOS.launch()`.
    """

    def transition_delayed_workflows(self: SystemDatabase) -> None:
        found = self.tables.workflow_status.c
        ours = sa.or_(found.application_name == self.app_name, found.application_name.is_(None))
        with self.engine.begin() as connection:
            is_over = found.delay_until_epoch_ms <= int(database.time(connection) * 1000)
            connection.execute(
                sa.update(self.tables.workflow_status)
                .where(found.status == "DELAYED", is_over, ours)
                .values(status="ENQUEUED")
            )

    SystemDatabase.transition_delayed_workflows = transition_delayed_workflows  # type: ignore[method-assign]
