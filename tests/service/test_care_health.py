"""`kb doctor` about the database file: damage is a failure with the command that mends it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kb.cli import run
from kb.database import DATABASE_NAME, Database
from kb.database.snapshots import DAILY, make_snapshot
from kb.settings import get_settings
from tests.support.page_library import home

__all__ = ["home"]


@pytest.mark.parametrize("copies", [0, 1])
def test_a_damaged_database_ends_the_doctor_with_one(
    home: Path, copies: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Database.open(get_settings()).close()
    path = home / DATABASE_NAME
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE more AS SELECT hex(randomblob(900)) AS x")
        for _ in range(8):
            connection.execute("INSERT INTO more SELECT hex(randomblob(900)) FROM more")
        connection.commit()

    def database_check() -> tuple[str, str, int]:
        code = run(["doctor", "--json"])
        (found,) = [c for c in json.loads(capsys.readouterr().out) if c["name"] == "Database"]
        return found["state"], found["fix"], code

    state, fix, _ = database_check()
    assert (state, fix) == ("ok", "")
    if copies:
        make_snapshot(path, DAILY, 3)
    data = bytearray(path.read_bytes())
    page = 4096  # bytes; the head of each page is damaged
    for place in range(len(data) // 2 // page * page, len(data), page):  # only the added table
        data[place : place + 20] = b"\xfe" * 20
    path.write_bytes(data)
    state, fix, code = database_check()
    assert (state, code) == ("fail", 1)
    assert ("kb restore" if copies else "kb reindex") in fix
