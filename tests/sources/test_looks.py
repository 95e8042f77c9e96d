"""Records of looks at followed references: kept, closed and counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kb.database import Database
from kb.errors import QuotaExhausted
from kb.settings import Settings
from kb.sources.looks import KEPT, LookOutcome, Looks


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database.open(Settings(home=tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


def test_a_look_is_recorded_from_its_start_to_its_end(database: Database) -> None:
    now = [1000.0]
    looks = Looks(database, clock=lambda: now[0])
    look = looks.begin("a", "worker")
    (running,) = looks.history("a")
    assert (running.outcome, running.ended_at, running.started_at) == ("", None, 1000.0)
    look.count(found=2, queued=1)
    look.count(found=3)
    look.note(units=4)
    look.save()
    assert (looks.history("a")[0].found, looks.history("a")[0].units) == (5, 4)
    now[0] = 1060.0
    error = QuotaExhausted("keys.spent", "All keys are used up.", hint="Wait.", until=2000.0)
    look.end(LookOutcome.WAITING, error=error, next_at=2000.0)
    (ended,) = looks.history("a")
    assert (ended.ended_at, ended.next_at, ended.outcome) == (1060.0, 2000.0, "waiting")
    assert ended.problem is not None and ended.problem["code"] == "keys.spent"
    look.end(LookOutcome.SUCCEEDED)  # an ended look is not changed any more
    assert looks.history("a")[0] == ended


def test_a_look_of_a_worker_that_is_gone_is_closed_as_interrupted(database: Database) -> None:
    looks = Looks(database)
    looks.begin("b", "killed")
    looks.begin("c", "alive")
    assert looks.close_open("killed") == 1
    assert looks.history("b")[0].outcome == "interrupted"
    assert looks.history("c")[0].ended_at is None
    looks.begin("c", "alive")  # the next one closes it too
    assert [each.outcome for each in looks.history("c")] == ["", "interrupted"]


def test_the_last_hundred_looks_at_each_subscription_are_kept(database: Database) -> None:
    now = [1.7e9]
    looks = Looks(database, clock=lambda: now[0])
    looks.begin("other", "w").end(LookOutcome.SUCCEEDED)
    for number in range(KEPT + 3):
        now[0] += 4 * 3600
        look = looks.begin("d", "w")
        look.note(listed=number)
        look.end(LookOutcome.SUCCEEDED)
    found = looks.history("d")
    assert [each.listed for each in found] == list(range(KEPT + 2, 2, -1))
    assert len(looks.history("other")) == 1
    assert looks.ended()["d"] == found[0]
    assert len(looks.since(found[9].started_at)) >= 10


def test_all_looks_of_a_week_are_counted(database: Database) -> None:
    now = [1.8e9]
    looks = Looks(database, clock=lambda: now[0])
    for _ in range(350):
        now[0] += 3600
        looks.begin("hourly", "w")
    week = now[0] - 7 * 86_400
    assert sum(each.started_at > week for each in looks.since(week)) == 168
    assert len(looks.history("hourly")) == KEPT
    assert len(looks.history("hourly", 1000)) == 14 * 24 + 1
