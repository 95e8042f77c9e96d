"""Repair by another engine, and the loss of the device in it."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.batching.fallback_engine import FallbackEngine
from kb.asr.engines.model_lookup import shape_of
from kb.asr.quality.repair_plan import RepairPlan
from kb.asr.recognizer import Recognizer
from kb.errors import DeviceLost, ModelUnavailable
from kb.types import MediaRef
from tests.support.compose import (
    compose,
    random_plan,
)
from tests.support.faulty_oracle import Wayward
from tests.support.raising import raises
from tests.support.speech import Oracle, bank, blocks, detector, preset, score


class Fixed(FallbackEngine):
    """A second engine that is already loaded."""

    def __init__(self, engine: Oracle) -> None:
        super().__init__("oracle:truth", lambda: GPUManager("cpu", cpu_threads=1), 2)
        self._batcher = Batcher(engine, GPUManager("cpu", cpu_threads=1), 2)


def test_another_engine_is_the_last_rung() -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(4)))
    batcher = Batcher(Wayward(said, []), GPUManager("cpu", cpu_threads=1), 2)
    second = Fixed(Oracle(said.words))
    plan = RepairPlan(share=10.0, temperatures=(), beams=1)
    try:
        recognizer = Recognizer(batcher, preset(), detector=detector(), plan=plan, fallback=second)
        found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    finally:
        batcher.close()
        second.close()
    assert [reading.method for reading in found.windows[0].attempts] == [
        "first",
        "places",
        "shifted",
        "parts",
        "engine oracle:truth",
    ]
    assert score(said.words, found.words).errors == 0


def test_another_engine_that_cannot_be_had_is_tried_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse(*_: object) -> None:
        tries.append(1)
        raise ModelUnavailable("There is no such model.")

    monkeypatch.setattr("kb.asr.batching.fallback_engine.load_engine", refuse)
    second = FallbackEngine("whisper:nowhere", lambda: GPUManager("cpu", cpu_threads=1), 2)
    with caplog.at_level(logging.WARNING):
        assert second.open() is None
        assert second.open() is None
    assert len(tries) == 1
    assert "no such model" in caplog.text
    second.close()


LOST = "CUDA error: an illegal memory access was encountered"


def loses_the_device(*_: object) -> None:
    raise RuntimeError(LOST)


def test_another_engine_s_loss_of_the_device_is_the_first_one_s_too() -> None:
    said = compose(bank(), random_plan(bank(), 20, np.random.default_rng(4)))
    batcher = Batcher(Wayward(said, []), GPUManager("cpu", cpu_threads=1), 2)
    second = Fixed(Oracle(said.words, fails=loses_the_device))
    plan = RepairPlan(share=10.0, temperatures=(), beams=1)
    recognizer = Recognizer(batcher, preset(), detector=detector(), plan=plan, fallback=second)
    try:
        with raises(DeviceLost, "device.failed", cause=LOST):
            recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    finally:
        batcher.close()
        second.close()


def test_a_device_lost_while_another_engine_is_loaded_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.nn.Module.to", loses_the_device)
    manager = GPUManager("cpu", cpu_threads=1)
    second = FallbackEngine("whisper:demo", lambda: manager, 2)
    for _ in range(2):  # the device failed, so the engine may be tried again
        with raises(DeviceLost, "device.failed_loading", cause=LOST):
            second.open()
    monkeypatch.undo()
    assert manager.permanent_bytes == 0
    assert second.open() is not None
    shape = shape_of("demo")
    assert shape is not None
    settled = manager.permanent_bytes  # the weights now count as permanent
    assert settled >= shape.weights_bytes(4) > 0
    assert second.open() is not None and manager.permanent_bytes == settled
    second.close()
