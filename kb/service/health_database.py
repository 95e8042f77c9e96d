"""Checks of a PostgreSQL server: rights, connections, a pooler, work left in a file beside it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from kb.database import Database
from kb.database.deadlines import FACE, REAPER, WORKER
from kb.database.postgres import is_pooled
from kb.database.server_errors import read_only
from kb.errors import KBError, StoredProblem
from kb.service.queue_move import QueueMove
from kb.settings import Settings

_LOCKS = 1  # names the session that holds a lock (`kb.database.locks`)
# A worker: its work, its heartbeat, and the search for dead workers.
WORKER_CONNECTIONS = (
    WORKER.pool + WORKER.overflow + 1 + REAPER.pool + REAPER.overflow + _LOCKS
)  # fmt: skip
FACE_CONNECTIONS = FACE.pool + FACE.overflow + _LOCKS

# The rights that each start needs; DBOS keeps its tables in a schema of its own.
_RIGHTS = sa.text(
    """
    SELECT has_schema_privilege(current_schema(), 'CREATE') AS tables,
           has_database_privilege(current_database(), 'CREATE')
           OR to_regnamespace('dbos') IS NOT NULL AS schemas,
           current_user AS role, current_schema() AS schema, current_database() AS name
    """
)
_CONNECTIONS = sa.text(
    """
    SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
           (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'kb %') AS ours,
           current_setting('max_connections')::int AS most,
           current_setting('server_version') AS version,
           abs(extract(epoch FROM clock_timestamp()) - :now) AS clock_s
    """
)


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    """One finding about the database."""

    state: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""
    problem: StoredProblem | None = None


def check_server(settings: Settings) -> list[DatabaseCheck]:
    """Return what is found at the server; nothing for a library with a file. Raises nothing."""
    if not settings.database_url.get_secret_value():
        return []
    checks = []
    try:
        database = Database.open(settings)
    except KBError as error:
        checks.append(DatabaseCheck("fail", error.message, error.hint, error.problem))
    else:
        try:
            checks += _server(database)
        except KBError as error:
            checks.append(DatabaseCheck("fail", error.message, error.hint, error.problem))
        finally:
            database.close()
    left = QueueMove(settings).left_behind()
    if left is not None:
        checks.append(
            DatabaseCheck(
                "warn",
                f"{left.path} has {left}, which KB_DATABASE_URL hides",
                'Bring them with: kb move-queue --to "$KB_DATABASE_URL"; or move the file away',
            )
        )
    return checks


def _server(database: Database) -> list[DatabaseCheck]:
    with database.begin() as connection:
        if connection.scalar(sa.text("SHOW transaction_read_only")) == "on":
            replica = connection.scalar(sa.text("SELECT pg_is_in_recovery()"))
            reason = "it is a replica" if replica else "its transactions are read-only"
            raise read_only(database.location, reason)
        rights = connection.execute(_RIGHTS).one()
        found = connection.execute(_CONNECTIONS, {"now": time.time()}).one()
    way = "through a pooler" if is_pooled(database.engine) else "directly"
    detail = (
        f"{database.location}: PostgreSQL {found.version}, {way}; {found.used} of {found.most} "
        f"connections in use, {found.ours} of them ours; a worker takes up to "
        f"{WORKER_CONNECTIONS}, a page {FACE_CONNECTIONS}, a command 2"
    )
    if not rights.tables or not rights.schemas:
        lacking = "make tables" if not rights.tables else "make the schema dbos"
        return [
            DatabaseCheck(
                "warn",
                f"{detail}; the role {rights.role} may not {lacking}, which the next version needs",
                "Run the script of docs/postgresql.md (Role and rights) as the owner of "
                f"{rights.name}",
            )
        ]
    if found.used + WORKER_CONNECTIONS > found.most:
        return [
            DatabaseCheck(
                "warn",
                f"{detail}; there is no room for another worker",
                "Raise max_connections, or put PgBouncer before the server (docs/postgresql.md)",
            )
        ]
    if found.clock_s > 30:
        detail += f"; this machine's clock differs by {found.clock_s:.0f} s from the server's"
    return [DatabaseCheck("ok", detail)]
