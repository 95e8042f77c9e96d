"""Deadlocks in PostgreSQL: the transaction that the server ends is executed again.

Another session (a dump that is put back, another version's migration, two people who act on the
same items in another order) holds what a transaction of ours needs next, and then needs what ours
has. The server ends ours each time: the deadlock is looked for by the session that waits longest.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import repeating
from kb.database.repeating import TIMES, repeated
from kb.database.server_errors import ROLLED_BACK
from kb.errors import LibraryError
from kb.jobs.queue.heartbeat import list_workers
from kb.jobs.queue.item_states import CANCELLED, DISMISSED, FAILED
from kb.jobs.queue.outbox_states import WAITING
from kb.jobs.queue.reasons import publication_reasons
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.sources.looks import Looks
from kb.types import MediaItem
from tests.support.machines import machines_of
from tests.support.postgres import (
    connected,
    database_url,
    execute,
    in_one_transaction,
    new_database,
    server,
)
from tests.support.waiting import WAIT_S
from tests.support.workers import write_talks

pytestmark = pytest.mark.slow

__all__ = ["database_url", "server"]

IDS = [f"file:{number:012x}" for number in range(3)]
FIRST, SECOND = (f"UPDATE kb_items SET title = title WHERE id = '{IDS[n]}'" for n in (0, 1))
ITEMS, DELIVERIES, ENGINE = (
    f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"
    for name in ("kb_items", "kb_deliveries", "dbos.workflow_status")
)


# A session looks for a deadlock once, this time after it began to wait. The other session must have
# asked for what it wants by then, so it notices the wait within the server.
LOOK_MS = 300
WAIT_AND_ASK = """
DO $$ BEGIN
  WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted) LOOP
    PERFORM pg_sleep(0.002);
  END LOOP;
  EXECUTE '{wanted}';
