"""Checks of a PostgreSQL server: rights, connections, a pooler, work left in a file beside it."""

from __future__ import annotations

import time

import sqlalchemy as sa

from kb.database import Database
from kb.database.deadlines import FACE, REAPER, WORKER
from kb.database.postgres import is_pooled
from kb.database.server_errors import read_only
from kb.errors import KBError
from kb.service.health_check import HealthCheck, with_commas
from kb.service.queue_move import LeftBehind, QueueMove
from kb.settings import Settings

_NAME = "Database"
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


def check_server(settings: Settings) -> list[HealthCheck]:
    """Return what is found at the server; nothing for a library with a file. Raises nothing."""
    if not settings.database_url.get_secret_value():
        return []
    checks = []
    try:
        database = Database.open(settings)
    except KBError as error:
        checks.append(HealthCheck.of(_NAME, "fail", error))
    else:
        try:
            checks.append(_server(database))
        except KBError as error:
            checks.append(HealthCheck.of(_NAME, "fail", error))
        finally:
            database.close()
    left = QueueMove(settings).left_behind()
    if left is not None:
        hidden = KBError(
            "check.database_hidden",
            "{path} has {work}, which KB_DATABASE_URL hides",
            hint='Bring them with: kb move-queue --to "$KB_DATABASE_URL"; or move the file away',
            path=left.path,
            work=_work(left),
        )
        checks.append(HealthCheck.of(_NAME, "warn", hidden))
    return checks


def _work(left: LeftBehind) -> KBError | str:
    """Return the numbers of what is left in a file, as its text has them."""
    parts: list[KBError | str] = []
    if left.items:
        parts.append(KBError("clause.items", "{count:item|items}", count=left.items))
    if left.publications:
        parts.append(
            KBError(
                "clause.publications", "{count:publication|publications}", count=left.publications
            )
        )
    if left.steps:
        parts.append(KBError("clause.steps", "{count:step|steps}", count=left.steps))
    to_do = KBError("clause.to_do", "{work} to do", work=with_commas(parts)) if parts else ""
    if not left.follows:
        return to_do
    follows = KBError("clause.follows", "{count:follow|follows}", count=left.follows)
    if not to_do:
        return follows
    return KBError("clause.and", "{first} and {then}", first=to_do, then=follows)


def _server(database: Database) -> HealthCheck:
    with database.begin() as connection:
        if connection.scalar(sa.text("SHOW transaction_read_only")) == "on":
            replica = connection.scalar(sa.text("SELECT pg_is_in_recovery()"))
            reason = "it is a replica" if replica else "its transactions are read-only"
            raise read_only(database.location, reason)
        rights = connection.execute(_RIGHTS).one()
        found = connection.execute(_CONNECTIONS, {"now": time.time()}).one()
    if is_pooled(database.engine):
        way = KBError("clause.pooled", "through a pooler")
    else:
        way = KBError("clause.direct", "directly")
    server = KBError(
        "clause.server",
        "{place}: PostgreSQL {version}, {way}; {used} of {most} connections in use, {ours} of "
        "them ours; a worker takes up to {worker}, a page {page}, a command 2",
        place=database.location,
        version=found.version,
        way=way,
        used=found.used,
        most=found.most,
        ours=found.ours,
        worker=WORKER_CONNECTIONS,
        page=FACE_CONNECTIONS,
    )
    if not rights.tables or not rights.schemas:
        if rights.tables:
            lacking = KBError("clause.no_schema", "make the schema dbos")
        else:
            lacking = KBError("clause.no_tables", "make tables")
        refused = KBError(
            "check.server_rights",
            "{server}; the role {role} may not {lacking}, which the next version needs",
            hint="Run the script of docs/postgresql.md (Role and rights) as the owner of {name}",
            server=server,
            role=rights.role,
            lacking=lacking,
            name=rights.name,
        )
        return HealthCheck.of(_NAME, "warn", refused)
    if found.used + WORKER_CONNECTIONS > found.most:
        full = KBError(
            "check.server_full",
            "{server}; there is no room for another worker",
            hint="Raise max_connections, or put PgBouncer before the server (docs/postgresql.md)",
            server=server,
        )
        return HealthCheck.of(_NAME, "warn", full)
    if found.clock_s > 30:
        late = KBError(
            "check.server_clock",
            "{server}; this machine's clock differs by {seconds} s from the server's",
            server=server,
            seconds=f"{found.clock_s:.0f}",
        )
        return HealthCheck.of(_NAME, "ok", late)
    return HealthCheck.of(_NAME, "ok", KBError("check.server", "{server}", server=server))
