"""Steps after the words: their rows, their fence, and what a worker makes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpu.devices import Device, Kind
from gpu.status import Snapshot
from kb.enrich.speakers import weights
from kb.errors import KBError, Superseded
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.item_states import DONE as ITEM_DONE
from kb.jobs.queue.lanes import LanePause
from kb.jobs.queue.step_states import (
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    SKIPPED,
    WAITING,
    StepRow,
)
from kb.jobs.queue.steps import StepStore
from kb.jobs.queue.workflow_ids import FOREVER
from kb.jobs.worker import enrich_steps
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.enrich_steps import EnrichSteps
from kb.library.extras import Extras
from kb.options import RunOptions
from kb.pipeline import enrichment, stages
from kb.settings import Settings, get_settings
from kb.sinks import open_search
from kb.storage import write_bytes
from kb.types import LocalMedia
from tests.jobs.test_published_content import transcript
from tests.support.claims import claimed_at_once
from tests.support.items import item
from tests.support.raising import raises
from tests.support.slides import Showing, require_reader, text_picture, write_video
from tests.support.workers import write_talks

STEP = "speakers"
ITEM = item(1)
LATER_S = 3600.0


def row_of(store: StepStore, item_id: str = ITEM.id) -> StepRow:
    (row,) = store.for_items([item_id])[item_id]
    return row


def claim(store: StepStore, item_id: str = ITEM.id) -> StepRow:
    """Claim a row as its workflow does in a worker."""
    found = store.claim(STEP, item_id, row_of(store, item_id).serial)
    assert found is not None
    return found


def finished(context: WorkerContext, medium: bytes | None = b"sound") -> None:
    """Let the library have a finished item."""
    context.items.submit([ITEM], RunOptions().as_dict(), lambda *_: None)
    row = context.items.claim(ITEM.id, 1, context.executor)
    assert row is not None
    if medium is not None:
        path = context.settings.home.parent / "in.wav"
        path.write_bytes(medium)
        context.library.add_media(ITEM, path, sha256="")
    words = transcript("the ferry leaves at noon")
    words = replace(words, media=replace(words.media, sha256=""))
    stages.write(context.library, ITEM, words, 0.0)
    assert context.items.finish(ITEM.id, 1, context.executor, ITEM_DONE)


def request(context: WorkerContext, **options: object) -> None:
    context.steps.request([(STEP, ITEM.id)], context.client.step, options)


def carry_out(context: WorkerContext) -> str:
    return EnrichSteps(context, STEP, ITEM.id, row_of(context.steps).serial).run()


def state_of_item(context: WorkerContext) -> str:
    row = context.items.read(ITEM.id)
    assert row is not None
    return row.state


# Rows


def test_a_waiting_step_is_claimed_when_due_and_once(tmp_path: Path, jobs: JobQueue) -> None:
    """Four workers claim at the same moment; each has a separate database connection."""
    jobs.request_steps([(STEP, ITEM.id)])
    assert jobs.steps.finish(claim(jobs.steps), WAITING, due_at=time.time() - 1)
    taken = claimed_at_once(
        tmp_path / "home",
        lambda database, client: StepStore(database).claim_due(time.time(), client.step),
    )
    assert taken == [(STEP, ITEM.id)]
    assert row_of(jobs.steps).status == QUEUED


def test_an_old_workflow_does_nothing(jobs: JobQueue) -> None:
    jobs.request_steps([(STEP, ITEM.id)])
    old = claim(jobs.steps)
    assert jobs.steps.claim(STEP, ITEM.id, old.serial) is not None  # a take-over after a kill
    jobs.request_steps([(STEP, ITEM.id)])
    assert row_of(jobs.steps).serial > old.serial
    assert jobs.steps.claim(STEP, ITEM.id, old.serial) is None
    assert not jobs.steps.is_wanted(old)
    assert not jobs.steps.finish(old, DONE)
    assert row_of(jobs.steps).status == QUEUED


def test_the_acts_of_a_person(jobs: JobQueue) -> None:
    jobs.request_steps([(STEP, ITEM.id)])
    assert jobs.active_ids() == [ITEM.id]
    running = claim(jobs.steps)
    assert jobs.cancel([ITEM.id]) == [ITEM.id]
    assert row_of(jobs.steps).status == CANCELLED and not jobs.steps.is_wanted(running)
    assert jobs.active_ids() == []
    assert jobs.retry([ITEM.id]) == [ITEM.id]
    jobs.steps.finish(claim(jobs.steps), FAILED, error="no")
    assert jobs.retry_failed() == [ITEM.id]
    jobs.steps.finish(claim(jobs.steps), WAITING, due_at=time.time() + LATER_S)
    assert not jobs.steps.has_work(time.time())
    jobs.resume()
    assert jobs.steps.has_work(time.time())
    jobs.steps.skip(STEP, ITEM.id, error="no part", hint="kb models add", problem=None)
    assert jobs.steps.counts() == {STEP: {SKIPPED: 1}}
    assert not jobs.steps.has_work(time.time() + LATER_S)
    assert jobs.retry([ITEM.id]) == [ITEM.id]  # its part may be there now


def test_a_lost_workflow_is_queued_again(jobs: JobQueue) -> None:
    jobs.request_steps([(STEP, ITEM.id)])
    client = DbosClient(jobs.database)
    assert client.abandoned_steps() == []
    lost = row_of(jobs.steps)
    client.cancel([workflow_ids.step_id(STEP, ITEM.id, lost.serial)])
    (found,) = client.abandoned_steps()
    assert found == (STEP, ITEM.id, lost.serial)
    assert jobs.steps.requeue_lost([found], client.step) == [(STEP, ITEM.id)]
    assert client.abandoned_steps() == []
    client.close()


def test_a_killed_workers_step_goes_back_to_its_own_queue() -> None:
    found = workflow_ids.queue_of(workflow_ids.step_id(STEP, "file:1", 7))
    assert found == workflow_ids.STEP_QUEUE and found in workflow_ids.QUEUES


# The fence


LATE: dict[str, Callable[[WorkerContext], object]] = {
    "requested again": request,
    "cancelled": lambda context: context.steps.cancel([ITEM.id]),
    "taken by a later workflow": lambda context: context.steps.retry(
        context.client.step, (RUNNING,)
    ),
    "removed": lambda context: context.removal.remove(ITEM.id, title=""),
}


@pytest.mark.parametrize("change", LATE)
def test_a_late_result_is_not_written(change: str, context: WorkerContext) -> None:
    finished(context)
    request(context)
    row = claim(context.steps)
    entry = context.library.find(ITEM.id)
    assert entry is not None
    guard = Fences(context.items.database).step(row).guard
    extras = Extras(context.library)
    extras.write(entry, STEP, {"turns": []}, guard)  # it owns the step
    written = extras.path(entry.stem, STEP).read_bytes()
    LATE[change](context)
    with raises(Superseded, "step.superseded"):
        extras.write(entry, STEP, {"turns": [1]}, guard)
    if change == "removed":
        assert not extras.path(entry.stem, STEP).exists()
    else:
        assert extras.path(entry.stem, STEP).read_bytes() == written


def test_a_new_transcription_does_not_end_a_step(context: WorkerContext) -> None:
    """Its result is of the sound; what is made of words has its own basis."""
    finished(context)
    request(context)
    row = claim(context.steps)
    context.items.submit([ITEM], RunOptions(again=True).as_dict(), lambda *_: None, again=True)
    with Fences(context.items.database).step(row).guard():
        pass


# Carried out


def test_what_a_machine_lacks_is_named_and_the_item_stays_done(context: WorkerContext) -> None:
    finished(context)
    request(context)
    assert carry_out(context) == SKIPPED
    row = row_of(context.steps)
    assert row.problem is not None and row.problem["code"] == "speakers.no_weights"
    assert "kb models add speakers" in row.hint
    assert state_of_item(context) == ITEM_DONE


@contextmanager
def words_before_it(context: WorkerContext, kind: Kind = "CPU") -> Iterator[None]:
    """Let the recognizer compute on a device of this kind, with a medium before it."""
    context.inference_process.snapshot = Snapshot(Device("a device", kind, "a device"))
    medium = context.settings.home.parent / "other.wav"
    medium.write_bytes(b"sound")
    with context.prepared(LocalMedia(item(2), medium, "", 1.0)):
        yield


@pytest.mark.parametrize(
    ("step", "kind", "longest_s"),
    [
        pytest.param("speakers", "CUDA", 900.0, id="a GPU recognizes the words"),
        pytest.param("speakers", "CPU", 0.0, id="it was queued for as long as it may wait"),
        pytest.param("summary", "CPU", 900.0, id="a language model does its work"),
    ],
)
def test_a_step_begins_beside_words(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, step: str, kind: Kind, longest_s: float
) -> None:
    monkeypatch.setattr(enrich_steps, "WORDS_FIRST_S", longest_s)
    finished(context)
    context.steps.request([(step, ITEM.id)], context.client.step, {})
    with words_before_it(context, kind):
        serial = row_of(context.steps).serial
        assert EnrichSteps(context, step, ITEM.id, serial).run() in (SKIPPED, FAILED)


@pytest.mark.parametrize("act", ["the words are read", "it is cancelled", "the queue is paused"])
def test_a_step_lets_the_words_of_all_items_go_first(context: WorkerContext, act: str) -> None:
    """Until the recognizer has no medium before it, its row stays queued."""
    finished(context)
    request(context)
    looks = context.steps.queued_at
    looked = threading.Event()

    def noted(*key: Any) -> float | None:
        found = looks(*key)
        looked.set()
        return found

    context.steps.queued_at = noted  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        with words_before_it(context):
            ended = pool.submit(carry_out, context)
            assert looked.wait(60.0)
            assert row_of(context.steps).status == QUEUED
            if act == "it is cancelled":
                context.steps.cancel([ITEM.id])
                assert ended.result(60.0) == "not asked for any more"
            if act == "the queue is paused":
                context.take_pause(LanePause(FOREVER, "by hand"))
        if act == "the queue is paused":
            assert row_of(context.steps).status == QUEUED
            context.take_pause(None)
        expected = CANCELLED if act == "it is cancelled" else SKIPPED  # (its parts are not here)
        assert ended.result(60.0) in (expected, "not asked for any more")
    assert row_of(context.steps).status == expected


@pytest.mark.slow
def test_a_step_that_fails_leaves_its_item_done(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model's file has the right size and another content: a process says so."""
    wrong = tmp_path / "models" / f"{weights.PACKAGE}-{weights.VERSION}.pt"
    write_bytes(wrong, b"no model")
    with wrong.open("r+b") as file:
        file.truncate(weights.SIZE)
    monkeypatch.setenv("KB_STEP_MODELS", str(wrong.parent))
    get_settings.cache_clear()
    (talk,) = write_talks(tmp_path, 1, words=6)
    finished(context, talk.read_bytes())
    request(context)
    assert carry_out(context) == FAILED
    row = row_of(context.steps)
    assert row.problem is not None and row.problem["code"] == "speakers.bad_weights"
    assert state_of_item(context) == ITEM_DONE
    assert not list(context.settings.home.glob("extras/*/*"))


