"""The search of a model's weights by its name, and every error of the search."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from gpu.manager import GPUManager
from kb.asr.engines import model_lookup
from kb.asr.engines.model_lookup import DEMO_FOLDER, resolve
from kb.asr.engines.model_registry import known_models
from kb.asr.engines.whisper.loader import load_whisper
from kb.errors import GPUError, ModelUnavailable
from kb.settings import PROJECT_ROOT
from kb.sinks.local.embedding import SentenceTransformerEmbedder
from tests.support.raising import raises

CPU = GPUManager("cpu", cpu_threads=1)
NOWHERE = "http://127.0.0.1:9"  # no server listens on this port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_FOLDER, tmp_path / "model"))


def cached(cache: Path, name: str, *, weights: bool) -> None:
    """Write a model to the hub's cache in the layout of its client."""
    place = cache / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / "abc"
    shutil.copytree(DEMO_FOLDER, snapshot)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    if not weights:
        (snapshot / "model.safetensors").unlink()


def test_names(folder: Path) -> None:
    assert resolve("demo").target == str(DEMO_FOLDER)
    assert resolve(str(folder)) == model_lookup.ModelRef(str(folder), str(folder), local=True)
    assert resolve("large-v3-turbo").target == "openai/whisper-large-v3-turbo"
    assert resolve("tiny.en").target == "openai/whisper-tiny.en"
    assert resolve("someone/their-whisper") == model_lookup.ModelRef(
        "someone/their-whisper", "someone/their-whisper", local=False
    )


@pytest.mark.parametrize(
    "name",
    [
        "tiny", "Tiny", " tiny ", "whisper-tiny", "Whisper-Tiny", "openai/whisper-tiny",
        "OpenAI/Whisper-Tiny", "openai/whisper-tiny\n", "https://huggingface.co/openai/whisper-tiny",
        "https://huggingface.co/openai/whisper-tiny/tree/main", "http://mirror/openai/whisper-tiny/",
    ],
)  # fmt: skip
def test_one_model_by_all_its_names(name: str) -> None:
    assert resolve(name).target == "openai/whisper-tiny"


@pytest.mark.parametrize(
    ("name", "folder_here"),
    [
        ("large-v3-turbo", "openai/whisper-large-v3-turbo"),
        ("openai/whisper-base", "openai/whisper-base"),
        ("someone/their-whisper", "someone/their-whisper"),
    ],
)
def test_a_folder_here_never_stands_in_for_a_model_of_the_hub(
    name: str, folder_here: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers would load that folder, and some loaders would run code from it."""
    monkeypatch.chdir(tmp_path)
    assert not resolve(name).local
    shutil.copytree(DEMO_FOLDER, tmp_path / folder_here)
    with raises(ModelUnavailable, "model.folder_here", name=name) as caught:
        resolve(name)
    assert f"./{folder_here}" in caught.value.hint
    assert resolve(f"./{folder_here}").local


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "someone/embedder"])
@pytest.mark.parametrize("prefix", ["", "sentence-transformers/"])
def test_nor_for_an_embedding_model(
    model: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", ModuleType("sentence_transformers"))
    sys.modules["sentence_transformers"].SentenceTransformer = object  # type: ignore[attr-defined]
    (tmp_path / prefix / model).mkdir(parents=True)
    with raises(ModelUnavailable, "model.folder_here"):
        SentenceTransformerEmbedder(model)


@pytest.mark.parametrize("name", ["large-v9", "", "a/b/c", "../x", "no such folder/.."])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with raises(ModelUnavailable, "model.unknown", name=name) as caught:
        resolve(name)
    names = [model.name for model in known_models()]
    assert all(known in caught.value.hint for known in (*names, "--model demo"))
    assert caught.value.exit_code == 2


@pytest.mark.slow
def test_the_demo_model_and_a_folder_saved_by_transformers_load(
    folder: Path, tmp_path: Path
) -> None:
    loaded = load_whisper("demo", CPU)
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert not any(p.requires_grad for p in loaded.model.parameters())
    assert loaded.load_s > 0
    again = tmp_path / "saved"
    loaded.model.save_pretrained(again)
    loaded.processor.save_pretrained(again)
    assert load_whisper(str(again), CPU).model.config.d_model == loaded.model.config.d_model
    # The file name of the processor before transformers 5.
    (folder / "processor_config.json").unlink()
    assert load_whisper(str(folder), CPU).processor.feature_extractor.n_fft == 400


@pytest.mark.parametrize("missing", ["config.json", "generation_config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with raises(
        ModelUnavailable, "model.folder_incomplete", folder=folder, files=missing
    ) as caught:
        load_whisper(str(folder), CPU)
    assert "save_pretrained" in caught.value.hint


def test_an_empty_folder_names_all_that_is_missing(tmp_path: Path) -> None:
    with raises(ModelUnavailable, "model.folder_incomplete", folder=tmp_path) as caught:
        load_whisper(str(tmp_path), CPU)
    assert {"config.json", "model.safetensors"} <= set(caught.value.values["files"].split(", "))


def truncate_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 3])


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def break_tokens(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("[]")


def wrong_shape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["d_model"] = 64
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate_weights, break_config, break_tokens, wrong_shape])
def test_a_corrupt_folder_is_named_with_the_cause(folder: Path, damage: object) -> None:
    damage(folder)  # type: ignore[operator]
    with raises(ModelUnavailable, "model.folder_damaged", folder=folder) as caught:
        load_whisper(str(folder), CPU)
    assert caught.value.values["cause"]
    assert "--model demo" in caught.value.hint


@pytest.mark.slow
def test_weights_that_lack_tensors_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop("model.decoder.layers.1.fc1.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with raises(ModelUnavailable, "model.weights_missing", count=1) as caught:
        load_whisper(str(folder), CPU)
    assert caught.value.values["tensor"].startswith("model.decoder.layers.1.fc1")


def test_another_kind_of_model_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "bert"
    (folder / "config.json").write_text(json.dumps(config))
    with raises(ModelUnavailable, "model.not_whisper", name=str(folder), kind="bert"):
        load_whisper(str(folder), CPU)


def test_a_model_that_does_not_fit_raises_a_gpu_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object, **_more: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("kb.asr.engines.whisper.loader._read", full)
    with raises(GPUError, "device.model_too_large", model="demo") as caught:
        load_whisper("demo", CPU)
    assert "smaller model" in caught.value.hint


@pytest.mark.slow
def test_a_hub_model_without_network_fails_fast_and_names_what_is_there(tmp_path: Path) -> None:
    cached(tmp_path / "hub", "openai/whisper-small", weights=True)
    cached(tmp_path / "hub", "openai/whisper-medium", weights=False)
    program = (
        "import sys, time\n"
        "from gpu.manager import GPUManager\n"
        "from kb.asr.engines.whisper.loader import load_whisper\n"
        "from kb.errors import ModelUnavailable\n"
        "import transformers, torch\n"
        "began = time.time()\n"
        "try:\n    load_whisper('tiny', GPUManager('cpu'))\n"
        "except ModelUnavailable as error:\n"
        "    print(error.code, error.values['name'], '|', error.hint)\n"
        "    sys.exit(0 if time.time() - began < 30 else 9)\n"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment = {
        **inherited, "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_ENDPOINT": NOWHERE, "PYTHONPATH": str(PROJECT_ROOT),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stdout.startswith("model.offline openai/whisper-tiny |")
    assert "--model openai/whisper-small" in done.stdout
    assert "medium" not in done.stdout  # its weights are not in the cache
    assert "--model demo" in done.stdout
    assert done.stderr == ""
