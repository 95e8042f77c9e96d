"""Cancelled publications are not uploaded: tests of the table, of a step and of a real worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.errors import KBError
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.jobs.queue import outbox_states
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_states import CANCELLED, DONE
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps
from kb.library import Library
from kb.options import RunOptions
from kb.pipeline import publish_record
from tests.fakes.odin import FakeOdin
from tests.support.outbox import IDS, LATER_S, claim, serial_of, status
from tests.support.publish_lane import add_items, at_odin, environment
from tests.support.workers import Lab


@pytest.fixture
def client(jobs: JobQueue) -> Iterator[DbosClient]:
    """Yield the DBOS client of a worker."""
    made = DbosClient(jobs.database)
    yield made
    made.close()


def test_waiting_publications_are_cancelled_and_can_be_queued_again(
    jobs: JobQueue, client: DbosClient
) -> None:
    queued, waiting, indexed, held, other = IDS[:5]
    for item_id in (queued, waiting, indexed, other):
        jobs.send(item_id, ["odin"])
    for item_id in (waiting, indexed):
        due = time.time() + LATER_S
        state = outbox_states.WAITING if item_id == waiting else outbox_states.SYNCING
        jobs.outbox.finish(claim(jobs, item_id), state, error="no network", due_at=due)
    jobs.outbox.hold("odin", held, KBError("doubtful"))
    serial = serial_of(jobs, queued)

    dropped = jobs.cancel_publications([queued, waiting, indexed, held])
    assert dropped == [("odin", queued), ("odin", waiting)]
    assert [status(jobs, i) for i in (queued, waiting)] == [outbox_states.CANCELLED] * 2
    # Indexed documents are still polled, held items wait for a person, other items continue.
    assert status(jobs, indexed) == outbox_states.SYNCING
    assert status(jobs, held) == outbox_states.HELD
    assert status(jobs, other) == outbox_states.QUEUED
    # Neither its workflow nor the due check, a resume or the search for lost rows sends it.
    assert jobs.outbox.claim("odin", queued, serial) is None
    jobs.resume()
    taken = jobs.outbox.claim_due(time.time() + 2 * LATER_S, client.publish)
    assert taken == [("odin", indexed)]
    assert jobs.retry_failed() == []
    assert client.abandoned_deliveries() == []
    # A second cancel has no effect; a retry or a publication by id sends it.
    assert jobs.cancel_publications([queued, waiting]) == []
    assert jobs.retry([waiting]) == [waiting]
    jobs.send(queued, ["odin"])
    assert claim(jobs, waiting) and claim(jobs, queued)


def test_a_publication_that_is_being_sent_ends_and_is_not_retried(jobs: JobQueue) -> None:
    arrives, breaks, killed = IDS[:3]
    for item_id in (arrives, breaks, killed):
        jobs.send(item_id, ["odin"])
    sent = {item_id: claim(jobs, item_id) for item_id in (arrives, breaks, killed)}
    assert len(jobs.cancel_publications(list(sent))) == 3
    # The upload succeeded: the table has its real state.
    assert jobs.outbox.finish(sent[arrives], outbox_states.SYNCING, due_at=time.time())
    assert status(jobs, arrives) == outbox_states.SYNCING
    # The upload failed: it is not retried, for any error.
    due = time.time() + 1
    assert not jobs.outbox.finish(sent[breaks], outbox_states.WAITING, error="cut", due_at=due)
    assert not jobs.outbox.finish(sent[breaks], outbox_states.FAILED, error="422")
    # Its worker was killed, and another worker takes over the workflow.
    assert jobs.outbox.claim("odin", killed, sent[killed].serial) is None
    assert [status(jobs, i) for i in (breaks, killed)] == [outbox_states.CANCELLED] * 2
    assert jobs.retry([breaks]) == [breaks]


def test_a_new_database_keeps_a_publication_cancelled(tmp_path: Path) -> None:
    """A cancel is also written to the folder, from which a new database is filled."""
    with Lab(tmp_path / "lab") as lab:
        (item_id,) = add_items(lab, 1)
        lab.library.amend(item_id, {"published": {"odin": {"status": "waiting", "error": "cut"}}})
        lab.jobs.adopt_folder()
        assert lab.jobs.cancel([item_id]) == [item_id]
        lab.service.close()
        for path in lab.home.glob("kb.sqlite*"):
            path.unlink()
        again = JobQueue(lab.settings, Library(lab.home))
        assert again.outbox.counts() == {"odin": {"cancelled": 1}}
        assert not again.outbox.has_work(time.time() + LATER_S)
        again.close()


class CancelledAtTheEnd(ItemSteps):
    """The steps of an item that is cancelled during its publish stage."""

    jobs: JobQueue

    def _advance(self, stage: str, progress: float) -> None:
        super()._advance(stage, progress)
        if stage == "publish":
            assert self.jobs.cancel([self._id]) == [self._id]


@pytest.mark.parametrize("work", [ItemSteps, CancelledAtTheEnd])
def test_an_item_cancelled_while_it_is_published_locally_is_not_sent(
    tmp_path: Path, work: type[ItemSteps]
) -> None:
    with Lab(tmp_path / "lab", KB_SINKS="folder") as lab:
        (item_id,) = add_items(lab, 1)
        entry = lab.library.find(item_id)
        assert entry is not None
        jobs, settings = lab.jobs, lab.settings
        asked = RunOptions(again=True, sinks=("folder",))
        assert jobs.submit([entry.item], asked)[0] == [item_id]
        (row,) = jobs.rows([item_id])
        client = DbosClient(jobs.database)
        presence = Heartbeat(settings, jobs.database)
        presence.acquire()
        place = WorkerContext(
            settings=settings, library=lab.library, items=jobs.items, client=client,
            inference_process=InferenceProcess(settings, 1),
            inference_session=InferenceSession(settings), heartbeat=presence,
            preparations=threading.Semaphore(1),
        )  # fmt: skip
        CancelledAtTheEnd.jobs = jobs
        work(place, item_id, row.serial).publish()
        found = jobs.outbox.for_items([item_id])
        if work is ItemSteps:
            assert [(r.sink, r.status) for r in found[item_id]] == [
                ("folder", outbox_states.QUEUED)
            ]
            assert lab.states()[item_id].state == DONE
        else:
            assert found == {}
            assert lab.states()[item_id].state == CANCELLED
        presence.release()
        place.inference_process.close()
        client.close()


@pytest.mark.slow
def test_nothing_is_uploaded_once_it_is_cancelled(tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin, Lab(tmp_path / "lab", **environment(odin)) as lab:
        waits, goes = add_items(lab, 2)
        lanes = LaneStore(lab.jobs.database)
        lanes.pause("publish:odin", time.time() + LATER_S, "closed for a test")
        lab.start()
        lab.jobs.send(waits, ["odin"])
        lab.wait(lambda: at_odin(lab, waits).get("status") == "waiting", "a publication that waits")
        said = lab.kb("cancel", waits).stderr
        assert f"Not to be published any more: {waits} → odin" in " ".join(said.split())
        assert at_odin(lab, waits)["status"] == "cancelled"
        # Neither a resumed lane nor a corrected line sends it.
        lab.jobs.resume()
        assert lab.service.revisions.edit(waits, 0, "other words")
        lab.jobs.send(goes, ["odin"])
        lab.wait(lambda: at_odin(lab, goes).get("status") == "synced", "the other one's document")
        assert at_odin(lab, waits)["status"] == "cancelled"
        assert len(odin.indexed()) == 1 == odin.count("POST", "/add/file")
        # A retry sends it, with the present words.
        assert f"{waits} → odin" in lab.kb("retry", waits).stderr
        lab.wait(lambda: at_odin(lab, waits)["status"] == "synced", "the document after all")
        assert any(b"other words" in content for content in odin.indexed().values())


@pytest.mark.slow
def test_an_upload_in_progress_is_finished(tmp_path: Path) -> None:
    """After a cancel during the upload, the document is complete and its state is recorded."""
    with FakeOdin(tmp_path / "odin") as odin, Lab(tmp_path / "lab", **environment(odin)) as lab:
        (item_id,) = add_items(lab, 1)
        cancelled: list[list[str]] = []
        odin.on_upload = lambda _name: cancelled.append(lab.jobs.cancel([item_id]))
        lab.start()
        lab.jobs.send(item_id, ["odin"])
        lab.wait(lambda: at_odin(lab, item_id).get("status") == "synced", "the document")
        assert cancelled == [[item_id]]
        assert len(odin.documents()) == 1


def test_a_document_that_is_indexed_keeps_its_state(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab") as lab:
        (item_id,) = add_items(lab, 1)
        for known in ("synced", "failed"):
            lab.library.amend(item_id, {"published": {"odin": {"status": known}}})
            publish_record.record_cancelled(lab.library, item_id, "odin")
            entry = lab.library.find(item_id)
            assert entry is not None and entry.published["odin"]["status"] == known
        publish_record.record_cancelled(lab.library, item_id, "folder")
        assert entry is not None and "folder" not in entry.published
