"""The sessions of a PostgreSQL server that hold locks on the library's tables."""

from __future__ import annotations

import threading

import sqlalchemy as sa

from kb.database.deadlines import BEAT

# Locks that keep other sessions from reading or writing rows of a table.
_QUERY = sa.text(
    """
    SELECT DISTINCT ON (a.pid) a.pid, coalesce(a.application_name, '') AS program,
           coalesce(host(a.client_addr), 'the server itself') AS address,
           coalesce(a.state, 'state not visible to this role') AS state,
           extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds, c.relname AS table_name
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND a.pid <> pg_backend_pid() AND l.locktype = 'relation'
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
      AND (c.relname LIKE 'kb\\_%' OR c.relnamespace = to_regnamespace('dbos'))
      AND c.relkind = 'r' AND clock_timestamp() - a.xact_start > interval '1 second'
    ORDER BY a.pid, l.mode
    """
)

# One connection beside those of the pools, which may all wait for the same lock.
_CONNECTION = threading.BoundedSemaphore(1)
_TURN_S = 2.0


def lock_holders(engine: sa.Engine) -> str:
    """Return the sessions that hold locks for more than a second, in words; "" if none is seen.

    Raises nothing: it explains another error. One thread at a time asks, so that a process needs
    one connection more; "" is returned to a thread whose turn does not come within 2 s.
    """
    if not _CONNECTION.acquire(timeout=_TURN_S):
        return ""
    try:
        return _lock_holders(engine)
    finally:
        _CONNECTION.release()


def _lock_holders(engine: sa.Engine) -> str:
    from kb.database.postgres import postgres_engine

    own = postgres_engine(engine.url.render_as_string(hide_password=False), BEAT)
    try:
        with own.begin() as connection:
            rows = connection.execute(_QUERY).all()
    except sa.exc.SQLAlchemyError:
        return ""
    finally:
        own.dispose()
    return "; ".join(
        f"session {row.pid} ({row.program or 'without a name'} from {row.address}, {row.state}) "
        f"holds {row.table_name}" + (f" for {row.seconds:.0f} s" if row.seconds else "")
        for row in rows
    )
