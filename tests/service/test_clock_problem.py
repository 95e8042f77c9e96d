"""Stored times in the future are said where a person looks: kb status, the page, kb doctor."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.cli.main import run
from kb.database import Database, items, subscriptions
from kb.jobs.clock_check import clock_problem
from kb.service import Service
from kb.settings import Settings
from tests.support.items import item
from tests.support.library_pages import page, page_text
from tests.support.page_library import home as home

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    service = Service(Settings(home=tmp_path_factory.mktemp("library")))
    service.queue.items.submit([item(1)], {}, lambda *_arguments: None)
    service.subscriptions.follow("https://example.org/feed")
    yield service.queue.database
    service.close()


@pytest.mark.parametrize(
    ("column", "ahead_s", "said"),
    [
        (items.c.updated_at, 3600.0, True),
        (items.c.ended_at, 400 * DAY_S, True),
        (items.c.enqueued_at, 7 * DAY_S, True),
        (subscriptions.c.last_at, 3 * DAY_S, True),
        (subscriptions.c.created_at, 2 * 3600.0, True),
        # The clocks of several machines differ by less; the past is known.
        (items.c.updated_at, 1200.0, False),
        (items.c.updated_at, -DAY_S, False),
        # Times to come.
        (items.c.wait_until, 30 * DAY_S, False),
        (subscriptions.c.next_at, 30 * DAY_S, False),
    ],
    ids=lambda value: str(value),
)
def test_times_of_what_has_happened_are_not_in_the_future(
    database: Database, column: sa.Column[float], ahead_s: float, said: bool
) -> None:
    now = time.time()
    with database.begin() as connection:
        before = connection.execute(sa.select(column)).scalar()
        connection.execute(sa.update(column.table).values({column.name: now + ahead_s}))
    problem = clock_problem(database)
    with database.begin() as connection:
        connection.execute(sa.update(column.table).values({column.name: before}))
    assert (problem is not None) is said
    if problem is not None:
        assert problem.code == "clock.future_times" and problem.values["count"] == 1
        assert problem.values["tables"] == column.table.name
    assert clock_problem(database) is None


@pytest.mark.slow
def test_status_and_page_say_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = Service()
    service.queue.items.submit([item(1)], {}, lambda *_arguments: None)

    def shown() -> list[bool]:
        """Return whether it is said by the short status, the table, the JSON and the page."""
        found = []
        for words in (["status"], ["status", "--all"]):
            assert run(words) == 0
            found.append("in the future" in " ".join(capsys.readouterr().out.split()))
        assert run(["status", "--json"]) == 0
        clock = json.loads(capsys.readouterr().out)["clock"]
        found.append(clock is not None and clock["problem"]["code"] == "clock.future_times")
        found.append("in der Zukunft" in page_text(page(tab="Activity", lang="de")))
        return found

    assert shown() == [False] * 4
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).values(updated_at=time.time() + DAY_S))
    service.close()
    assert shown() == [True] * 4
