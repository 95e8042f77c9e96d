"""Copies of a SQLite database, made while it is in use, and the check of a database file.

The copies that are made automatically are in `backups/` of the library folder:

    backups/kb-20261126T083548Z-daily.sqlite      once a day, by a worker
    backups/kb-20261126T093548Z-queued.sqlite     after items were queued, by a worker
    backups/kb-20261126T083548Z-schema7.sqlite    before the schema is changed from version 7
"""

from __future__ import annotations

import re
import sqlite3
import time
from calendar import timegm
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.database.driver_errors import NO_TEXT, library_error
from kb.database.read_only import connect_for_reading
from kb.errors import LibraryError
from kb.types.clock import SLACK_S

SNAPSHOT_FOLDER = "backups"
DAILY, QUEUED = "daily", "queued"
DAILY_EVERY_S = 20 * 3600.0  # less than a day: a machine that is on during office hours only
QUEUED_EVERY_S = 900.0  # at most so often: a large database takes seconds
SCHEMA_KEPT = 2
LOCK_TIMEOUT_S = 30.0

_NAME = re.compile(r"kb-(\d{8}T\d{6})Z-([a-z0-9]+)\.sqlite")
_STAMP = "%Y%m%dT%H%M%S"
_CHECK_STEPS = 20_000  # SQLite's instructions between two looks at the clock
_SHOWN = 3  # damaged places that are named


