"""Several machines on one PostgreSQL: liveness, names, lanes, shares, and what stops whom."""

from __future__ import annotations

import inspect
import logging
import os
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from dbos import _core as dbos_core
from dbos import error as dbos_error

from gpu.devices import Device
from gpu.status import Snapshot
from kb.database import Database, items, publications, workers
from kb.errors import LibraryError, UsageError
from kb.jobs.queue import heartbeat, hung_worker, worker_names, workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.heartbeat import Heartbeat, WorkerInfo, list_workers
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.outbox_states import SYNCED, WAITING
from kb.jobs.queue.telemetry import TelemetryWriter
from kb.jobs.worker.cause_log import NOT_OURS, CauseLog
from kb.jobs.worker.item_share import share_of
from kb.library import Library
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.sinks.odin import publish_state
from kb.sinks.odin.inventory import InventoryView
from kb.sinks.odin.publish_state import PublishStateStore
from kb.types import MediaItem
from tests.fakes.database_proxy import DatabaseProxy
from tests.support.postgres import database_url, execute, new_database, server
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.slow

__all__ = ["database_url", "server"]


SILENT_S = WAIT_S  # far above the time of a test on a busy machine


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a heartbeat last longer: the tests give one and look at it later."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_TIMEOUT_S", SILENT_S)


class Elsewhere:
    """This process as another machine: its host, its boot and its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def go(self, host: str, boot: str = "", clock_s: float = 0.0) -> None:
        """Be the machine `host`; `clock_s` seconds ahead of the true time."""
        real = time.time
        self._patch.undo()
        self._patch.setattr("socket.gethostname", lambda: host)
        boot_id = boot or f"boot of {host}"
        for module in (worker_names, heartbeat, publish_state):
            self._patch.setattr(module, "boot_id", lambda: boot_id)
        if clock_s:
            self._patch.setattr(time, "time", lambda: real() + clock_s)


@pytest.fixture
def machine() -> Iterator[Elsewhere]:
    patch = pytest.MonkeyPatch()
    yield Elsewhere(patch)
    patch.undo()


@pytest.fixture(scope="module")
def tables(server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with all tables, to be copied."""
    url = new_database(server)
    home = tmp_path_factory.mktemp("home")
    Library(home).prepare()
    queue = JobQueue(Settings(KB_HOME=str(home), KB_DATABASE_URL=url), Library(home))
    queue.submit([talk(1)], RunOptions())
    queue.items.stop([talk(1).id])
    queue.close()
    return url


@pytest.fixture
def url(server: str, tables: str) -> str:
    """A database with the tables of the library, which belongs to no folder yet."""
    found = new_database(server, like=tables)
    execute(found, "DELETE FROM kb_library WHERE name <> 'fencing_token'")
    return found


@pytest.fixture
def database(url: str, tmp_path: Path) -> Iterator[Database]:
    found = Database.open(chosen(tmp_path, url))
    yield found
    found.close()


def chosen(tmp_path: Path, url: str, name: str = "") -> Settings:
    return Settings(
        KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=url, KB_EXECUTOR_ID=name,
        KB_WORKER_TIMEOUT_S=str(SILENT_S),
    )  # fmt: skip


def talk(number: int) -> MediaItem:
    return MediaItem(f"file:{number:012x}", "file", f"file:///{number}", f"Talk {number}", "")


def alive(database: Database) -> list[str]:
    return [worker.executor_id for worker in list_workers(database) if worker.is_alive()]


# Liveness by the database's clock


@pytest.mark.parametrize("clock_s", [600.0, -600.0, 7200.0, -86400.0])
def test_a_machine_with_another_clock_is_alive(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere, clock_s: float
) -> None:
    machine.go("other", clock_s=clock_s)
    beat = Heartbeat(chosen(tmp_path, url, "two"), database)
    beat.acquire()
    assert beat.beat()
    assert alive(database) == ["two"]  # as it is seen on the machine itself
    machine.go("here")
    assert alive(database) == ["two"]
    beat.release()
    assert alive(database) == []
    beat.close()


