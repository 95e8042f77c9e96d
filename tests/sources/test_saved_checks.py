"""The last check of a followed source outlives the database, in the library's files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kb.database import Database
from kb.errors import StoredProblem
from kb.library import Library
from kb.settings import Settings
from kb.sources.saved_subscriptions import CHECKED_EVERY_S
from kb.sources.subscriptions import Subscription, Subscriptions

GONE = StoredProblem(code="channel.gone", message="{name} is gone.", values={"name": "@talks"})


class World:
    """A library with one followed source, whose database can be lost."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.library = Library(home)
        self.library.prepare()
        self.now = 1_700_000_000.0
        self.open()
        self.key = self.followed.follow("@talks").key

    def open(self) -> None:
        self.database = Database.open(self.settings)
        self.followed = Subscriptions(self.database, self.library, clock=lambda: self.now)

    def check(self, **result: Any) -> None:
        """Make one check with a result, a moment before the next one is due."""
        self.now += 6 * 3600.0
        assert self.followed.poll(lambda _due: None) == 1
        self.followed.record_result(self.key, **result)

    def lose_database(self) -> Subscription:
        """Return the subscription as a new database has it."""
        self.database.close()
        for path in self.library.home.glob("kb.sqlite*"):
            path.unlink()
        self.open()
        assert self.followed.restore() == 1
        (found,) = self.followed.list()
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "library")
    yield found
    found.database.close()


@pytest.mark.parametrize(
    ("results", "error", "problem"),
    [
        ([{"error": "@talks is gone.", "problem": GONE}], "@talks is gone.", GONE),
        ([{"error": "no network"}], "no network", None),
        ([{}], "", None),
        ([{"error": "no network"}, {"error": "@talks is gone.", "problem": GONE}],
         "@talks is gone.", GONE),
        ([{"error": "@talks is gone.", "problem": GONE}, {"error": "no network"}],
         "no network", None),
        ([{"error": "no network"}, {}], "", None),
        ([{"error": "no network"}, {"error": "no network"}], "no network", None),
    ],
)  # fmt: skip
def test_error_and_time_of_the_last_check_outlive_the_database(
    world: World, results: list[dict[str, Any]], error: str, problem: StoredProblem | None
) -> None:
    for result in results:
        world.check(**result)
    (before,) = world.followed.list()
    after = world.lose_database()
    assert (after.error, after.problem) == (error, problem) == (before.error, before.problem)
    assert after.last_at is not None and before.last_at is not None
    assert 0 <= before.last_at - after.last_at < CHECKED_EVERY_S
    assert after.next_at == world.now  # it is looked at again at once


def test_a_source_never_checked_stays_one(world: World) -> None:
    after = world.lose_database()
    assert (after.last_at, after.error, after.problem) == (None, "", None)


def test_successes_are_copied_once_a_day(world: World) -> None:
    written = []
    for _ in range(9):
        world.check()
        (saved,) = world.library.read_facts()["subscriptions"]
        written.append(saved["last_at"])
    assert len(set(written)) == 2
    # A change of its terms takes the time of the last check with it.
    world.followed.follow("@talks", every_s=7200.0)
    (now,) = world.followed.list()
    assert world.lose_database().last_at == now.last_at


@pytest.mark.parametrize(
    "values",
    [
        {},  # a file of the version before
        {"last_at": "yesterday"}, {"last_at": float("inf")}, {"last_at": [1.0]}, {"last_at": None},
        {"error": None}, {"error": 7}, {"error": ["x"]},
        {"problem": GONE},  # without its error
        {"error": "", "problem": GONE},
    ],
)  # fmt: skip
def test_a_copy_without_a_usable_check_is_a_subscription_all_the_same(
    world: World, values: dict[str, Any]
) -> None:
    facts = world.library.read_facts()
    (saved,) = facts["subscriptions"]
    assert "error" not in saved and "last_at" not in saved
    facts["subscriptions"] = [{**saved, **values}]
    world.library.facts_path.write_text(json.dumps(facts), encoding="utf-8")
    after = world.lose_database()
    assert (after.key, after.last_at, after.error, after.problem) == (world.key, None, "", None)


def test_a_copy_that_cannot_be_written_is_written_by_the_next_check(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    path = world.library.facts_path
    good = path.read_bytes()
    path.write_bytes(good[:40])
    world.check(error="no network")
    assert path.name in caplog.text
    assert world.followed.list()[0].error == "no network"
    path.write_bytes(good)
    world.check(error="no network")
    assert world.lose_database().error == "no network"


def test_a_result_of_an_ended_subscription_is_dropped(world: World) -> None:
    assert world.followed.unfollow("@talks")
    world.followed.record_result(world.key, error="no network")
    assert world.library.read_facts()["subscriptions"] == []
