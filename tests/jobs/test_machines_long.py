"""Worker processes on one PostgreSQL, each with a network of its own that fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import items, speeds
from tests.support.machines import Machines, beside_each_other, machines_of
from tests.support.postgres import database_url, server
from tests.support.workers import Lab, write_talks

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

__all__ = ["database_url", "server"]


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    with machines_of(database_url, tmp_path / "lab") as found:
        yield found


def test_a_network_that_fails_while_a_worker_starts(server: str, tmp_path: Path) -> None:
    beside_each_other(server, tmp_path, fails_at_a_start, [("swallow", 40), ("cut", 10)])


def fails_at_a_start(machines: Machines, fault: str, seconds: int) -> None:
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 2, words=5))
    worker = machines.start("one")  # it has its name, and has not read the queue yet
    getattr(machines.proxies["one"], fault)()
    time.sleep(seconds)
    assert worker.is_running()
    machines.proxies["one"].heal()
    machines.require_complete(ids)
    lab.wait(lambda: [each.pid for each in lab.jobs.workers()] == [worker.pid], "it is there")
    lab.stop(worker)


@pytest.mark.parametrize("how", ["SIGTERM", "kb worker --stop"])
@pytest.mark.parametrize("fault", ["swallow", "cut"])
def test_a_stop_works_while_the_network_is_away(machines: Machines, how: str, fault: str) -> None:
    lab = machines.lab
    lab.ingest(write_talks(lab.folder / "in", 4, words=40))
    worker = machines.start("one")
    lab.wait(lambda: lab.jobs.items.running("one"), "it has items")
    getattr(machines.proxies["one"], fault)()
    time.sleep(3)
    if how == "SIGTERM":
        worker.terminate()
    else:
        through = machines.proxies["one"].url(machines.url)
        lab.kb("worker", "--stop", KB_DATABASE_URL=through, check=None)
    lab._reap(worker)  # while its network stays away
    assert not worker.is_running()


def machines_that_read(lab: Lab) -> set[str]:
    with lab.jobs.database.begin() as connection:
        return set(connection.scalars(sa.select(speeds.c.executor_id)))


def test_shares_are_fair_and_work_that_is_not_begun_moves(machines: Machines) -> None:
    lab = machines.lab
    lab.values["KB_IN_FLIGHT"] = "0"
    lab.values["KB_PRESET"] = "optimiert"
    one = machines.start("one")
    machines.start("two")
    machines.wait_alive("one", "two")
    # On a busy machine one would have all items before the other has loaded its model.
    first: list[str] = []
    while machines_that_read(lab) != {"one", "two"}:
        assert len(first) < 60, "all items went to one machine"
        first += lab.ingest(write_talks(lab.folder / "first", 4, words=8, seed=2, start=len(first)))
        machines.require_complete(first)
    talks = write_talks(lab.folder / "in", 40, words=8)
    ids = lab.ingest(talks)
    taken: Counter[str] = Counter()
    seen: set[str] = set()

    def count() -> bool:
        with lab.jobs.database.begin() as connection:
            now = sa.select(items.c.id, items.c.executor).where(items.c.state == "running")
            # An item may be begun and done between two looks.
            before = sa.select(speeds.c.item_id, speeds.c.executor_id)
            for item_id, executor in [*connection.execute(now), *connection.execute(before)]:
                if executor and item_id not in {*seen, *first}:
                    seen.add(item_id)
                    taken[executor] += 1
        return len(seen) >= 30

    lab.wait(count, "both have begun")
    assert min(taken["one"], taken["two"]) >= 6, taken
    lab.kill(one)
    machines.require_complete([*first, *ids])
    # As the documents say: a worker has 11 connections at most.
    assert all(proxy.most_open <= 11 for proxy in machines.proxies.values()), [
        proxy.most_open for proxy in machines.proxies.values()
    ]
