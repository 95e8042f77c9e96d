"""The tables of DBOS, the engine of the queue: made once, by one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from dbos import DBOS
from dbos._migration import ensure_dbos_schema, run_dbos_migrations, should_migrate

from kb.database import Database
from kb.database.deadlines import FIRST, LONG
from kb.database.server_errors import lock_held

SCHEMA = "dbos"
_LOCK = 7261502
_LOCK_EVERY_S = 0.2
_LOCK_WAIT_S = 60.0  # a first start makes some 40 changes of the schema
_LISTEN = False  # no process listens to notifications: the queues are polled


def make_tables(database: Database) -> None:
    """Make the tables if they do not exist, and bring them up to date.

    Raises the errors of the database, and LibraryError if another process makes them for too long.
    """
    if database.is_sqlite:
        if not sa.inspect(database.engine).has_table("workflow_status"):
            # On SQLite DBOS excludes other processes itself.
            DBOS.migrate(database.engine.url.render_as_string(hide_password=False))
        return
    if not should_migrate(database.engine, SCHEMA, _LISTEN):
        return
    patient = database.with_deadlines(FIRST if _has_no_rows(database) else LONG)
    try:
        with _alone(patient):
            # Not DBOS.migrate(): its lock belongs to a session, which a pooler gives to others, and
            # its connections have no deadlines.
            ensure_dbos_schema(patient.engine, SCHEMA)
            run_dbos_migrations(patient.engine, SCHEMA, _LISTEN)
    finally:
        patient.close()


def _has_no_rows(database: Database) -> bool:
    """Return whether nothing is in the tables, so that no change of them takes long.

    Each change is committed by itself: a start that was interrupted leaves some of the tables.
    """
    if not sa.inspect(database.engine).has_table("workflow_status", schema=SCHEMA):
        return True
    with database.begin() as connection:
        found = connection.execute(sa.text(f"SELECT 1 FROM {SCHEMA}.workflow_status LIMIT 1"))
        return found.first() is None


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Exclude other processes by a lock of a transaction, which ends with this process too."""
    ends_at = time.monotonic() + _LOCK_WAIT_S
    while True:
        with database.engine.begin() as connection:
            # Without parameters: with them the server keeps the statement's snapshot until the end
            # of the transaction, and the creation of indices waits for old snapshots.
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").scalar():
                yield
                return
        # The lock is polled, each time in a new transaction: an open transaction that waits for
        # the lock would delay the creation of indices, and so the process that has the lock.
        if time.monotonic() > ends_at:
            raise lock_held(database.location, "another process makes the tables of the queue")
        time.sleep(_LOCK_EVERY_S)
