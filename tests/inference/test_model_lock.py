"""Items of several models on one device: each has its turn, and waiting can be ended."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.errors import Cancelled, ModelUnavailable, RetryLater
from kb.inference import model_lock, process
from kb.inference.model_lock import ModelLock
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.options import RunOptions
from kb.settings import get_settings
from kb.types import Segment
from tests.support.held_host import GO, main
from tests.support.raising import raises
from tests.support.waiting import until
from tests.support.workers import write_talks

A, B = ("whisper", "a", "auto"), ("whisper", "b", "auto")


class Device:
    """A line and its device: what `InferenceSession` does with them, without a model."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.line = ModelLock(self.lock)
        self.loads: list[str] = []
        self.order: list[str] = []
        self.pool = ThreadPoolExecutor(16)

    def begin(
        self,
        name: str,
        wanted: tuple[str, str],
        go: threading.Event,
        stop: Callable[[], bool],
        *,
        urgent: bool = False,
    ) -> Future[None]:
        """An item; it has joined the line, or is with the model, when this returns."""
        before = self._seen()
        future = self.pool.submit(self._use, name, wanted, go, stop, urgent)
        until(lambda: self._seen() > before or future.done())
        return future

    def _seen(self) -> int:
        with self.lock:
            return self.line.waiting + len(self.order)

    def _use(
        self,
        name: str,
        wanted: tuple[str, str],
        go: threading.Event,
        stop: Callable[[], bool],
        urgent: bool,
    ) -> None:
        with self.lock:
            self.line.wait(wanted, stop, urgent=urgent)
            if self.line.loaded != wanted:
                assert self.line.busy == 0  # never put away under somebody's hands
                self.loads.append(wanted[1])
                self.line.mark_loaded(wanted)
            self.line.acquire()
            self.order.append(name)
        assert go.wait(90)
        with self.lock:
            self.line.release()


def never() -> bool:
    return False


def test_an_item_of_another_model_does_not_wait_for_newcomers() -> None:
    device, first, rest = Device(), threading.Event(), threading.Event()
    rest.set()
    items = [device.begin("a1", A, first, never), device.begin("a2", A, first, never)]
    assert device.order == ["a1", "a2"]  # together, while nobody else waits
    items += [device.begin(f"b{n}", B, rest, never) for n in (1, 2)]
    items += [device.begin(f"a{n}", A, rest, never) for n in (3, 4)]
    items += [device.begin("b3", B, rest, never)]
    assert device.order == ["a1", "a2"]
    first.set()
    for item in items:
        item.result(90)
    # All who wait for a model by the time it is loaded go in with the first of them.
    assert set(device.order[2:5]) == {"b1", "b2", "b3"}
    assert set(device.order[5:]) == {"a3", "a4"}
    assert device.loads == ["a", "b", "a"]
    assert device.line.waiting == device.line.busy == 0


def test_a_cancelled_waiter_delays_no_other() -> None:
    device, first, stop = Device(), threading.Event(), threading.Event()
    a1 = device.begin("a1", A, first, never)
    b1 = device.begin("b1", B, first, stop.is_set)
    a2 = device.begin("a2", A, first, never)
    assert device.order == ["a1"] and not a2.done()
    stop.set()
    with pytest.raises(Cancelled):
        b1.result(90)
    until(lambda: device.order == ["a1", "a2"])  # nobody waits for another one any more
    first.set()
    a1.result(90), a2.result(90)


def test_urgent_items_wait_only_for_those_under_way() -> None:
    device, first, rest = Device(), threading.Event(), threading.Event()
    rest.set()
    items = [device.begin("a1", A, first, never)]
    items += [device.begin(f"b{n}", B, rest, never) for n in (1, 2)]
    items += [device.begin("a2", A, rest, never, urgent=True)]  # of the loaded model: at once
    until(lambda: device.order == ["a1", "a2"])
    items += [device.begin("c1", ("whisper", "c", "auto"), rest, never, urgent=True)]
    first.set()
    for item in items:
        item.result(90)
    assert device.order[:3] == ["a1", "a2", "c1"] and set(device.order[3:]) == {"b1", "b2"}


