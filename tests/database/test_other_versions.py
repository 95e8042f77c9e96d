"""Two versions of the program at one database: refused in one sentence, and nothing is changed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database, workers
from kb.database.migrations import MIGRATIONS
from kb.errors import LibraryError
from kb.jobs.queue.library_tie import LibraryTie
from kb.library import Library
from kb.settings import Settings
from tests.support.postgres import database_url, server
from tests.support.raising import raises

__all__ = ["database_url", "server"]

HERE, ELSEWHERE = socket.gethostname(), "another"


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.slow)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    values: dict[str, object] = {"KB_HOME": tmp_path}
    if request.param == "server":
        values["KB_DATABASE_URL"] = request.getfixturevalue("database_url")
    return Settings.model_validate(values)


@pytest.fixture
def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Within the block: a function that makes this process one of the next version."""

    def change(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER TABLE kb_items ADD COLUMN later TEXT"))

    with monkeypatch.context() as patch:
        patch.setattr("kb.database.database.MIGRATIONS", [*MIGRATIONS, change])
        yield patch


# Host and process of a worker, seconds since its heartbeat, and if it has signed off.
AT_WORK = {
    "on this machine": (HERE, "own", 1.0, False, True),
    "elsewhere": (ELSEWHERE, 1, 50.0, False, True),
    "with a clock 20 min ahead": (ELSEWHERE, 1, -1200.0, False, True),
    "signed off": (ELSEWHERE, 1, 1.0, True, False),
    "silent for a minute": (ELSEWHERE, 1, 61.0, False, False),
    "killed on this machine": (HERE, "ended", 1.0, False, False),
    "seen next year": (ELSEWHERE, 1, -3e7, False, False),
}


@pytest.mark.parametrize("case", AT_WORK)
def test_a_schema_is_not_changed_under_workers(
    settings: Settings, case: str, next_version: pytest.MonkeyPatch, ended_process: int
) -> None:
    host, process, silent_s, ended, refused = AT_WORK[case]
    pid = {"own": os.getpid(), "ended": ended_process}.get(str(process), 1)
    with pytest.MonkeyPatch.context() as present:
        present.setattr("kb.database.database.MIGRATIONS", MIGRATIONS)
        database = Database.open(settings)
        now = database.time()
        with database.begin() as connection:
            connection.execute(
                sa.insert(workers).values(
                    executor_id="one", host=host, pid=pid, started_at=0.0,
                    seen_at=now - silent_s, ended_at=now if ended else None,
                )
            )  # fmt: skip
        database.close()
    if refused:
        with raises(LibraryError, "database.older_at_work", workers=f"one ({host})"):
            Database.open(settings)
        # `kb worker --stop` of the new version asks it to stop.
        (found,) = Database.workers_of_any_version(settings)
        assert found.executor_id == "one"
        next_version.undo()
        database = Database.open(settings)  # the older version goes on with what it knows
        columns = {each["name"] for each in sa.inspect(database.engine).get_columns("kb_items")}
        assert "later" not in columns
    else:
        database = Database.open(settings)
        columns = {each["name"] for each in sa.inspect(database.engine).get_columns("kb_items")}
        assert "later" in columns
    database.close()


def test_a_process_notices_that_a_newer_version_has_changed_the_schema(
    settings: Settings,
) -> None:
    database = Database.open(settings)
    tie = LibraryTie(database, Library(settings.home))
    tie.require()
    assert tie.problem() is None
    with database.begin() as connection:
        connection.execute(sa.text("INSERT INTO kb_schema VALUES (999, 0)"))
    code = "database.newer" if database.is_sqlite else "database.newer_server"
    with raises(LibraryError, code, done=999, known=len(MIGRATIONS)):
        tie.require()
    with raises(LibraryError, code, done=999, known=len(MIGRATIONS)):
        Database.open(settings)
    database.close()