@dataclass(frozen=True, slots=True)
class FileCheck:
    """The result of `check_file`: damaged places, empty if none; `complete` False: out of time."""

    problems: tuple[str, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the database; `made_at` in seconds since the epoch."""

    path: Path
    made_at: float
    reason: str


# Errors of a disk or of rights: the database may be whole.
_NO_DAMAGE = ("database.disk_error", "database.not_writable", "database.no_memory")


def check_file(path: Path, limit_s: float | None = None) -> FileCheck:
    """Check the pages of a SQLite file (`PRAGMA quick_check`), for at most `limit_s` seconds.

    The file is not changed. Raises LibraryError if another program locks it or it cannot be read.
    """
    deadline = None if limit_s is None else time.monotonic() + limit_s
    try:
        with closing(_open(path)) as connection:
            if deadline is not None:
                connection.set_progress_handler(
                    lambda: int(time.monotonic() > deadline), _CHECK_STEPS
                )
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
    except sqlite3.DatabaseError as error:
        if "interrupted" in str(error):
            return FileCheck((), complete=False)
        if _is_locked(error):
            raise _locked(path) from None
        found_error = library_error(error, str(path), path.parent)
        if found_error is not None and found_error.code != "database.damaged":
            raise found_error from None  # a missing permission or a full disk is no damage
        return FileCheck((str(error),))
    except UnicodeDecodeError:
        return FileCheck((NO_TEXT,))
    lines = [line.strip() for text in found for line in text.splitlines()]
    # The first line names the database ("*** in database main ***").
    return FileCheck(tuple(line for line in lines if line != "ok" and not line.startswith("***")))


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database to `target` while others read and write it; check the copy.

    The copy is one file, readable by its owner alone, and holds one moment of the database.
    Raises LibraryError: damaged, locked for half a minute, disk full.
    """
    with storage.atomic_path(target) as temporary:
        try:
            with _errors(source), closing(_open(source)) as connection:
                with closing(sqlite3.connect(temporary)) as copy:
                    connection.backup(copy, progress=_give_up(source))
                    # Without its own log the copy is complete in one file.
                    copy.execute("PRAGMA journal_mode=DELETE")
                temporary.chmod(0o600)
            if problems := check_file(temporary).problems:
                raise _damaged(source, problems[0])
        except LibraryError:
            with storage.held(source), storage.held(target):  # the folder went away: the cause
                raise
        with storage.held(source):  # what was copied is the library's own database
            pass


def snapshots(home: Path) -> list[Snapshot]:
    """Return the automatic copies of a library's database, newest first."""
    found: list[Snapshot] = []
    with suppress(OSError):
        for path in (home / SNAPSHOT_FOLDER).iterdir():
            if match := _NAME.fullmatch(path.name):
                with suppress(ValueError):  # digits that are no time
                    made_at = float(timegm(time.strptime(match[1], _STAMP)))
                    found.append(Snapshot(path, made_at, match[2]))
    # The name has whole seconds.
    return sorted(found, key=lambda each: (each.made_at, _modified_ns(each.path)), reverse=True)


def make_snapshot(database: Path, reason: str, keep: int) -> Snapshot:
    """Copy a library's database to `backups/`, and remove older copies made for this reason.

    `keep` copies of this kind remain ("schema7" and "schema8" are one kind). A damaged database
    replaces no copy. Raises LibraryError.
    """
    now = time.time()
    stamp = time.strftime(_STAMP, time.gmtime(now))
    target = database.parent / SNAPSHOT_FOLDER / f"kb-{stamp}Z-{reason}.sqlite"
    copy_database(database, target)
    kind = reason.rstrip("0123456789")
    same = [s for s in snapshots(database.parent) if s.reason.rstrip("0123456789") == kind]
    for old in same[max(1, keep) :]:
        with suppress(OSError, LibraryError):
            storage.remove_file(old.path)
    return Snapshot(target, now, reason)


def daily_snapshot(database: Path, keep: int) -> Snapshot | None:
    """Copy the database unless there is a copy of this day; return the new copy.

    Raises LibraryError.
    """
    now = time.time()
    ages = [now - each.made_at for each in snapshots(database.parent) if each.reason == DAILY]
    # A copy from the future was made before the clock was set back.
    if keep < 1 or any(-SLACK_S < age < DAILY_EVERY_S for age in ages):
        return None
    return make_snapshot(database, DAILY, keep)


def queue_snapshot(database: Path, queued_at: float | None, keep: int) -> Snapshot | None:
    """Copy the database if items were queued after the newest copy; return the new copy.

    Files do not say what was queued and not started. `queued_at`: when the newest item was queued;
    `keep` 0: no copies. At most one copy every 15 minutes; one remains. Raises LibraryError.
    """
    if keep < 1 or queued_at is None:
        return None
    now = time.time()
    made = [each.made_at for each in snapshots(database.parent) if each.made_at < now]
    if made and (queued_at <= made[0] or now - made[0] < QUEUED_EVERY_S):
        return None
    return make_snapshot(database, QUEUED, 1)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _open(path: Path) -> sqlite3.Connection:
    return connect_for_reading(path, LOCK_TIMEOUT_S)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if _is_locked(error):
            raise _locked(path) from None
        found = library_error(error, str(path), path.parent)
        code = found.code if found is not None else ""
        if "full" in str(error) or code == "database.disk_full":
            raise LibraryError(
                "backup.disk_full",
                "The disk is full: {path} cannot be copied.",
                hint="Free some space, or name a folder on another disk.",
                path=path,
            ) from None
        cut = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHORT_READ
        if found is not None and code in _NO_DAMAGE and not cut:
            raise found from None
        raise _damaged(path, str(error)) from None
    except UnicodeDecodeError:
        raise _damaged(path, NO_TEXT) from None


def _give_up(path: Path) -> Callable[[int, int, int], None]:
    """Return a function that ends the copying of a database that stays locked."""
    ends_at = time.monotonic() + LOCK_TIMEOUT_S

    def look(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > ends_at:
            raise _locked(path)

    return look


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _locked(path: Path) -> LibraryError:
    return LibraryError(
        "backup.locked",
        "Another program locks the database {path}; it cannot be read.",
        hint="Close that program, then try again.",
        retryable=True,
        path=path,
    )


def _damaged(path: Path, reason: str) -> LibraryError:
    return LibraryError(
        "backup.database_damaged",
        "The database {path} is damaged and cannot be copied: {reason}.",
        hint="Put an earlier copy in its place: kb restore",
        path=path,
        reason=reason,
    )
