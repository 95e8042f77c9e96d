"""Waiting publications belong to no worker: the outbox table on a real database."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import sqlalchemy as sa

from kb.errors import KBError
from kb.jobs.queue import outbox_states
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.outbox import Outbox
from kb.jobs.worker.publish_steps import next_poll_at
from kb.library import Library
from kb.pipeline import publish_record
from kb.settings import Settings
from kb.types import MediaItem, Published
from tests.support.claims import claimed_at_once
from tests.support.outbox import IDS, LATER_S, claim, serial_of, status


def workflows(jobs: JobQueue) -> int:
    """Return the number of workflows on the queues, started or not."""
    with jobs.database.begin() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM workflow_status")) or 0


def test_a_waiting_publication_is_claimed_when_due_and_once(tmp_path: Path, jobs: JobQueue) -> None:
    """Four workers claim at the same moment; each has a separate database connection."""
    for item_id in IDS:
        jobs.send(item_id, ["odin"])
        due = time.time() - 1 if item_id != IDS[0] else time.time() + LATER_S
        assert jobs.outbox.finish(claim(jobs, item_id), outbox_states.WAITING, due_at=due)
    before = workflows(jobs)
    taken = claimed_at_once(
        tmp_path / "home",
        lambda database, client: Outbox(database).claim_due(time.time(), client.publish),
    )
    assert sorted(taken) == [("odin", item_id) for item_id in IDS[1:]]
    assert workflows(jobs) == before + len(IDS) - 1
    assert status(jobs, IDS[0]) == outbox_states.WAITING


def test_a_paused_lane_keeps_its_publications(jobs: JobQueue) -> None:
    jobs.send(IDS[0], ["odin"])
    jobs.outbox.finish(claim(jobs, IDS[0]), outbox_states.WAITING, due_at=time.time() + LATER_S)
    queue = jobs.outbox
    now = time.time()
    assert not queue.has_work(now) and queue.has_work(now + 2 * LATER_S)
    assert not queue.has_work(now + 2 * LATER_S, ["odin"])
    client = DbosClient(jobs.database)
    assert queue.claim_due(now + 2 * LATER_S, client.publish, ["odin"]) == []
    # After a resume by hand, a publication that would wait for an hour is due at once.
    jobs.resume()
    assert queue.claim_due(time.time(), client.publish) == [("odin", IDS[0])]
    client.close()


def test_an_old_workflow_does_nothing(jobs: JobQueue) -> None:
    """The item was transcribed again during the upload of its old words."""
    jobs.send(IDS[0], ["odin"])
    old = claim(jobs, IDS[0])
    again = jobs.outbox.claim("odin", IDS[0], old.serial)  # a take-over after a kill
    assert again is not None and again.updated_at >= old.updated_at
    assert replace(again, updated_at=old.updated_at) == old
    jobs.send(IDS[0], ["odin"])
    new = serial_of(jobs, IDS[0])
    assert new > old.serial
    assert jobs.outbox.claim("odin", IDS[0], old.serial) is None
    assert not jobs.outbox.finish(old, outbox_states.SYNCED)
    assert status(jobs, IDS[0]) == outbox_states.QUEUED
    # A foreground run that ends now has no effect: it may have sent the old words.
    jobs.outbox.record("odin", IDS[0], outbox_states.SYNCED)
    jobs.outbox.record_error("odin", IDS[0], KBError("no network"))
    started = time.time()
    jobs.send(IDS[0], ["odin"])
    jobs.outbox.record("odin", IDS[0], outbox_states.SYNCED, started_at=started)
    assert status(jobs, IDS[0]) == outbox_states.QUEUED
    # A foreground run that started later has sent the new words: no worker sends them again.
    waiting = serial_of(jobs, IDS[0])
    jobs.outbox.record("odin", IDS[0], outbox_states.SYNCED, started_at=time.time())
    assert status(jobs, IDS[0]) == outbox_states.SYNCED
    assert jobs.outbox.claim("odin", IDS[0], waiting) is None
    jobs.send(IDS[0], ["odin"])
    new = serial_of(jobs, IDS[0])
    assert jobs.outbox.finish(claim(jobs, IDS[0]), outbox_states.SYNCED)
    assert jobs.outbox.claim("odin", IDS[0], new) is None


def test_own_metadata_is_kept_until_it_is_published(jobs: JobQueue) -> None:
    client = DbosClient(jobs.database)
    queue = jobs.outbox
    queue.hold("odin", IDS[0], KBError("doubtful"), {"team": "red"})
    assert status(jobs, IDS[0]) == outbox_states.HELD
    jobs.send(IDS[0], ["odin"])  # released
    first = claim(jobs, IDS[0])
    assert first.extra == {"team": "red"}
    queue.finish(first, outbox_states.FAILED, error="422", hint="look")
    assert jobs.retry([IDS[0]]) == [IDS[0]]
    again = claim(jobs, IDS[0])
    assert again.extra == {"team": "red"} and again.attempts == 0
    queue.finish(again, outbox_states.SYNCED)
    with jobs.database.begin() as connection:
        queue.submit(connection, "odin", IDS[0], client.publish)
    assert claim(jobs, IDS[0]).extra is None  # the knowledge base now has the metadata
    client.close()


def test_a_publication_without_a_workflow_is_queued_again(jobs: JobQueue) -> None:
    client = DbosClient(jobs.database)
    for item_id in IDS[:3]:
        jobs.send(item_id, ["odin"])
    assert client.abandoned_deliveries() == []
    client.cancel([f"publish:odin:{IDS[0]}:{serial_of(jobs, IDS[0])}"])
    with jobs.database.begin() as connection:
        connection.execute(
            sa.text("DELETE FROM workflow_status WHERE workflow_uuid LIKE :name"),
            {"name": f"publish:odin:{IDS[1]}:%"},
        )
    lost = client.abandoned_deliveries()
    assert sorted(key[1] for key in lost) == IDS[:2]
    assert sorted(jobs.outbox.requeue_lost(lost, client.publish)) == [("odin", i) for i in IDS[:2]]
    assert client.abandoned_deliveries() == []
    assert jobs.outbox.requeue_lost(lost, client.publish) == []
    client.close()


def test_a_new_database_takes_publications_from_the_folder(tmp_path: Path) -> None:
    settings = Settings(KB_HOME=str(tmp_path / "home"))
    library = Library(settings.home)
    for number, state in enumerate(("synced", "failed", "waiting")):
        item = MediaItem(IDS[number], "youtube", "", f"Talk {number}", "2026-01-02")
        library.write_metadata(item, {"state": "done"})
        publish_record.record_published(library, item, Published("local", "x", "00", "synced"))
        record = {"status": state, "error": "refused" if state != "synced" else None}
        library.amend(item.id, {"published": {"odin": record}})
    jobs = JobQueue(settings, library)
    assert jobs.outbox.counts() == {
        "local": {"synced": 3},
        "odin": {"failed": 1, "synced": 1, "waiting": 1},
    }
    assert jobs.outbox.has_work(time.time())  # waiting publications are due now
    assert jobs.adopt_folder() == 0 and jobs.outbox.adopt(library.entries()) == 0
    # Only the item's workflow updates the local index, never the outbox.
    library.amend(IDS[0], {"published": {"local": {"status": "failed"}}})
    jobs.outbox.record_error("local", IDS[0], KBError("broken"))
    assert jobs.retry_publications() == [("odin", IDS[1])]
    jobs.close()


def test_a_busy_knowledge_base_is_polled_less_and_less() -> None:
    started = 1000.0
    looks = [started]
    while looks[-1] < started + 6 * 3600:
        looks.append(next_poll_at(started, looks[-1]))
    pauses = [after - before for before, after in pairwise(looks)]
    assert pauses[0] == 10 and pauses == sorted(pauses) and max(pauses) == 600
    assert len(looks) < 60