END $$
"""


def media() -> list[MediaItem]:
    return [MediaItem(each, "file", f"file:///{each}", f"Talk {each}", "") for each in IDS]


@pytest.fixture(scope="module")
def service(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(server)
    name = sa.make_url(url).database
    execute(url, f'ALTER DATABASE "{name}" SET deadlock_timeout = {LOOK_MS}')
    home = tmp_path_factory.mktemp("home")
    service = Service(Settings(KB_HOME=str(home), KB_DATABASE_URL=url))
    service.library.prepare()
    service.queue.submit(media(), RunOptions())
    for each in IDS:
        service.queue.send(each, ["odin"])
    yield service
    service.close()


def state_of(service: Service, state: str) -> None:
    """Give all items and their publications one state."""
    with service.queue.database.begin() as connection:
        for change in ("kb_items SET state = :s", "kb_deliveries SET status = :s, error = 'No.'"):
            connection.execute(sa.text(f"UPDATE {change}"), {"s": state})


@contextmanager
def in_the_way(service: Service, held: str, wanted: str, *, times: int = 1) -> Iterator[None]:
    """Hold one lock, and ask for another one as soon as the block waits for the first.

    `times`: how often; the first lock stays held.
    """
    url = service.settings.database_url.get_secret_value()
    ready = threading.Event()
    met: list[int] = []

    def act() -> None:
        with connected(url) as connection:
            connection.execute(sa.text("SET deadlock_timeout = '10min'"))
            connection.execute(sa.text(f"SET statement_timeout = '{WAIT_S:.0f}s'"))
            connection.execute(sa.text("BEGIN"))
            connection.execute(sa.text(held))
            ready.set()
            for number in range(times):
                connection.execute(sa.text("SAVEPOINT one"))
                connection.execute(sa.text(WAIT_AND_ASK.format(wanted=wanted.replace("'", "''"))))
                met.append(number)
                # Gives back what was wanted, and keeps what is held.
                connection.execute(sa.text("ROLLBACK TO one"))
            connection.execute(sa.text("ROLLBACK"))

    thread = threading.Thread(target=act)
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield
    finally:
        thread.join(WAIT_S)
    assert met == list(range(times))


def all_in(service: Service, state: str) -> bool:
    return set(service.queue.items.states().values()) == {state}


ACTS: dict[str, tuple[str, Callable[[Service], object], str, str, str]] = {
    # name: state before, act, held by the other session, wanted by it, state after
    "cancel": ("queued", lambda s: s.queue.items.stop(IDS), SECOND, ITEMS, CANCELLED),
    "retry": (FAILED, lambda s: s.queue.retry(IDS), SECOND, FIRST, "queued"),
    "retry, engine": (FAILED, lambda s: s.queue.retry(IDS), ENGINE, FIRST, "queued"),
    "retry, all": (CANCELLED, lambda s: s.queue.retry_cancelled(), SECOND, FIRST, "queued"),
    "dismiss": (FAILED, lambda s: s.queue.dismiss(IDS), SECOND, ITEMS, DISMISSED),
    "again": (
        CANCELLED, lambda s: s.queue.submit(media(), RunOptions(again=True)), SECOND, FIRST,
        "queued",
    ),
    "first": ("queued", lambda s: s.queue.move_to_front(IDS), SECOND, FIRST, "queued"),
    "places": (
        WAITING, lambda s: s.queue.items.set_places(dict.fromkeys(IDS, 7)), SECOND, FIRST, WAITING,
    ),
    "send": (FAILED, lambda s: s.queue.send(IDS[0], ["odin"]), ENGINE, DELIVERIES, FAILED),
    "a worker's claim": (
        "queued", lambda s: [s.queue.items.claim(i, row_serial(s, i), "one") for i in IDS],
        SECOND, ITEMS, "running",
    ),
}  # fmt: skip


def row_serial(service: Service, item_id: str) -> int:
    row = service.queue.items.read(item_id)
    assert row is not None
    return row.serial


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_carried_out_although_the_server_ended_it(service: Service, name: str) -> None:
    before, act, held, wanted, after = ACTS[name]
    state_of(service, before)
    with in_the_way(service, held, wanted):
        act(service)
    assert all_in(service, after)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [(DELIVERIES, ITEMS), (DELIVERIES.replace("ACCESS EXCLUSIVE", "EXCLUSIVE"), FIRST)],
)
def test_an_item_is_removed_and_comes_back(service: Service, held: str, wanted: str) -> None:
    state_of(service, CANCELLED)
    with in_the_way(service, held, wanted):
        service.removals.remove([IDS[0]])
    assert service.queue.rows([IDS[0]]) == []
    with in_the_way(service, held, wanted.replace(IDS[0], IDS[1])):
        service.removals.undo([IDS[0]])
    assert len(service.queue.rows(IDS)) == 3


def test_a_report_is_read(service: Service) -> None:
    """A query over two tables waits for the second one while it has the first one."""
    state_of(service, FAILED)
    with in_the_way(service, DELIVERIES, ITEMS):
        found = publication_reasons(service.queue.database)
    assert sum(reason.count for reason in found) == len(IDS)


@contextmanager
def two_in_the_way(service: Service, table: str) -> Iterator[None]:
    """Let two other sessions wait for each other for a second, the block between them.

    One of them holds `table`. The block waits for it first, so that the server must end the block
    or one of the two: they look for no deadlock.
    """
    url = service.settings.database_url.get_secret_value()
    both_hold = threading.Barrier(3)
    ended: list[str] = []

    def act(held: str, wanted: str, waiting: int, longest: str) -> None:
        ask = WAIT_AND_ASK.replace("NOT EXISTS (SELECT 1", "(SELECT count(*)")
        ask = ask.replace("NOT granted)", f"NOT granted) < {waiting}")
        with connected(url) as connection:
            for setting in ("deadlock_timeout = '10min'", f"lock_timeout = '{longest}'"):
                connection.execute(sa.text(f"SET {setting}"))
            connection.execute(sa.text("BEGIN"))
            connection.execute(sa.text(f"LOCK TABLE {held} IN ACCESS EXCLUSIVE MODE"))
            both_hold.wait(WAIT_S)
            command = f"LOCK TABLE {wanted} IN ACCESS EXCLUSIVE MODE"
            try:
                connection.execute(sa.text(ask.format(wanted=command)))
            except sa.exc.OperationalError as error:
                ended.append(str(error.orig))
            connection.execute(sa.text("ROLLBACK"))

    threads = [
        threading.Thread(target=act, args=(table, "kb_meta_of_test", 2, "10min")),
        threading.Thread(target=act, args=("kb_meta_of_test", table, 1, "1s")),
    ]
    execute(url, "CREATE TABLE IF NOT EXISTS kb_meta_of_test (n int)")
    for thread in threads:
        thread.start()
    both_hold.wait(WAIT_S)
    try:
        yield
    finally:
        for thread in threads:
            thread.join(WAIT_S)
    assert [each for each in ended if "lock timeout" in each] == ended != []


READS: dict[str, tuple[str, Callable[[Service], object]]] = {
    "states": ("kb_items", lambda s: {each.state for each in s.items.statuses(ids=IDS)}),
    "counts": ("kb_items", lambda s: s.queue.items.counts()[FAILED]),
    "rows": ("kb_items", lambda s: len(s.queue.rows(IDS))),
    "publications": ("kb_deliveries", lambda s: len(s.queue.outbox.for_items(IDS))),
    "steps": ("kb_steps", lambda s: s.queue.steps.counts() is not None),
    "workers": ("kb_workers", lambda s: list_workers(s.queue.database) == []),
    "pauses": ("kb_lanes", lambda s: s.queue.lanes() == []),
    "sources": ("kb_subscriptions", lambda s: s.subscriptions.list() is not None),
    "looks": ("kb_looks", lambda s: list(Looks(s.queue.database).since(0.0)) == []),
}


@pytest.mark.parametrize("name", READS)
def test_what_only_waits_beside_two_others_is_read(service: Service, name: str) -> None:
    """The server may end a session that holds nothing, if it stands between two others."""
    table, read = READS[name]
    state_of(service, FAILED)
    expected = read(service)
    with two_in_the_way(service, table):
        assert read(service) == expected
    assert expected


def test_a_deadlock_that_does_not_end_is_named(service: Service) -> None:
    state_of(service, FAILED)
    with (
        in_the_way(service, SECOND, ITEMS, times=TIMES),
        pytest.raises(LibraryError) as caught,
    ):
        service.queue.items.end_as(IDS, DISMISSED, (FAILED,))
    assert caught.value.code == ROLLED_BACK and caught.value.retryable
    assert all_in(service, FAILED)


@pytest.mark.parametrize(("code", "calls"), [(ROLLED_BACK, TIMES), ("database.lock_held", 1)])
def test_only_a_transaction_that_was_ended_is_repeated(
    monkeypatch: pytest.MonkeyPatch, code: str, calls: int
) -> None:
    monkeypatch.setattr(repeating, "PAUSE_S", 0.0)
    seen = []

    @repeated
    def change() -> None:
        seen.append(code)
        raise LibraryError(code, "No.")

    with pytest.raises(LibraryError):
        change()
    assert len(seen) == calls


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_worker_goes_on_while_its_transactions_are_ended(
    database_url: str, tmp_path: Path
) -> None:
    """Two sessions lock the tables of the items and of the engine, each in another order."""
    tables = ("kb_items", "kb_deliveries", "kb_workers", "dbos.workflow_status")
    locks = [f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE" for name in tables]
    name = sa.make_url(database_url).database
    execute(database_url, f'ALTER DATABASE "{name}" SET deadlock_timeout = 20')
    with machines_of(database_url, tmp_path / "lab") as machines:
        lab = machines.lab
        worker = machines.start("one")
        first = lab.ingest(write_talks(lab.folder / "in", 1, words=5))  # the engine has its tables
        over = threading.Event()

        def lock(order: list[str]) -> None:
            with connected(database_url) as connection:
                connection.execute(sa.text("SET deadlock_timeout = '200ms'"))
                while not over.is_set():
                    in_one_transaction(connection, [order[0], "SELECT pg_sleep(0.05)", *order[1:]])
                    over.wait(0.1)

        threads = [threading.Thread(target=lock, args=(order,)) for order in (locks, locks[::-1])]
        for thread in threads:
            thread.start()
        try:
            ids = lab.ingest(write_talks(lab.folder / "in", 8, words=10, start=1))
            machines.require_complete([*first, *ids])
        finally:
            over.set()
            for thread in threads:
                thread.join()
        with connected(database_url) as connection:
            number = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            assert connection.scalar(sa.text(number)) > 0
        assert worker.is_running() and "Traceback" not in machines.log()
        lab.stop(worker)
