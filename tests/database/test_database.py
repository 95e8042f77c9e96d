"""The database: made once, brought up to date, and clear when it cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import DATABASE_NAME, MIGRATIONS, Database, lanes, postgres_engine, sqlite_engine
from kb.errors import LibraryError
from kb.settings import Settings
from tests.support.raising import raises


def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_opening_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        database = Database.open(settings(tmp_path))
        with database.begin() as connection:
            versions = connection.scalars(sa.text("SELECT version FROM kb_schema")).all()
        assert list(versions) == list(range(1, len(MIGRATIONS) + 1))
        database.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"CREATE TABLE kb_lanes", b'CREATE TABLE \x8f\xff_l"nes'),
        (b"CREATE TABLE kb_lanes", b"CRE\x8fTE TABLE kb_lanes"),
        (b"kb_lanes", b"kb_\x8fane\x00"),
        (b"kb_lanes", b"\xff\xfe_lane("),
        (b"kb_lanes", b"kb_items"),
        (b"SQLite format 3", b"SQLite f\x8frmat 3"),
    ],
)
def test_a_damaged_name_is_reported_as_damage(tmp_path: Path, before: bytes, after: bytes) -> None:
    """SQLite quotes the name in its message, and Python cannot decode it."""
    database = Database.open(settings(tmp_path))
    with database.engine.connect() as connection:
        connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    database.close()
    file = tmp_path / DATABASE_NAME
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after))
    for name in (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    with raises(LibraryError, "database.damaged"):
        Database.open(settings(tmp_path))


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    database = Database.open(settings(tmp_path))
    with database.begin() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA busy_timeout")) == 30_000


def test_an_older_database_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database.open(settings(tmp_path)).close()

    def add(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE later (x INTEGER)"))

    monkeypatch.setattr("kb.database.database.MIGRATIONS", [*MIGRATIONS, add])
    database = Database.open(settings(tmp_path))
    assert sa.inspect(database.engine).has_table("later")


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    database = Database.open(settings(tmp_path))
    with database.begin() as connection:
        connection.execute(sa.text("INSERT INTO kb_schema VALUES (999, 0)"))
    database.close()
    with raises(LibraryError, "database.newer", done=999, known=len(MIGRATIONS)) as caught:
        Database.open(settings(tmp_path))
    assert str(tmp_path / DATABASE_NAME) in caught.value.values["location"]
    assert "KB_HOME" in caught.value.hint


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sa.Connection) -> None:
        connection.execute(sa.text("INSERT INTO nowhere VALUES (1)"))

    monkeypatch.setattr("kb.database.database.MIGRATIONS", [*MIGRATIONS, broken])
    with pytest.raises(LibraryError):
        Database.open(settings(tmp_path))
    monkeypatch.undo()
    Database.open(settings(tmp_path)).close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"these are not the rows you are looking for" * 50)
    with raises(LibraryError, "database.damaged") as caught:
        Database.open(settings(tmp_path))
    assert str(tmp_path / DATABASE_NAME) in caught.value.values["location"]
    assert "kb reindex" in caught.value.hint


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    with raises(LibraryError, "library.folder_not_made", home=tmp_path / "home"):
        Database.open(settings(tmp_path / "home"))


def test_a_missing_library_is_not_made_by_reading(tmp_path: Path) -> None:
    with raises(LibraryError, "library.no_folder", home=tmp_path / "moved"):
        Database.open(settings(tmp_path / "moved"), create=False)
    assert not (tmp_path / "moved").exists()


def test_a_lock_of_another_program_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database.open(settings(tmp_path)).close()
    monkeypatch.setattr("kb.database.database.BUSY_TIMEOUT_MS", 200)
    other = sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        database = Database(sqlite_engine(tmp_path / DATABASE_NAME))
        with raises(LibraryError, "database.locked") as caught, database.begin() as connection:
            connection.execute(sa.insert(lanes).values(name="x"))
        assert str(tmp_path / DATABASE_NAME) in caught.value.values["location"]
        assert caught.value.retryable
    finally:
        other.close()


def test_many_writers_at_once(tmp_path: Path) -> None:
    database = Database.open(settings(tmp_path))
    failures: list[Exception] = []

    def write(number: int) -> None:
        try:
            for place in range(20):
                with database.begin() as connection:
                    name = f"{number}-{place}"
                    connection.execute(sa.insert(lanes).values(name=name))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with database.begin() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(lanes))
    assert count == 160


@pytest.mark.slow
def test_two_processes_make_it_at_the_same_time(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from kb.settings import Settings;"
        "from kb.database import Database;"
        "Database.open(Settings(home=pathlib.Path(sys.argv[1])))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("url", "code"),
    [("mysql://h/x", "database.unsupported"), ("nonsense", "database.url"),
     ("postgresql:/", "database.url")],
)  # fmt: skip
def test_a_bad_database_url_is_refused_without_showing_it(url: str, code: str) -> None:
    with raises(LibraryError, code) as caught:
        postgres_engine(f"{url}")
    assert "KB_DATABASE_URL" in caught.value.message
    assert url not in str(caught.value)


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    hidden = "".join(("hush", "-", "hush"))
    url = f"postgresql://someone:{hidden}@127.0.0.1:9/kb"
    with raises(LibraryError, "database.unreachable") as caught:
        Database.open(Settings.model_validate({"KB_HOME": tmp_path, "KB_DATABASE_URL": url}))
    assert "127.0.0.1:9" in caught.value.values["location"]
    assert hidden not in f"{caught.value}{caught.value.hint}{caught.value.values}"
