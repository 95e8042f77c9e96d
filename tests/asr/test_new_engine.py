"""A new engine needs only one folder and one line in `ENGINES`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.engines import ENGINES, check_engine, load_engine
from kb.asr.engines.model_lookup import identify, resolve, shape_of
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.errors import ModelUnavailable, SettingsError
from kb.inference.downloads import list_models
from kb.inference.memory_fit import MemoryRoom, estimate_memory
from kb.service.option_suggestions import option_suggestions
from kb.types import MediaRef
from tests.support.compose import compose, random_plan
from tests.support.new_engine import ENGINE, SPEC
from tests.support.raising import raises
from tests.support.speech import bank, blocks, detector, preset


@pytest.fixture
def manager() -> GPUManager:
    return GPUManager("cpu", cpu_threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the engine's folder and its line in `ENGINES`."""
    package = tmp_path / "echo_engine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "spec.py").write_text(SPEC.replace("PACKAGE", "echo_engine"))
    (package / "engine.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ENGINES, "echo", "echo_engine.spec:SPEC")
    return package


@pytest.fixture(autouse=True)
def forget_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("echo_engine", "echo_engine.spec", "echo_engine.engine"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_it_is_checked_and_loaded_and_reads(manager: GPUManager) -> None:
    check_engine("echo")
    engine = load_engine("echo", "echo-large", manager)
    window = Window(0, 5.0, np.zeros(16_000, np.float32))
    (result,) = engine.decode(engine.encode([window]), ["en"])
    assert [segment.text for segment in result.read().segments] == ["echo"]
    with raises(ModelUnavailable, "model.unknown", name="nonsense") as caught:
        load_engine("echo", "nonsense", manager)
    assert "echo-large" in caught.value.hint


def test_the_recognizer_takes_it(manager: GPUManager) -> None:
    batcher = Batcher(load_engine("echo", "echo-large", manager), manager, 4)
    recognizer = Recognizer(batcher, preset(), detector=detector())
    rng = np.random.default_rng(5)
    said = compose(bank(), random_plan(bank(), 8, rng), rng=rng)
    found = recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    batcher.close()
    assert (found.engine, found.model) == ("echo", "echo-large")
    assert "echo" in " ".join(segment.text for segment in found.segments)


def test_its_missing_package_is_named_with_the_install_command(folder: Path) -> None:
    (folder / "spec.py").write_text(SPEC.replace("PACKAGE", "not_there"))
    with raises(
        SettingsError, "engine.not_installed", name="echo", command="pip install echo"
    ) as caught:
        check_engine("echo")
    assert "not_there" in caught.value.values["package"]
    assert "pip install echo" in caught.value.hint


def test_its_models_are_known_by_name() -> None:
    model = find_model("echo-large")
    assert model is not None and model.engine == "echo"
    assert known_models()[-1] == model
    assert resolve("echo-large").target == "nowhere/echo-large"


def test_its_models_are_listed_with_their_memory() -> None:
    rows = {row.name: row for row in list_models("echo-large", MemoryRoom("CPU", 0))}
    row = rows["echo-large"]
    assert (row.engine, row.languages, row.parameters) == ("echo", 3, 500_000)
    assert row.download_bytes == 2_000_000
    assert row.memory_bytes_16 - row.memory_bytes == 15 * 2000
    assert row.default and not row.where


def test_a_saved_model_of_it_is_recognized_by_its_config(
    tmp_path: Path, manager: GPUManager
) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "config.json").write_text(json.dumps({"model_type": "echo", "size": 70_000}))
    engine, shape = identify(str(saved))
    assert engine == "echo" and shape is not None and shape.parameters == 70_000
    assert shape_of(str(saved)) == shape
    memory = estimate_memory("echo", str(saved), manager, ())
    assert (memory.window_bytes, memory.weights_bytes) == (4000, 280_000)


def test_the_form_offers_it_and_its_models() -> None:
    assert list(option_suggestions("engine"))[-1] == "echo"
    assert option_suggestions("model")["echo-large"] == "echo"
