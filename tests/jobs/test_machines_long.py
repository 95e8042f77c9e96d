"""Worker processes on one PostgreSQL, each with a network of its own that fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from kb.database import items
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.postgres import connected, database_url, server
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.long

__all__ = ["database_url", "server"]


class Machines:
    """Two workers, `one` and `two`, each behind a proxy."""

    def __init__(self, lab: Lab, url: str, stack: ExitStack) -> None:
        self.lab = lab
        self.proxies = {
            name: stack.enter_context(DatabaseProxy.before(url)) for name in ("one", "two")
        }
        self._url = url

    def start(self, name: str) -> psutil.Process:
        """Start a worker behind its proxy."""
        direct = self.lab.values["KB_DATABASE_URL"]
        self.lab.values["KB_DATABASE_URL"] = self.proxies[name].url(self._url)
        try:
            return self.lab.start(name=name)
        finally:
            self.lab.values["KB_DATABASE_URL"] = direct

    def log_lines(self) -> list[str]:
        return self.lab.log_file.read_text(errors="replace").splitlines()


@pytest.fixture
def machines(database_url: str, tmp_path: Path) -> Iterator[Machines]:
    values = {"KB_DATABASE_URL": database_url, "KB_WORKER_TIMEOUT_S": "12", "KB_IN_FLIGHT": "6"}
    with ExitStack() as stack:
        lab = stack.enter_context(Lab(tmp_path / "lab", **values))
        yield Machines(lab, database_url, stack)


def require_complete(lab: Lab, ids: list[str]) -> None:
    done = lab.wait_finished(ids, 300)
    assert Counter(each.state for each in done.values()) == {"done": len(ids)}
    assert {each.attempts for each in done.values()} == {0}
    passages = lab.passages()
    assert len(passages) == len(set(passages)) >= len(ids)


@pytest.mark.parametrize(
    ("seconds", "who"),
    [(60, ("one",)), (60, ("one", "two")), (180, ("one",)), (180, ("one", "two"))],
)
def test_a_network_that_swallows(machines: Machines, seconds: int, who: tuple[str, ...]) -> None:
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 12, words=40))
    one, two = machines.start("one"), machines.start("two")
    lab.wait(lambda: lab.jobs.items.running("one"), "the first has items")
    before = len(machines.log_lines())
    for name in who:
        machines.proxies[name].swallow()
    ends_at = time.monotonic() + seconds
    if len(who) == 1:
        # The other takes over what the first had, and is done before the network is back.
        require_complete(lab, ids)
    time.sleep(max(0.0, ends_at - time.monotonic()))
    # Lines about the outage: once each minute at most, of each worker, and its end.
    assert len(machines.log_lines()) - before <= 12 * len(who) + 4
    for name in who:
        machines.proxies[name].heal()
    require_complete(lab, ids)
    lab.wait(lambda: len(lab.jobs.workers()) == 2, "both are there again")
    for worker in (one, two):
        lab.stop(worker, 20)


@pytest.mark.parametrize(("fault", "seconds"), [("swallow", 40), ("cut", 10)])
def test_a_network_that_fails_while_a_worker_starts(
    machines: Machines, fault: str, seconds: int
) -> None:
    lab = machines.lab
    ids = lab.ingest(write_talks(lab.folder / "in", 2, words=5))
    worker = machines.start("one")  # it has its name, and has not read the queue yet
    getattr(machines.proxies["one"], fault)()
    time.sleep(seconds)
    assert worker.is_running()
    machines.proxies["one"].heal()
    require_complete(lab, ids)
    lab.wait(lambda: [each.pid for each in lab.jobs.workers()] == [worker.pid], "it is there")
    lab.stop(worker, 20)


@pytest.mark.parametrize("how", ["SIGTERM", "kb worker --stop"])
@pytest.mark.parametrize("fault", ["swallow", "cut"])
def test_a_stop_works_while_the_network_is_away(machines: Machines, how: str, fault: str) -> None:
    lab = machines.lab
    lab.ingest(write_talks(lab.folder / "in", 4, words=40))
    worker = machines.start("one")
    lab.wait(lambda: lab.jobs.items.running("one"), "it has items")
    getattr(machines.proxies["one"], fault)()
    time.sleep(3)
    began = time.monotonic()
    if how == "SIGTERM":
        lab.stop(worker, 20)
    else:
        lab.kb("worker", "--stop", KB_DATABASE_URL=machines.proxies["one"].url(
            lab.values["KB_DATABASE_URL"]), check=None)  # fmt: skip
        lab._reap(worker, 5)
    assert time.monotonic() - began < 25
    assert not worker.is_running()


def test_every_command_answers_while_a_table_is_locked(machines: Machines) -> None:
    lab = machines.lab
    lab.ingest(write_talks(lab.folder / "in", 2, words=5))
    with connected(lab.values["KB_DATABASE_URL"]) as connection:
        connection.execute(sa.text("BEGIN"))
        connection.execute(sa.text("LOCK TABLE kb_items IN ACCESS EXCLUSIVE MODE"))
        time.sleep(1.1)
        for command in (["status"], ["cancel", "--all"], ["pause"], ["resume"], ["doctor"]):
            began = time.monotonic()
            done = lab.kb(*command, check=None)
            assert time.monotonic() - began < 15, command
            if command[0] not in ("pause", "doctor"):
                assert "kb_items" in done.stderr, (command, done.stderr)


def test_shares_are_fair_and_work_that_is_not_begun_moves(machines: Machines) -> None:
    lab = machines.lab
    lab.values["KB_IN_FLIGHT"] = "0"
    lab.values["KB_PRESET"] = "optimiert"
    ids = lab.ingest(write_talks(lab.folder / "in", 40, words=8))
    one = machines.start("one")
    machines.start("two")
    taken: Counter[str] = Counter()
    seen: set[str] = set()

    def count() -> bool:
        with lab.jobs.database.begin() as connection:
            rows = connection.execute(sa.select(items.c.id, items.c.executor, items.c.state))
            for item_id, executor, state in rows:
                if executor and state == "running" and item_id not in seen:
                    seen.add(item_id)
                    taken[executor] += 1
        return len(seen) >= 30

    lab.wait(count, "both have begun")
    assert min(taken["one"], taken["two"]) >= 6, taken
    lab.kill(one)
    killed_at = time.monotonic()
    require_complete(lab, ids)
    assert time.monotonic() - killed_at < 120
