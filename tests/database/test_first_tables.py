"""The tables of an empty database: a lost network is noticed as soon as anywhere else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database
from kb.database.deadlines import FACE
from kb.errors import KBError
from kb.jobs.queue.dbos_tables import _has_no_rows, make_tables
from kb.settings import Settings
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.postgres import new_database, server
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.slow

__all__ = ["server"]

# Bytes of answers after which a connection passes nothing on: moments of the first start.
SIZES = [500, 1_500, 2_500, 4_000, 8_000, 16_000]


def test_they_are_not_waited_for_as_for_a_change_of_a_large_table(
    server: str, tmp_path: Path
) -> None:
    """Nor in the second try, which finds what the first one has left."""

    def start(size: int) -> list[str]:
        url = new_database(server)
        said = []
        for number in range(2):
            with DatabaseProxy.before(url) as proxy:
                proxy.passes_bytes = size
                home = str(tmp_path / f"{size}-{number}")
                try:
                    settings = Settings(KB_HOME=home, KB_DATABASE_URL=proxy.url(url))
                    make_tables(Database.open(settings))
                except (KBError, sa.exc.DBAPIError) as error:
                    said.append(str(error))
        return said

    threads = ThreadPoolExecutor(len(SIZES))
    try:
        said = [words for each in threads.map(start, SIZES, timeout=2 * WAIT_S) for words in each]
    finally:
        threads.shutdown(wait=False)
    assert len(said) >= 6, said
    waited = [float(each) for words in said for each in re.findall(r"no answer in ([\d.]+)", words)]
    assert waited and max(waited) <= FACE.answer_s, said


def test_what_an_interrupted_start_has_left_is_no_large_table(server: str, tmp_path: Path) -> None:
    """The tables of DBOS are made one after the other, each in a transaction of its own."""
    url = new_database(server)
    database = Database.open(Settings(KB_HOME=str(tmp_path), KB_DATABASE_URL=url))
    make_tables(database)
    assert _has_no_rows(database)
    with database.begin() as connection:
        connection.execute(sa.text("INSERT INTO dbos.workflow_status (workflow_uuid) VALUES ('1')"))
    assert not _has_no_rows(database)
    database.close()
