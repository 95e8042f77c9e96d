"""Copies of the database: complete while others write, never of a damaged file, a few kept."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import DATABASE_NAME, MIGRATIONS, Database, lanes
from kb.database import snapshots as module
from kb.database.snapshots import (
    DAILY,
    SNAPSHOT_FOLDER,
    check_file,
    copy_database,
    daily_snapshot,
    make_snapshot,
    snapshots,
)
from kb.errors import LibraryError
from kb.settings import Settings
from tests.support.raising import raises

DAY_S = 86_400.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Yield an open database with 400 rows: some hundred pages."""
    opened = Database.open(Settings(home=tmp_path))
    rows = [{"name": f"lane {n}", "reason": "x" * 2000} for n in range(400)]
    with opened.begin() as connection:
        connection.execute(sa.insert(lanes), rows)
    yield opened
    opened.close()


def rows_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM kb_lanes").fetchone()[0])


def test_a_copy_is_complete_while_another_process_writes(
    database: Database, tmp_path: Path
) -> None:
    ends = threading.Event()

    def write() -> None:
        number = 1000
        while not ends.is_set():
            with database.begin() as connection:
                pair = [{"name": f"lane {number + n}"} for n in (0, 1)]
                connection.execute(sa.insert(lanes), pair)
            number += 2

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy = tmp_path / "copies" / f"{number}.sqlite"
            copy_database(tmp_path / DATABASE_NAME, copy)
            assert rows_of(copy) % 2 == 0  # a transaction is in the copy whole or not at all
    finally:
        ends.set()
        writer.join()
    assert sorted(p.name for p in copy.parent.iterdir()) == [f"{n}.sqlite" for n in range(5)]
    assert copy.stat().st_mode & 0o077 == 0


def zeros(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + 512] = bytes(512)
    path.write_bytes(data)


def middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for number in range(40):
        place = 8192 + number * (len(data) - 8192) // 40
        data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "forty places": middle,
    "head of a page": lambda path: zeros(path, 4096 * 3),
    "first page": lambda path: zeros(path, 0),
    "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "no database": lambda path: path.write_bytes(b"these are no rows " * 500),
    "a text": lambda path: path.write_text("hello"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_found_and_replaces_no_copy(
    database: Database, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / DATABASE_NAME
    database.close()
    good = make_snapshot(path, DAILY, 1)
    damage(path)
    assert check_file(path).problems
    with raises(LibraryError, "backup.database_damaged", path=path):
        make_snapshot(path, DAILY, 1)
    assert [each.path for each in snapshots(tmp_path)] == [good.path]
    assert not check_file(good.path).problems


@pytest.mark.parametrize(
    ("code", "full", "expected"),
    [
        (sqlite3.SQLITE_FULL, False, "backup.disk_full"),
        (sqlite3.SQLITE_IOERR, True, "backup.disk_full"),
        (sqlite3.SQLITE_IOERR_WRITE, True, "backup.disk_full"),
        (sqlite3.SQLITE_CANTOPEN, True, "backup.disk_full"),
        (sqlite3.SQLITE_IOERR, False, "database.disk_error"),
        (sqlite3.SQLITE_CANTOPEN, False, "database.not_writable"),
        (sqlite3.SQLITE_NOMEM, False, "database.no_memory"),
        (sqlite3.SQLITE_CORRUPT, True, "backup.database_damaged"),
        (sqlite3.SQLITE_NOTADB, False, "backup.database_damaged"),
        (sqlite3.SQLITE_IOERR_SHORT_READ, False, "backup.database_damaged"),
    ],
)
def test_a_disk_that_refuses_is_no_damaged_database(
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    full: bool,
    expected: str,
) -> None:
    """An earlier copy is not recommended for a database that is whole."""

    def refuse(path: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(module, "_open", refuse)
    monkeypatch.setattr("kb.database.driver_errors._is_full", lambda folder: full)
    with raises(LibraryError, expected):
        copy_database(tmp_path / DATABASE_NAME, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_sound_database_has_no_problem_and_the_check_is_bounded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_file(tmp_path / DATABASE_NAME) == module.FileCheck(())
    monkeypatch.setattr(module, "_CHECK_STEPS", 1)
    found = check_file(tmp_path / DATABASE_NAME, limit_s=0.0)
    assert found == module.FileCheck((), complete=False)


def test_a_locked_database_is_named(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / DATABASE_NAME
    with database.begin() as connection:
        connection.execute(sa.text("SELECT 1"))
    database.close()
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.3)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with raises(LibraryError, "backup.locked", path=path):
            copy_database(path, tmp_path / "copy.sqlite")
        with raises(LibraryError, "backup.locked", path=path):
            check_file(path)
    assert not (tmp_path / "copy.sqlite").exists()


def test_one_copy_a_day_and_a_few_are_kept(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = tmp_path / DATABASE_NAME, time.time()
    made = []
    for hours in (0, 1, 19, 21, 30, 50, 75, 100):
        monkeypatch.setattr(time, "time", lambda h=hours: now + h * 3600)
        made.append(daily_snapshot(path, 3) is not None)
    assert made == [True, False, False, True, False, True, True, True]
    kept = snapshots(tmp_path)
    assert [round((each.made_at - now) / 3600) for each in kept] == [100, 75, 50]
    monkeypatch.setattr(time, "time", lambda: now)  # the clock was set back
    assert daily_snapshot(path, 3) is not None
    assert daily_snapshot(path, 0) is None


def test_files_of_others_in_the_folder_are_left_alone(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / SNAPSHOT_FOLDER
    folder.mkdir()
    names = ("kb-99999999T999999Z-daily.sqlite", "mine.sqlite", "kb-backup.zip")
    for name in names:
        (folder / name).write_text("mine")
    for _ in range(3):
        make_snapshot(tmp_path / DATABASE_NAME, DAILY, 1)
    assert len(snapshots(tmp_path)) == 1
    assert all((folder / name).read_text() == "mine" for name in names)


def test_a_changed_schema_leaves_a_copy_of_the_old_one(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    assert snapshots(tmp_path) == []  # a new database has no old schema

    def lose(connection: sa.Connection) -> None:
        connection.execute(sa.text("DELETE FROM kb_lanes"))

    monkeypatch.setattr("kb.database.database.MIGRATIONS", [*MIGRATIONS, lose])
    Database.open(Settings(home=tmp_path)).close()
    Database.open(Settings(home=tmp_path)).close()
    (copy,) = snapshots(tmp_path)
    assert copy.reason == f"schema{len(MIGRATIONS)}"
    assert (rows_of(copy.path), rows_of(tmp_path / DATABASE_NAME)) == (400, 0)


def test_a_schema_is_changed_without_a_copy_too(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    (tmp_path / SNAPSHOT_FOLDER).write_text("a file in the way")

    def add(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE later (x INTEGER)"))

    monkeypatch.setattr("kb.database.database.MIGRATIONS", [*MIGRATIONS, add])
    opened = Database.open(Settings(home=tmp_path))
    assert sa.inspect(opened.engine).has_table("later")
    opened.close()
