"""Errors of the database: what passes is retried, what lasts is not, no advice loses data."""

from __future__ import annotations

import inspect
import shutil
import sqlite3
import threading
import time
from collections import namedtuple
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from kb.database import Database
from kb.database.database import DATABASE_NAME, sqlite_engine
from kb.database.driver_errors import library_error
from kb.errors import KBError, LibraryError
from kb.jobs.worker import retry_policy
from kb.settings import Settings


def of_sqlite(code: int, text: str = "some reason") -> sa.exc.DBAPIError:
    cause = sqlite3.OperationalError(text)
    cause.sqlite_errorcode = code
    return sa.exc.OperationalError("SELECT 1", {}, cause)


def explained(error: Exception, folder: Path | None = None) -> LibraryError:
    found = library_error(error, "kb.sqlite", folder)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("code", "expected", "retryable"),
    [
        (sqlite3.SQLITE_BUSY, "database.locked", True),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "database.locked", True),
        (sqlite3.SQLITE_BUSY_RECOVERY, "database.locked", True),
        (sqlite3.SQLITE_LOCKED, "database.locked", True),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, "database.locked", True),
        (sqlite3.SQLITE_PROTOCOL, "database.locked", True),
        (sqlite3.SQLITE_FULL, "database.disk_full", True),
        (sqlite3.SQLITE_IOERR, "database.disk_error", True),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "database.disk_error", True),
        (sqlite3.SQLITE_IOERR_WRITE, "database.disk_error", True),
        (sqlite3.SQLITE_NOMEM, "database.no_memory", True),
        (sqlite3.SQLITE_CORRUPT, "database.damaged", False),
        (sqlite3.SQLITE_CORRUPT_VTAB, "database.damaged", False),
        (sqlite3.SQLITE_NOTADB, "database.damaged", False),
        (sqlite3.SQLITE_READONLY, "database.not_writable", False),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "database.not_writable", False),
        (sqlite3.SQLITE_CANTOPEN, "database.not_writable", False),
        (sqlite3.SQLITE_CONSTRAINT, "database.refused", False),
        (sqlite3.SQLITE_ERROR, "database.refused", False),
    ],
)
def test_results_of_sqlite(tmp_path: Path, code: int, expected: str, retryable: bool) -> None:
    found = explained(of_sqlite(code), tmp_path)
    assert (found.code, found.retryable) == (expected, retryable)
    raw = of_sqlite(code).orig
    assert isinstance(raw, sqlite3.Error)
    assert explained(raw, tmp_path).code == expected  # raised in an event, not wrapped


@pytest.mark.parametrize(
    "code",
    [
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_SHMSIZE),
        *(sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
    ],
)
def test_a_full_disk_is_never_called_a_broken_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(2**30, 2**30, 0))
    found = explained(of_sqlite(code, "disk I/O error"), tmp_path)
    assert (found.code, found.retryable) == ("database.disk_full", True)


@pytest.mark.parametrize(
    ("state", "expected", "retryable"),
    [
        ("08006", "database.unreachable", True),
        ("08001", "database.unreachable", True),
        ("28P01", "database.login", False),
        ("28000", "database.login", False),
        ("3D000", "database.login", False),
        ("40001", "database.rolled_back", True),
        ("40P01", "database.rolled_back", True),
        ("40003", "database.locked", True),
        ("53100", "database.disk_full", True),
        ("53200", "database.no_memory", True),
        ("53300", "database.no_slots", True),
        ("55P03", "database.lock_held", True),
        ("57014", "database.slow", True),
        ("57P01", "database.unreachable", True),
        ("57P03", "database.unreachable", True),
        ("58030", "database.disk_error", True),
        ("25006", "database.read_only", True),
        ("25P03", "database.unreachable", True),
        ("42501", "database.rights", False),
        ("3F000", "database.rights", False),
        ("42P01", "database.refused", False),
        ("23505", "database.refused", False),
        ("XX001", "database.refused", False),
    ],
)
def test_states_of_postgres(state: str, expected: str, retryable: bool) -> None:
    cause = psycopg.errors.lookup(state)("no secret")
    found = explained(sa.exc.DBAPIError("SELECT 1", {}, cause))
    assert (found.code, found.retryable) == (expected, retryable)