@pytest.mark.slow
def test_text_on_the_screen_is_in_the_index_when_its_step_is_done(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the attempt that wrote the result ended before it was put into the index."""
    monkeypatch.delenv("KB_STEP_MODELS")
    get_settings.cache_clear()
    require_reader()
    slide = text_picture(["Timetable of ferries"])
    video = write_video(tmp_path / "in.mp4", [Showing(slide, 2)], rate=2)
    finished(context, video.read_bytes())
    sink = open_search("local", context.settings)

    def carried_out() -> list[tuple[str, str]]:
        context.steps.request([("screen", ITEM.id)], context.client.step, {})
        row = context.steps.for_items([ITEM.id])[ITEM.id][0]
        assert EnrichSteps(context, "screen", ITEM.id, row.serial).run() == DONE
        return [(hit.item_id, hit.origin) for hit in sink.search("timetable")]

    assert carried_out() == [(ITEM.id, "screen")]
    sink.delete(ITEM.id)
    assert carried_out() == [(ITEM.id, "screen")]
    assert [hit.origin for hit in sink.search("noon")] == [""]  # its words


def test_a_removed_item_and_one_without_medium(
    context: WorkerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "find", lambda: tmp_path)
    finished(context, medium=None)
    request(context)
    assert carry_out(context) == SKIPPED
    problem = row_of(context.steps).problem
    assert problem is not None and problem["code"] == "step.no_medium"
    request(context)
    serial = row_of(context.steps).serial
    context.removal.remove(ITEM.id, title="")
    assert EnrichSteps(context, STEP, ITEM.id, serial).run() == "not asked for any more"


# Which steps follow


STEPS_WANTED = [
    # the run's option, the setting, what is here, the steps
    (None, "auto", True, (STEP,)),
    (None, "auto", False, ()),
    (None, "none", True, ()),
    (None, STEP, False, (STEP,)),  # named: its item shows what is missing
    (("none",), STEP, True, ()),
    (("auto",), "none", True, (STEP,)),
    ((STEP, STEP), "none", True, (STEP,)),
    ((), "auto", True, ()),
]


@pytest.mark.parametrize(("option", "setting", "here", "expected"), STEPS_WANTED)
def test_setting_and_run_decide_which_steps_follow(
    option: tuple[str, ...] | None,
    setting: str,
    here: bool,
    expected: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "find", lambda: tmp_path if here else None)
    found = enrichment.wanted_steps(RunOptions(steps=option), Settings(steps=setting))
    assert found == expected


def test_an_unknown_step_is_refused_before_anything_is_queued() -> None:
    with raises(KBError, "steps.unknown", name="speekers"):
        enrichment.wanted_steps(RunOptions(steps=("speekers",)), Settings())


@pytest.mark.parametrize("count", [0, -1, 101])
def test_a_number_of_speakers_that_cannot_be_is_refused(count: int) -> None:
    with raises(KBError, "enrich.speakers", number=count):
        enrichment.wanted_steps(RunOptions(speaker_count=count), Settings())


def test_an_item_queues_its_steps_when_its_words_are_written(context: WorkerContext) -> None:
    finished(context)
    row = context.items.read(ITEM.id)
    assert row is not None
    for names, count in ((["none"], 0), (["of a later version"], 0), ([STEP], 1)):
        with context.items.database.begin() as connection:
            changed = replace(row, options={**row.options, "steps": names})
            enrich_steps.submit(context, connection, changed, enrich_steps.wanted(context, changed))
        assert len(context.steps.for_items([ITEM.id]).get(ITEM.id, ())) == count
    # The number of speakers that a run or a followed source knows goes with them.
    changed = replace(row, options={**row.options, "speaker_count": 3})
    with context.items.database.begin() as connection:
        enrich_steps.submit(context, connection, changed, [STEP])
    assert context.steps.for_items([ITEM.id])[ITEM.id][0].options == {"speakers": 3}
