"""Engines for PostgreSQL: addresses, deadlines of each connection, poolers such as PgBouncer."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from kb.database.deadlines import FACE, Deadlines
from kb.errors import LibraryError

if TYPE_CHECKING:
    from kb.database.postgres_connection import Silence

# How libpq notices that the other machine is away. `tcp_user_timeout`: milliseconds for data that
# the other machine does not confirm.
NETWORK = {
    "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3,
    "tcp_user_timeout": 12_000,
}  # fmt: skip
POOL_WAIT_S = 10.0
_RECORD = "kb_record"  # the option of an engine with what its connections have shown
_POOLER = "pooler"  # key of this record: True behind a pooler
# A pooler that shares connections refuses settings of a session, or drops them silently.
_REFUSED_OPTIONS = ("startup parameter", "options")


def postgres_url(url: str) -> sa.URL:
    """Return the address of a PostgreSQL database; `postgres://` is accepted too.

    Raises LibraryError for a bad address, without showing it.
    """
    try:
        parsed = sa.make_url(url.strip())
    except (sa.exc.ArgumentError, ValueError):
        raise LibraryError(
            "database.url",
            "KB_DATABASE_URL is not a database URL.",
            hint="It looks like postgresql://user:password@host:5432/name",
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise LibraryError(
            "database.unsupported",
            "KB_DATABASE_URL names {backend}; only postgresql is supported.",
            hint="Leave it empty to keep everything in kb.sqlite in the library folder.",
            backend=parsed.get_backend_name(),
        )
    return parsed.set(drivername="postgresql+psycopg")


def postgres_engine(url: str, deadlines: Deadlines = FACE) -> sa.Engine:
    """Return an engine for PostgreSQL through psycopg 3, with deadlines for every connection.

    Behind a pooler the deadlines are set in each transaction, and nothing is kept in a session.
    Raises LibraryError for a bad URL.
    """
    engine = sa.create_engine(
        postgres_url(url),
        pool_pre_ping=True,
        pool_size=deadlines.pool,
        max_overflow=deadlines.overflow,
        pool_timeout=POOL_WAIT_S,
        connect_args={
            **NETWORK,
            "connect_timeout": deadlines.connect_s,
            "application_name": application_name(),
            # A prepared statement belongs to one connection of the server, and a pooler gives
            # another one to each transaction.
            "prepare_threshold": None,
        },
    )
    record: dict[str, Any] = {}
    where = (engine.url.host, engine.url.port, str(engine.url.query.get("host", "")))
    engine.update_execution_options(**{_RECORD: record})

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, cargs: Any, cparams: Any) -> Any:
        own, silence = _own_choice(engine.url), _silence(where)
        is_again = "connect_timeout" not in own and deadlines.again_s and silence.is_recent
        if is_again:
            own["connect_timeout"] = min(deadlines.connect_s, deadlines.again_s)
        try:
            return _open(record, deadlines, cargs, {**cparams, **own}, silence)
        except engine.dialect.loaded_dbapi.OperationalError as error:
            if "timeout" in str(error) and not is_again:
                silence.note()
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if record.get(_POOLER):
            _set_locally(connection, deadlines)

    return engine


def is_pooled(engine: sa.Engine) -> bool:
    """Return True if the engine's connections go through a pooler; known after the first one."""
    record: dict[str, Any] = engine.get_execution_options().get(_RECORD, {})
    return bool(record.get(_POOLER))


@contextmanager
def within(connection: sa.Connection, deadlines: Deadlines) -> Iterator[None]:
    """Use other deadlines for the statements of the block, in the present transaction."""
    _set_locally(connection, deadlines)
    driver: Any = connection.connection.dbapi_connection
    before = driver.answer_s, driver.again_s
    driver.answer_s, driver.again_s = deadlines.answer_s, deadlines.again_s
    try:
        yield
    finally:
        driver.answer_s, driver.again_s = before


def application_name() -> str:
    """Return the name under which the server lists this process: the command and the host."""
    command = next((word for word in sys.argv[1:2] if word.isalpha()), Path(sys.argv[0]).stem)
    return f"kb {command} on {socket.gethostname()}"[:63]


def _own_choice(url: sa.URL) -> dict[str, Any]:
    """Return the parameters of the address that take precedence over ours."""
    return {name: value for name, value in url.query.items() if isinstance(value, str)}


@cache
def _silence(_server: tuple[str | None, int | None, str]) -> Silence:
    """Return the memory of a server's silence, which all engines of this process share."""
    from kb.database.postgres_connection import Silence

    return Silence()


def _open(
    record: dict[str, Any], deadlines: Deadlines, cargs: Any, cparams: Any, silence: Silence
) -> Any:
    import psycopg

    from kb.database.postgres_connection import DeadlineConnection

    chosen = {**cparams}
    if not record.get(_POOLER):
        ours = " ".join(f"-c {name}={value}" for name, value in deadlines.settings().items())
        chosen["options"] = f"{ours} {cparams.get('options', '')}".strip()
    try:
        connection = DeadlineConnection.connect(*cargs, **chosen)
    except psycopg.OperationalError as error:
        if record.get(_POOLER) or not all(word in str(error) for word in _REFUSED_OPTIONS):
            raise
        record[_POOLER] = True
        connection = DeadlineConnection.connect(*cargs, **cparams)
    connection.answer_s, connection.again_s = deadlines.answer_s, deadlines.again_s
    connection.silence = silence
    if _POOLER not in record:
        record[_POOLER] = not _has_settings(connection, deadlines)
    return connection


def _has_settings(connection: Any, deadlines: Deadlines) -> bool:
    """Return True if the session has the deadlines; a pooler may have dropped them silently."""
    if not deadlines.lock_s:
        return True
    row = connection.execute(
        "SELECT extract(epoch FROM current_setting('lock_timeout')::interval)"
    ).fetchone()
    connection.rollback()
    return bool(row) and abs(float(row[0]) - deadlines.lock_s) < 0.01


def _set_locally(connection: sa.Connection, deadlines: Deadlines) -> None:
    chosen = deadlines.settings()
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in chosen.items())
    connection.exec_driver_sql(f"SELECT {calls}")