def test_a_connection_that_was_never_made() -> None:
    found = explained(sa.exc.OperationalError("", {}, psycopg.OperationalError("refused")))
    assert (found.code, found.retryable) == ("database.unreachable", True)


@pytest.mark.parametrize(
    ("words", "expected", "retryable"),
    [
        ('FATAL:  password authentication failed for user "kb"', "database.login", False),
        ('FATAL:  Passwort-Authentifizierung für Benutzer »kb« fehlgeschlagen', "database.login",
         False),
        ('FATAL:  role "kb" does not exist', "database.login", False),
        ('FATAL:  database "kb" does not exist', "database.login", False),
        ('FATAL:  role "kb" is not permitted to log in', "database.login", False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "kb", no encryption',
         "database.login", False),
        ("fe_sendauth: no password supplied", "database.login", False),
        ("FATAL:  sorry, too many clients already", "database.no_slots", True),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
         "database.no_slots", True),
        ("FATAL:  the database system is starting up", "database.unreachable", True),
        ("FATAL:  the database system is shutting down", "database.unreachable", True),
        ("FATAL:  the database system is in recovery mode", "database.unreachable", True),
        ("server does not support SSL, but SSL was required", "database.tls", False),
        ("SSL error: certificate verify failed", "database.tls", False),
        ('could not translate host name "db" to address', "database.unreachable", True),
        ("Connection refused\n\tIs the server running on that host?", "database.unreachable",
         True),
        ("server closed the connection unexpectedly", "database.unreachable", True),
        ("SSL SYSCALL error: EOF detected", "database.unreachable", True),
        ("consuming input failed: SSL connection has been closed unexpectedly",
         "database.unreachable", True),
    ],
)  # fmt: skip
def test_words_of_a_refused_connection(words: str, expected: str, retryable: bool) -> None:
    text = f'connection failed: connection to server at "10.0.0.1", port 5432 failed: {words}'
    found = explained(sa.exc.OperationalError("", {}, psycopg.OperationalError(text)))
    assert (found.code, found.retryable) == (expected, retryable)
    assert "reindex" not in found.hint and "KB_HOME" not in found.hint


def test_no_connection_in_time_is_a_passing_cause() -> None:
    found = explained(sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached"))
    assert (found.code, found.retryable) == ("database.busy", True)


def test_every_class_of_sqlalchemy_is_explained() -> None:
    """None of them may end as an unexpected error of an item."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(sa.exc, inspect.isclass)
        if issubclass(kind, sa.exc.SQLAlchemyError)
    ]
    assert len(kinds) > 20
    for kind in kinds:
        error = kind.__new__(kind)
        Exception.__init__(error, "a reason")
        vars(error).update(orig=None, detail=[], statement=None, params=None, code=None)
        found = library_error(error, "kb.sqlite", None)
        assert found is not None, kind
        assert found.hint and "move" not in found.hint.lower()


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError(2, "x"), KBError("x")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert library_error(error, "kb.sqlite", None) is None


def test_more_threads_than_connections_wait_for_a_lock_and_none_fails_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database.open(Settings(home=tmp_path)).close()
    monkeypatch.setattr("kb.database.database.BUSY_TIMEOUT_MS", 300)
    database = Database(sqlite_engine(tmp_path / DATABASE_NAME))
    other = sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    errors: list[Exception] = []

    def work() -> None:
        try:
            with database.begin() as connection:
                connection.execute(sa.text("BEGIN IMMEDIATE"))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert {getattr(error, "code", error) for error in errors} == {"database.locked"}
    for error in errors:
        found = (
            retry_policy.unexpected(error, database) if not isinstance(error, KBError) else error
        )
        assert retry_policy.is_systemic(found, tmp_path)
        decision = retry_policy.decide(found, 0, systemic=True, now=time.time())
        assert (decision.state, decision.attempts) == ("waiting", 0)
    database.close()


def test_an_error_of_the_database_is_not_unexpected(tmp_path: Path) -> None:
    database = Database.open(Settings(home=tmp_path))
    found = retry_policy.unexpected(sa.exc.TimeoutError("QueuePool limit"), database)
    assert found.code == "database.busy"
    assert retry_policy.is_systemic(found, tmp_path)
    assert retry_policy.unexpected(RuntimeError("x"), database).code == "item.unexpected"
    database.close()
