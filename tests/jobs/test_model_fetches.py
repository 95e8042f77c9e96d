"""Items that wait for their model in the table: without a slot, until the fetch ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kb.errors import KBError, ModelUnavailable, RetryLater
from kb.hub import cache, fetch_state
from kb.jobs.queue.item_states import shown_until
from kb.jobs.worker import model_fetches
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.jobs.worker.model_fetches import ModelFetches
from kb.options import RunOptions
from kb.service import Service
from tests.fakes.hub import FakeHub, Fault
from tests.jobs.test_brought_transcripts import service as service  # a fixture
from tests.jobs.test_brought_transcripts import write
from tests.jobs.test_published_content import context as context  # a fixture
from tests.support.hub_cache import QUICK, WEIGHTS, hub_at, small_files
from tests.support.raising import raises
from tests.support.waiting import until

pytestmark = pytest.mark.slow

STALLED, SOUND, GONE = "some/stalled", "some/sound", "some/gone"
BEING_FETCHED, PAUSED = "model.being_fetched", "model.fetch_paused"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(model_fetches, "FIRST_LOOK_S", 0.2)
    monkeypatch.setattr(model_fetches, "WANTED_EVERY_S", 0.05)
    repositories = {STALLED: small_files(), SOUND: small_files(1)}
    with hub_at(monkeypatch, tmp_path / "cache", FakeHub(repositories)) as made:
        made.always[WEIGHTS] = Fault(stall=100)  # of the stalled model alone
        yield made


@dataclass
class Queue:
    """The calls of the fetches to their worker."""

    wanted: bool = True
    woken: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.fetches = ModelFetches(
            lambda ids: self.wanted, self.wake, self.stopping, QUICK_BUT_PATIENT
        )

    def wake(self, ids: Collection[str]) -> Collection[str]:
        self.woken += ids
        return ids

    def outcome(self, item_id: str, model: str) -> str:
        """Return `ready`, or the code of the error."""
        try:
            self.fetches.require(item_id, "whisper", model)
        except KBError as error:
            self.error = error
            return error.code
        return "ready"


QUICK_BUT_PATIENT = QUICK.__class__(
    deadlines=QUICK.deadlines, patience_s=60.0, first_pause_s=0.01, longest_pause_s=0.02,
    respect_pause=True,
)  # fmt: skip


@pytest.fixture
def queue(hub: FakeHub) -> Iterator[Queue]:
    made = Queue()
    yield made
    made.stopping.set()


def test_a_stalled_fetch_keeps_no_item_and_no_other_model(hub: FakeHub, queue: Queue) -> None:
    assert [queue.outcome(name, STALLED) for name in "abc"] == [BEING_FETCHED] * 3
    assert isinstance(queue.error, RetryLater) and queue.error.until
    assert shown_until(queue.error.until, queue.error.problem) is None  # no time to show
    until(lambda: queue.outcome("d", SOUND) == "ready")
    assert queue.outcome("a", STALLED) == BEING_FETCHED  # looks again, and starts no second fetch
    assert [t.name for t in threading.enumerate()].count(f"model {STALLED}") == 1
    hub.heal()
    until(lambda: {"a", "b", "c"} <= set(queue.woken))
    assert [queue.outcome(name, STALLED) for name in "abce"] == ["ready"] * 4


def test_each_item_that_waited_gets_the_error_once(hub: FakeHub, queue: Queue) -> None:
    hub.faults["/api"] = [Fault(status=503)] * 40
    assert queue.outcome("a", GONE) == BEING_FETCHED
    assert queue.outcome("b", GONE) == BEING_FETCHED
    until(lambda: sorted(set(queue.woken)) == ["a", "b"])
    asked = len(hub.requests)
    assert [queue.outcome(name, GONE) for name in "ab"] == ["model.not_on_hub"] * 2
    assert len(hub.requests) == asked
    hub.repositories[GONE] = small_files(1)  # it has appeared: the next request is a new one
    until(lambda: queue.outcome("a", GONE) == "ready")


def test_passing_trouble_is_the_items_with_the_next_try(hub: FakeHub) -> None:
    queue = Queue()
    queue.fetches = ModelFetches(lambda ids: True, queue.wake, queue.stopping, QUICK)
    hub.faults["/api"] = [Fault(status=429, retry_after="300")]
    until(lambda: queue.outcome("a", SOUND) != BEING_FETCHED)
    assert isinstance(queue.error, ModelUnavailable) and queue.error.retryable
    assert queue.error.until is not None and 250 < queue.error.until - time.time() < 320
    assert shown_until(queue.error.until, queue.error.problem) == queue.error.until


@pytest.mark.parametrize("way", ["no item wants it", "the worker stops", "paused", "cancelled"])
def test_a_fetch_ends_early(queue: Queue, way: str) -> None:
    assert queue.outcome("a", STALLED) == BEING_FETCHED
    place = cache.repository_folder(STALLED)
    until(lambda: fetch_state.read_state(place) is not None)
    if way == "no item wants it":
        queue.wanted = False
    elif way == "the worker stops":
        queue.stopping.set()
    else:
        fetch_state.request(place, "pause" if way == "paused" else "cancel")
    until(lambda: not any(t.name == f"model {STALLED}" for t in threading.enumerate()))
    state = fetch_state.read_state(place)
    wanted = {"paused": "paused", "cancelled": None}.get(way, "stopped")
    assert (state.state if state else None) == wanted
    if way == "paused":
        assert queue.woken == ["a"] and queue.outcome("a", STALLED) == PAUSED
        until(lambda: queue.outcome("b", STALLED) == PAUSED)  # nothing continues it by itself


@pytest.mark.parametrize("model", ["demo", SOUND])
def test_a_model_that_is_here_costs_no_request(hub: FakeHub, queue: Queue, model: str) -> None:
    until(lambda: queue.outcome("a", model) == "ready")
    hub.requests.clear()
    assert queue.outcome("b", model) == "ready" and hub.requests == []


def test_the_row_of_an_item_that_waits(
    hub: FakeHub, service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    """The step ends, the row waits in the stage `model`, and `kb cancel` ends item and fetch."""
    report = service.ingest.run(
        write(tmp_path / "in", "talk.wav"), RunOptions(model=STALLED, engine="whisper")
    )
    (item_id,) = report.enqueued
    (row,) = service.queue.rows([item_id])
    assert context.items.claim(item_id, row.serial, context.executor)
    steps = ItemSteps(context, item_id, row.serial)
    assert steps.fetch() == StepResult.CONTINUE
    assert steps.transcribe() == StepResult.ENDED
    status = service.items.status(item_id)
    assert (status.state, status.stage, status.wait_until) == ("waiting", "model", None)
    assert status.problem and status.problem["code"] == BEING_FETCHED
    assert service.items.statuses(ids=[item_id])[0].wait_until is None
    service.queue.cancel([item_id])
    until(lambda: not any(t.name == f"model {STALLED}" for t in threading.enumerate()))
    assert service.items.status(item_id).state == "cancelled"


def test_the_end_of_a_fetch_queues_its_items(
    hub: FakeHub, service: Service, context: WorkerContext, tmp_path: Path
) -> None:
    report = service.ingest.run(
        write(tmp_path / "in", "talk.wav"), RunOptions(model=GONE, engine="whisper")
    )
    (item_id,) = report.enqueued
    hub.always["/api"] = Fault(status=503)
    (row,) = service.queue.rows([item_id])
    assert context.items.claim(item_id, row.serial, context.executor)
    assert ItemSteps(context, item_id, row.serial).transcribe() == StepResult.ENDED
    assert service.items.status(item_id).state == "waiting"
    hub.heal()
    until(lambda: service.items.status(item_id).state == "queued")
    with raises(ModelUnavailable, "model.not_on_hub"):
        context.model_fetches.require(item_id, "whisper", GONE)


def test_an_item_that_got_its_error_is_not_woken(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is not yet written as waiting when the fetch ends, and it waits for another time."""
    monkeypatch.setattr(model_fetches, "FIRST_LOOK_S", 10.0)
    monkeypatch.setattr(model_fetches, "WAKE_PAUSES_S", (0.0, 0.1, 0.1))
    queue = Queue()
    calls: list[Collection[str]] = []
    monkeypatch.setattr(queue.fetches, "_wake", lambda ids: calls.append(list(ids)) or [])
    assert queue.outcome("a", "/no/such/model") == "model.unknown"
    late = len(calls)
    until(lambda: not any(t.name == "model /no/such/model" for t in threading.enumerate()))
    assert [each for call in calls[late + 1 :] for each in call] == []
    assert late <= 1