@pytest.mark.parametrize("jump_s", [600.0, -600.0])
def test_a_clock_that_jumps_moves_no_wait(
    database: Database, tmp_path: Path, machine: Elsewhere, jump_s: float
) -> None:
    lanes = LaneStore(database)
    lanes.pause("items@two", database.time() + WAIT_S, "its folder is read-only")
    before = database.time()
    machine.go("here", clock_s=jump_s)
    assert abs(database.time() - before) < 5
    assert [name for name, _ in lanes.pauses(database.time())] == ["items@two"]


def test_a_worker_that_was_silent_too_long_is_not_alive(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    machine.go("other")
    beat = Heartbeat(chosen(tmp_path, url, "two"), database)
    beat.acquire()
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(seen_at=database.clock() - SILENT_S - 1))
    assert alive(database) == []
    beat.close()


# Names


def test_two_machines_with_one_name_where_the_share_carries_no_locks(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    machine.go("first")
    first = Heartbeat(chosen(tmp_path / "a", url, "gpu"), database)
    first.acquire()
    machine.go("second")
    other = Heartbeat(chosen(tmp_path / "b", url, "gpu"), database)
    with raises(UsageError, "worker.name_taken", name="gpu", host="first"):
        other.acquire()
    machine.go("first")
    assert first.beat() and alive(database) == ["gpu"]
    first.release()
    machine.go("second")
    other.acquire()
    assert not first.beat()
    assert other.beat()
    for beat in (first, other):
        beat.close()


def test_copies_of_a_machine_get_names_of_their_own(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    beats = []
    for number in range(3):
        machine.go("ubuntu", boot=f"boot {number}")
        beats.append(Heartbeat(chosen(tmp_path / str(number), url), database))
        beats[-1].acquire()
    names = [beat.executor for beat in beats]
    assert len(set(names)) == 3 and names[0] == "ubuntu"
    assert all(name.startswith("ubuntu-") for name in names[1:])
    machine.go("elsewhere")
    assert sorted(alive(database)) == sorted(names)
    for beat in beats:
        beat.close()


def test_a_name_whose_machine_is_gone_is_free_after_the_timeout(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    machine.go("first")
    Heartbeat(chosen(tmp_path / "a", url, "gpu"), database).acquire()
    machine.go("second")
    other = Heartbeat(chosen(tmp_path / "b", url, "gpu"), database)
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(seen_at=database.clock() - 20))
    with raises(UsageError, "worker.name_taken"):
        other.acquire()
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(seen_at=database.clock() - SILENT_S - 1))
    other.acquire()
    (row,) = list_workers(database)
    assert (row.host, len(row.crashes)) == ("second", 1)
    other.close()


def test_a_process_of_another_machine_is_never_taken_for_one_of_this_machine(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    """Two machines with one host name: the process id of the other is one of ours by chance."""
    machine.go("ubuntu", boot="other")
    beat = Heartbeat(chosen(tmp_path, url, "gpu"), database)
    beat.acquire()
    machine.go("ubuntu", boot="this one")
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(seen_at=database.clock() - 30))
    queue = JobQueue(chosen(tmp_path, url), Library(tmp_path / "home"))
    assert queue.hung_workers() == [] and queue.local_workers() == []
    queue.close()
    beat.close()


@pytest.mark.parametrize(("given", "ignored"), [("GPU", True), ("gPu", True), ("GPU", False)])
def test_names_that_differ_in_case_alone(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere, given: str, ignored: bool
) -> None:
    """On a share that ignores case they would have one lock and one request to stop."""
    machine.go("first")
    first = Heartbeat(chosen(tmp_path / "a", url, given), database)
    first.acquire()
    if ignored:
        folder = tmp_path / "b" / "home" / ".workers"
        folder.mkdir(parents=True)
        (folder / "gpu.lock").touch()
        (folder / "GPU.LOCK").hardlink_to(folder / "gpu.lock")
    machine.go("second")
    other = Heartbeat(chosen(tmp_path / "b", url, "gpu"), database)
    if ignored:
        with raises(UsageError, "worker.name_taken", name=given, host="first"):
            other.acquire()
        first.release()
    other.acquire()
    assert "gpu" in alive(database)
    for beat in (first, other):
        beat.close()


# A frozen machine, a network that is away


def test_a_locked_row_of_another_worker_does_not_stop_the_heartbeat(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    machine.go("first")
    beat = Heartbeat(chosen(tmp_path / "a", url, "one"), database)
    beat.acquire()
    machine.go("second")
    other = Heartbeat(chosen(tmp_path / "b", url, "two"), database)
    other.acquire()
    with database.engine.begin() as frozen:
        frozen.execute(sa.update(items).values(title="locked"))
        frozen.execute(sa.update(workers).where(workers.c.executor_id == "two").values(pid=1))
        assert beat.beat()  # the locked rows stay locked: it cannot have waited for them
        with pytest.raises(LibraryError) as caught:
            other.beat()
        assert caught.value.code == "database.lock_held"
    beat.close()
    other.close()


def test_the_request_to_stop_needs_no_database(
    database: Database, url: str, tmp_path: Path
) -> None:
    with DatabaseProxy.before(url) as proxy:
        settings = chosen(tmp_path, proxy.url(url), "one")
        beat = Heartbeat(settings, Database.open(settings))
        beat.acquire()
        settings.home.mkdir(exist_ok=True)
        proxy.cut()
        queue = JobQueue(settings, Library(settings.home))
        assert [(each.executor_id, each.pid) for each in queue.local_workers()] == [
            ("one", os.getpid())
        ]
        assert queue.stop_local_workers() == ["one"]
        with raises(LibraryError, "database.unreachable"):
            queue.stop_workers()
        assert beat.stop_requested()
        proxy.heal()
        beat.release()
        assert queue.local_workers() == []
        queue.close()
        beat.close()


# Lanes


def test_trouble_of_a_machine_pauses_that_machine_alone(database: Database) -> None:
    lanes = LaneStore(database)
    now = database.time()
    lanes.pause(workflow_ids.machine_lane("one"), now + 60, "its folder is read-only")
    assert lanes.longest_pause(("items", "items@two"), now) is None
    own = lanes.longest_pause(("items", "items@one"), now)
    assert own is not None and own.reason == "its folder is read-only"
    lanes.pause("items", workflow_ids.FOREVER, "paused by hand")
    for name in ("one", "two"):
        found = lanes.longest_pause(("items", f"items@{name}"), now)
        assert found is not None and found.reason == "paused by hand"


def test_a_pause_of_a_machine_is_shown_and_ends_with_resume(url: str, tmp_path: Path) -> None:
    queue = JobQueue(chosen(tmp_path, url), Library(tmp_path / "home"))
    LaneStore(queue.database).pause("items@two", queue.database.time() + WAIT_S, "full")
    (lane,) = queue.lanes()
    assert (lane.machine, lane.holds_items, lane.paused_by_hand) == ("two", False, False)
    queue.resume()
    assert queue.lanes() == []
    queue.close()


# Shares


@pytest.mark.parametrize(
    ("open_items", "machines", "most", "expected"),
    [
        (40, 1, 32, 32),
        (40, 2, 32, 14),
        (40, 3, 32, 9),
        (200, 3, 32, 32),
        (8, 2, 32, 3),
        (2, 2, 32, 1),
        (1, 3, 32, 1),
        (0, 5, 32, 1),
        (0, 1, 4, 4),
        (10**7, 50, 64, 64),
        (100, 50, 64, 2),
    ],
)
def test_shares_of_the_queue(open_items: int, machines: int, most: int, expected: int) -> None:
    assert share_of(open_items, machines, most) == expected


@pytest.mark.parametrize("machines", [2, 3, 7])
def test_no_machine_is_left_out(machines: int) -> None:
    """Machines of equal speed that take their shares in turns end with equal parts."""
    left, taken = 40, [0] * machines
    flying: list[list[int]] = [[] for _ in range(machines)]
    while left or any(flying):
        for number in range(machines):
            limit = share_of(left + sum(map(len, flying)), machines, 32)
            while left and len(flying[number]) < limit:
                left -= 1
                taken[number] += 1
                flying[number].append(1)
        for each in flying:
            del each[:2]
    assert max(taken) - min(taken) <= 4


# Seen from anywhere


def test_two_machines_show_the_same_and_act_on_all(
    url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    """Each reads the database at every look, so that pages (every 3 s) agree at the next one."""
    machine.go("first")
    first = Service(chosen(tmp_path, url, "one"))
    first.library.prepare()
    beat = Heartbeat(chosen(tmp_path, url, "one"), first.queue.database)
    beat.acquire()
    ids, _ = first.queue.submit([talk(n) for n in range(2, 8)], RunOptions())
    assert first.queue.items.claim(ids[0], 1, "one") is not None
    first.queue.items.advance(ids[0], 1, "one", "transcribe", 0.5)
    TelemetryWriter(first.queue.database, "one").write(
        Snapshot(Device("cuda:0", "CUDA", "a card of the first machine")), [], 0, ""
    )
    LaneStore(first.queue.database).pause("items@one", time.time() + WAIT_S, "read-only")

    machine.go("second", clock_s=600)
    second = Service(chosen(tmp_path, url, "two"))

    def seen(service: Service) -> object:
        return (
            sorted((each.id, each.state, each.share, each.machine)
                   for each in service.items.statuses()),
            service.queue.counts(), service.queue.figures(0.0),
            [worker.executor_id for worker in service.queue.workers()],
            [(lane.name, lane.reason) for lane in service.queue.lanes()],
            [(each.executor_id, each.device.name, each.live)
             for each in service.machines.with_workers()],
        )  # fmt: skip

    assert seen(second) == seen(first)
    states = {each.id: (each.state, each.machine) for each in second.items.statuses()}
    assert states[ids[0]] == ("running", "one")
    assert not first.queue.has_several_machines() and first.items.machine_of(ids[0]) == "one"
    other_beat = Heartbeat(chosen(tmp_path, url, "two"), second.queue.database)
    other_beat.acquire()
    for service in (first, second):  # as the page and `kb status` name it
        assert service.queue.has_several_machines()
    other_beat.release()
    assert second.queue.items.claim(ids[2], 1, "two") is not None
    assert first.queue.has_several_machines()  # its items are not taken over yet
    second.queue.items.release("two")
    assert second.machines.with_workers()[0].live
    assert sorted(second.queue.cancel(ids[:2])) == ids[:2]
    second.queue.pause()
    second.queue.move_to_front([ids[5]])
    assert first.queue.items.running("one") == set()  # read twice a second by its worker
    assert seen(first) == seen(second)
    assert "items" in [lane.name for lane in first.queue.lanes()]
    first.queue.resume()
    assert second.queue.lanes() == []
    for each in (first, second):
        each.close()
    beat.close()


def test_nothing_is_made_where_the_share_is_not_mounted(url: str, tmp_path: Path) -> None:
    mounted = Service(chosen(tmp_path, url))
    mounted.queue.prepare()
    empty = tmp_path / "empty"
    empty.mkdir()
    service = Service(chosen(tmp_path, url).replace(home=empty))
    for act in (
        service.queue.prepare,
        service.workers.start,
        lambda: service.ingest.run([str(tmp_path)], RunOptions()),
        lambda: service.publisher.upload([], {}),
        lambda: service.items.entry("file:1"),
    ):
        with raises(LibraryError, "library.missing", home=empty):
            act()
        assert list(empty.iterdir()) == []
    with raises(UsageError, "item.unknown"):
        mounted.items.entry("file:1")
    for each in (mounted, service):
        each.close()


def test_what_a_machine_does_not_begin_is_found(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere
) -> None:
    """Killed before it begins, paused, or slow: an idle machine may have the item."""
    Library(tmp_path / "home").prepare()
    queue = JobQueue(chosen(tmp_path, url), Library(tmp_path / "home"))
    ids, _ = queue.submit([talk(n) for n in range(2, 6)], RunOptions())
    client = DbosClient(database)
    machine.go("other")
    beat = Heartbeat(chosen(tmp_path / "a", url, "one"), database)
    beat.acquire()

    def change(statement: str) -> None:
        with database.begin() as connection:
            connection.exec_driver_sql(statement)

    def found(closed: list[str] | None = None) -> list[str]:
        return sorted(client.not_begun("two", closed or [], SILENT_S, SILENT_S, 99))

    assert client.has_queued() and found() == []
    change(
        "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'one', "
        "started_at_epoch_ms = extract(epoch FROM clock_timestamp()) * 1000 "
        "WHERE status = 'ENQUEUED'"
    )
    assert not client.has_queued()
    assert queue.items.claim(ids[0], 1, "one") is not None  # this one has begun
    assert found() == [] and found(["one"]) == ids[1:]
    assert sorted(client.not_begun("one", ["one"], SILENT_S, SILENT_S, 99)) == []
    change(f"UPDATE kb_workers SET seen_at = seen_at - {SILENT_S + 1}")
    assert found() == ids[1:]
    change(f"UPDATE kb_workers SET seen_at = seen_at + {SILENT_S + 1}")
    assert found() == []
    change(
        "UPDATE dbos.workflow_status SET started_at_epoch_ms = started_at_epoch_ms - "
        f"{1000 * SILENT_S + 1000:.0f}"
    )
    serials = client.not_begun("two", [], SILENT_S, SILENT_S, 2)
    assert len(serials) == 2
    moved = queue.items.retry(
        list(serials), client.ingest, states=("queued",), fresh=False, serials=serials
    )
    assert [serial for _, serial in moved] == [1, 1]
    late = moved[0][0]
    assert queue.items.claim(late, 1, "one") is None  # the machine wakes up, too late
    assert queue.items.claim(late, 2, "two") is not None
    queue.close()
    client.close()
    beat.close()


# Times of items


@pytest.mark.parametrize("clock_s", [600.0, -600.0, 7200.0, -86400.0])
def test_the_times_of_items_are_the_database_s(
    database: Database, url: str, tmp_path: Path, machine: Elsewhere, clock_s: float
) -> None:
    """What a machine with a wrong clock queues, ends and postpones is dated as by any other."""
    Library(tmp_path / "home").prepare()
    began = database.time()
    machine.go("other", clock_s=clock_s)
    elsewhere = JobQueue(chosen(tmp_path, url), Library(tmp_path / "home"))
    (done, waiting, failed, stopped), _ = elsewhere.submit(
        [talk(number) for number in range(2, 6)], RunOptions()
    )
    for item_id in (done, waiting, failed):
        assert elsewhere.items.claim(item_id, 1, "two") is not None
    postponed = elsewhere.database.time() + 60
    assert elsewhere.items.finish(done, 1, "two", "done")
    assert elsewhere.items.finish(waiting, 1, "two", "waiting", wait_until=postponed)
    assert elsewhere.items.finish(failed, 1, "two", "failed")
    elsewhere.items.stop([stopped])
    assert elsewhere.figures(began - 1).done_since == 1
    crashes = tuple(began + at for at in (-3.0, -2.0, -1.0))
    looping = WorkerInfo("two", "h", 1, began, began, False, crashes=crashes)
    (loop,) = hung_worker.crash_loops(elsewhere.database, [looping])
    assert loop.finished >= 3  # done, failed and cancelled
    elsewhere.close()

    machine.go("here")
    queue = JobQueue(chosen(tmp_path, url), Library(tmp_path / "home"))
    with database.begin() as connection:
        rows = connection.execute(sa.select(items).where(items.c.id != talk(1).id)).all()
    for row in rows:
        ended = [] if row.id == waiting else [row.ended_at]
        for moment in (row.enqueued_at, row.updated_at, *ended):
            assert began - 1 <= moment <= began + 30, (row.id, moment - began)
    assert queue.items.due(database.time()) == []
    assert queue.items.due(database.time() + 61) == [waiting]
    # The share may show its files with a delay: it has not ended long enough ago.
    assert queue.items.ended_with_transcript(database.time() - 300) == []
    queue.close()


# Publications


@pytest.mark.parametrize("clock_s", [600.0, -600.0, 7200.0, -86400.0])
def test_publications_wait_by_the_database_s_clock(
    database: Database, machine: Elsewhere, clock_s: float
) -> None:
    """A machine with a wrong clock lets them wait; one with the right clock sends them in time."""

    def start(*_: object) -> None:
        return None

    machine.go("other", clock_s=clock_s)
    elsewhere, item_id = Outbox(Database(database.engine)), talk(1).id
    began = database.time()
    with database.begin() as connection:
        elsewhere.submit(connection, "odin", item_id, start)
    (entry,) = elsewhere.for_items([item_id])[item_id]
    claimed = elsewhere.claim("odin", item_id, entry.serial)
    assert claimed is not None
    assert elsewhere.finish(claimed, WAITING, due_at=Database(database.engine).time() + 60)

    machine.go("here")
    here = Outbox(Database(database.engine))
    (entry,) = here.for_items([item_id])[item_id]
    assert entry.due_at is not None and entry.since is not None
    for moment in (entry.since, entry.updated_at, entry.due_at - 60):
        assert began - 1 <= moment <= began + 30, moment
    assert here.claim_due(database.time(), start) == []
    assert here.claim_due(database.time() + 61, start) == [("odin", item_id)]
    (again,) = here.for_items([item_id])[item_id]
    assert again.serial > entry.serial
    here.record("odin", item_id, SYNCED, started_at=database.time())  # queued before, not begun
    assert here.for_items([item_id])[item_id][0].status == SYNCED


@pytest.mark.parametrize("clock_s", [600.0, -600.0])
def test_a_listing_of_a_knowledge_base_is_as_old_as_the_database_says(
    database: Database, machine: Elsewhere, clock_s: float
) -> None:
    """A document that another machine has just sent is looked for in a newer listing."""
    listed = []
    client: Any = SimpleNamespace(documents=lambda: listed.append(1) or {})
    machine.go("other", clock_s=clock_s)
    sent_at = Database(database.engine).time()
    machine.go("here")
    clock, view = Database(database.engine).time, InventoryView()
    view.refresh(client, sent_at, clock=clock)
    view.refresh(client, sent_at, clock=clock)
    assert len(listed) == 1  # it is newer than the document
    view.refresh(client, clock() + 0.001, clock=clock)
    assert len(listed) == 2


# Logs


def outage(log: CauseLog, clock: list[float], seconds: int) -> list[str]:
    """Return what is logged while the queue's threads and the worker's report each attempt."""
    shown = []
    texts = (
        "Exception encountered in queue thread for items: (psycopg.OperationalError) refused\n[SQL",
        "Exception reloading queue publish from database: (psycopg.OperationalError) refused",
        "Database connection failed: (psycopg.errors.AdminShutdown) terminating\n[SQL: SELECT 1]",
        "Exception listing queues: (psycopg.OperationalError) x (https://sqlalche.me/e/21/e3q8)",
    )
    for _ in range(seconds * 20):
        clock[0] += 0.05
        for text in texts:
            record = logging.LogRecord("dbos", logging.WARNING, "", 0, text, (), None)
            if log.filter(record):
                shown.append(record.getMessage())
        record = logging.LogRecord("kb", logging.WARNING, "", 0, "away %s", ("now",), None)
        record.cause = "database.unreachable"
        if log.filter(record):
            shown.append(record.getMessage())
    return shown


@pytest.mark.parametrize(("seconds", "lines"), [(45, 1), (130, 3)])
def test_an_outage_is_a_few_lines(
    caplog: pytest.LogCaptureFixture, seconds: int, lines: int
) -> None:
    clock = [0.0]
    log = CauseLog(lambda: clock[0])
    shown = outage(log, clock, seconds)
    assert len(shown) == lines
    assert all("SQL" not in line for line in shown)
    log.answered()  # an answer in between ends nothing
    assert caplog.records == []
    clock[0] += 10
    log.answered()
    (record,) = caplog.records
    assert str(seconds * 100 - lines) in record.getMessage()
    log.answered()
    assert len(caplog.records) == 1


def test_a_traceback_in_a_message_becomes_its_last_error() -> None:
    """DBOS writes one into the message where it looks for schedules."""
    try:
        try:
            raise psycopg.OperationalError("server closed the connection")
        except psycopg.OperationalError as error:
            raise sa.exc.OperationalError("SELECT 1", {}, error) from error
    except sa.exc.OperationalError:
        text = f"Exception polling schedules: {traceback.format_exc()}"
    record = logging.LogRecord("dbos", logging.WARNING, "", 0, text, (), None)
    assert CauseLog().filter(record)
    assert record.getMessage() == (
        "Exception polling schedules: sqlalchemy.exc.OperationalError: (psycopg.OperationalError) "
        "server closed the connection"
    )


def test_other_messages_are_always_logged() -> None:
    log = CauseLog()
    for text in ("item 1 failed", "item 1 failed", "worker two is gone"):
        assert log.filter(logging.LogRecord("kb", logging.ERROR, "", 0, text, (), None))
    error = psycopg.OperationalError("x")
    info = (type(error), error, None)
    assert log.filter(logging.LogRecord("kb", logging.ERROR, "", 0, "item 1", (), info))
    assert not log.filter(logging.LogRecord("kb", logging.ERROR, "", 0, "item 2", (), info))


def test_items_that_were_taken_over_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """DBOS warns of each, and writes a traceback when it learns that another attempt has ended."""
    clock = [0.0]
    log = CauseLog(lambda: clock[0])
    shown: list[logging.LogRecord] = []

    def say(text: str, error: Exception | None = None, name: str = "dbos") -> None:
        clock[0] += 0.5
        info = (type(error), error, None) if error else None
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, (), info)
        if log.filter(record):
            shown.append(record)

    for number in range(40):
        workflow = f"ingest:file:{number:012x}:1"
        say(f"Workflow {workflow} is no longer owned by this execution. Waiting for the owner's "
            "recorded outcome")  # fmt: skip
        say(f"Workflow {workflow} was cancelled during execution. Waiting for the recorded outcome")
        error = dbos_error.DBOSAwaitedWorkflowCancelledError(workflow)
        say("Exception encountered in background workflow:", error)
    assert [(record.exc_info, record.exc_text) for record in shown] == [(None, None)]
    assert "ingest:file:000000000000:1" in shown[0].getMessage()
    clock[0] += 60
    say("Exception encountered in background workflow:", error)
    assert workflow in shown[1].getMessage()
    assert "119" in shown[1].getMessage()
    log.answered()  # it is not about the database
    assert caplog.records == []
    # Everything else that breaks a workflow is written whole.
    for text, other, name in (
        ("Exception encountered in background workflow:", ValueError("x"), "dbos"),
        ("ours", dbos_error.DBOSAwaitedWorkflowCancelledError("w"), "kb"),
    ):
        say(text, other, name)
        assert shown[-1].exc_info is not None and shown[-1].getMessage() == text
    source = inspect.getsource(dbos_core)
    assert all(words in source for words in NOT_OURS)


@pytest.mark.parametrize(
    ("host", "boot", "clock_s", "taken"),
    [
        ("other", "", 0.0, False),
        ("other", "", 3600.0, False),  # by its own clock the owner began an hour ago
        ("other", "", -3600.0, False),
        ("here", "another machine of this name", 0.0, False),
        ("here", "boot of here", 0.0, False),  # this process itself still works on it
    ],
)
def test_a_publication_of_another_machine_is_left_to_it(
    database: Database, machine: Elsewhere, host: str, boot: str, clock_s: float, taken: bool
) -> None:
    machine.go("here")
    assert PublishStateStore(database, "odin", "p")._claim("file:1")
    machine.go(host, boot, clock_s)
    other = PublishStateStore(database, "odin", "p")
    assert other._claim("file:1") is taken
    with database.begin() as connection:
        connection.execute(sa.update(publications).values(owned_at=database.time() - 901))
    assert other._claim("file:1") is (host != "here" or boot != "boot of here")