def test_no_item_is_overtaken_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    device, first, rest = Device(), threading.Event(), threading.Event()
    rest.set()
    items = [device.begin("a1", A, first, never), device.begin("b1", B, rest, never)]
    items += [device.begin("a2", A, rest, never, urgent=True)]
    until(lambda: device.order == ["a1", "a2"])
    monkeypatch.setattr(model_lock, "OVERTAKEN_S", 0.0)
    items += [device.begin("a3", A, rest, never, urgent=True)]
    first.set()
    for item in items:
        item.result(90)
    assert device.order == ["a1", "a2", "b1", "a3"]


@pytest.mark.slow
def test_models_take_turns_and_one_that_cannot_be_loaded_is_passed(tmp_path: Path) -> None:
    copy = str(shutil.copytree(DEMO_FOLDER, tmp_path / "copy"))
    (tmp_path / "empty").mkdir()
    (talk,) = write_talks(tmp_path / "in", 1, words=3)
    order: list[str] = []
    go = threading.Event()
    with InferenceSession(get_settings()) as recognition, ThreadPoolExecutor(8) as pool:

        def recipe(model: str) -> TranscriptionOptions:
            return recognition.transcription_options(RunOptions(model=model))

        def read(name: str, model: str) -> Future[object]:
            def ready() -> None:
                order.append(name)
                assert go.wait(90)

            return pool.submit(recognition.transcribe, talk, recipe(model), on_ready=ready)

        line = recognition._model_lock
        items = [read("a1", "demo")]
        until(lambda: order == ["a1"])
        for place, (name, model) in enumerate(
            [("x", str(tmp_path / "empty")), ("b1", copy), ("a2", "demo")], start=1
        ):
            items.append(read(name, model))
            until(lambda place=place: line.waiting == place)  # type: ignore[misc]
        stopped = pool.submit(recognition.prepare, recipe("demo"), lambda: True)
        with pytest.raises(Cancelled):
            stopped.result(90)
        go.set()
        with pytest.raises(ModelUnavailable):
            items.pop(1).result(90)
        for item in items:
            item.result(90)
    assert order == ["a1", "b1", "a2"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_item_that_waits_for_another_model_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = str(shutil.copytree(DEMO_FOLDER, tmp_path / "copy"))
    (talk,) = write_talks(tmp_path / "in", 1, words=3)
    go, stop, ended = tmp_path / "go", threading.Event(), threading.Event()
    stretches: list[tuple[Segment, ...]] = []
    monkeypatch.setenv(GO, str(go))
    host, recognition = (
        InferenceProcess(get_settings(), 2, main=main),
        InferenceSession(get_settings()),
    )
    with ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(
                host.transcribe, talk, recognition.transcription_options(RunOptions(model="demo")),
                on_text=stretches.append,
            )  # fmt: skip
            until(lambda: any(request.ready for request in list(host._requests.values())))
            second = pool.submit(
                host.transcribe, talk, recognition.transcription_options(RunOptions(model=copy)),
                cancelled=stop.is_set,
            )  # fmt: skip
            until(lambda: len(host._requests) == 2)
            stop.set()
            with pytest.raises(Cancelled):
                second.result(90)
            recipe = recognition.transcription_options(RunOptions(model=copy))
            with raises(RetryLater, "recognizer.other_model"):
                host.transcribe(talk, replace(recipe, urgent=True, may_swap=False))
            monkeypatch.setattr(process, "URGENT_PATIENCE_S", 0.1)
            alone = pool.submit(
                host.transcribe, talk, recipe, exclusive=True, cancelled=ended.is_set
            )  # it waits until the first has ended, and all newcomers wait for it
            until(lambda: host._waiting_exclusive == 1)
            with raises(RetryLater, "recognizer.busy_alone"):
                host.transcribe(talk, replace(recipe, urgent=True))
            ended.set()
            with pytest.raises(Cancelled):
                alone.result(90)
            assert not first.done()
            go.touch()
            words = first.result(300).words
            assert words
            assert [w for found in stretches for s in found for w in s.words] == list(words)
        finally:
            go.touch()
            host.close()
