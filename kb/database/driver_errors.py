"""Errors of SQLAlchemy and the drivers as errors of the library, by tables.

A passing cause (a lock, no free connection, a server that restarts, a full disk) is retryable; a
lasting one (damage, missing permission, wrong password) is not.

The errors that only a server has are in `server_errors`.

Sources: https://www.sqlite.org/rescode.html, PostgreSQL's appendix "Error Codes".
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from kb.database import server_errors
from kb.errors import LibraryError

FULL_DISK_BYTES = 8 * 2**20
# The reason where SQLite's own message quotes a damaged name that is no text.
NO_TEXT = "malformed database schema"

Maker = Callable[[str, str], LibraryError]  # of location and reason


def _locked(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.locked",
        "The database {location} is locked by another program.",
        hint="Close the program that has it open (a backup or a database "
        "browser); work goes on by itself.",
        retryable=True,
        location=location,
    )


def _busy(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.busy",
        "All connections to the database {location} are in use.",
        hint="Work goes on by itself; with fewer items in flight (KB_IN_FLIGHT) it happens less.",
        retryable=True,
        location=location,
    )


def _disk_full(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.disk_full",
        "The disk is full; the database {location} cannot be written.",
        hint="Free some space; work goes on by itself.",
        retryable=True,
        location=location,
    )


def _disk_error(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.disk_error",
        "The disk of the database {location} does not answer properly: {reason}.",
        hint="Check the disk and the network share; keep the file. Work goes on by itself.",
        retryable=True,
        location=location,
        reason=reason,
    )


def _no_memory(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.no_memory",
        "There is no memory left for the database {location}.",
        hint="Close other programs; work goes on by itself.",
        retryable=True,
        location=location,
    )


def _damaged(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.damaged",
        "The database {location} is damaged: {reason}.",
        hint="Move the file away and run: kb reindex (media and transcripts are safe).",
        location=location,
        reason=reason,
    )


def _not_writable(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.not_writable",
        "The database {location} cannot be opened for writing: {reason}.",
        hint="Make the library folder writable, or set KB_HOME to one that is.",
        location=location,
        reason=reason,
    )


def _refused(location: str, reason: str) -> LibraryError:
    return LibraryError(
        "database.refused",
        "The database {location} refused: {reason}.",
        hint="Run kb doctor, which checks the database; keep the file.",
        location=location,
        reason=reason,
    )


SQLITE: dict[int, Maker] = {
    sqlite3.SQLITE_BUSY: _locked,
    sqlite3.SQLITE_LOCKED: _locked,
    sqlite3.SQLITE_PROTOCOL: _locked,
    sqlite3.SQLITE_FULL: _disk_full,
    sqlite3.SQLITE_IOERR: _disk_error,
    sqlite3.SQLITE_NOMEM: _no_memory,
    sqlite3.SQLITE_CORRUPT: _damaged,
    sqlite3.SQLITE_NOTADB: _damaged,
    sqlite3.SQLITE_READONLY: _not_writable,
    sqlite3.SQLITE_CANTOPEN: _not_writable,
    sqlite3.SQLITE_PERM: _not_writable,
    sqlite3.SQLITE_AUTH: _not_writable,
}
"""The primary result codes of SQLite; all others are refusals of a statement."""

# On a full disk SQLite cannot make its journal or the file of shared memory, and names those.
_PERHAPS_FULL = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})

POSTGRES: dict[str, Maker] = {
    "53100": _disk_full,
    "53200": _no_memory,
    "53": _busy,  # insufficient resources
    "40": _locked,  # transaction rollback
    "55": _locked,  # object not in prerequisite state
    "58": _disk_error,  # system error outside PostgreSQL
    **server_errors.STATES,
}
"""SQLSTATE codes and their classes; the longer one has precedence."""

_BY_CLASS: tuple[tuple[type[Exception], Maker], ...] = (
    (sa.exc.TimeoutError, _busy),
    (sa.exc.DisconnectionError, server_errors.unreachable),
    (sa.exc.SQLAlchemyError, _refused),
)


def unreadable_name(location: str) -> LibraryError:
    """Return the error for SQLite's message that Python cannot decode (UnicodeDecodeError)."""
    return _damaged(location, NO_TEXT)


def library_error(error: Exception, location: str, folder: Path | None) -> LibraryError | None:
    """Return an error of SQLAlchemy or a driver as LibraryError, None for any other error.

    `location`: the database's address without its password; `folder`: of the SQLite file, None
    for a server.
    """
    cause = error
    if isinstance(error, sa.exc.StatementError) and isinstance(error.orig, Exception):
        cause = error.orig
    reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause, folder)(location, reason)
    if hasattr(cause, "sqlstate"):  # psycopg, which is not imported without a server
        return _of_postgres(cause)(location, reason)
    for kind, maker in _BY_CLASS:
        if isinstance(error, kind):
            return maker(location, reason)
    return None


def _of_sqlite(error: sqlite3.Error, folder: Path | None) -> Maker:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by Python's module itself
        return _refused
    code &= 0xFF
    if code in _PERHAPS_FULL and folder is not None and _is_full(folder):
        return _disk_full
    return SQLITE.get(code, _refused)


def _of_postgres(error: Exception) -> Maker:
    if pooler := server_errors.of_pooler(str(error)):
        return pooler
    state = str(getattr(error, "sqlstate", "") or "")
    if not state:  # libpq's own words: no connection was made, or it broke
        is_connection = type(error).__name__ in _CONNECTION_CLASSES
        return server_errors.connection_error(str(error)) if is_connection else _refused
    return POSTGRES.get(state) or POSTGRES.get(state[:2]) or _refused


_CONNECTION_CLASSES = ("OperationalError", "InterfaceError", "ConnectionTimeout", "PoolTimeout")


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < FULL_DISK_BYTES
    except OSError:
        return False
