"""List the recognizers and fetch one from a hub on loopback, by the real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb.asr.engines.model_files import files_to_fetch
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.settings import PROJECT_ROOT
from tests.fakes.hub import FakeHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NOWHERE = "http://127.0.0.1:9"  # no server listens on this port
TINY = "openai/whisper-tiny"


def run(tmp_path: Path, arguments: list[str], hub: str) -> subprocess.CompletedProcess[str]:
    """Run Python with a separate hub and hub cache."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "KB_DEVICE": "cpu",
        "KB_HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=PROJECT_ROOT, capture_output=True,
        text=True, timeout=280, check=False,
    )  # fmt: skip


def kb(
    tmp_path: Path, *arguments: str, hub: str = NOWHERE, check: int = 0
) -> subprocess.CompletedProcess[str]:
    done = run(tmp_path, ["-m", "kb.cli", *arguments], hub)
    assert done.returncode == check, (done.stdout, done.stderr)
    return done


def demo_files() -> dict[str, bytes | Path]:
    """Return the bundled recognizer as a repository of the hub, with files beside it."""
    files: dict[str, bytes | Path] = {
        path.name: path for path in DEMO_FOLDER.iterdir() if path.is_file()
    }
    return {
        **files,
        "README.md": b"words",
        ".gitattributes": b"",
        "pytorch_model.bin": b"the same weights again",
        "model.fp32-00001-of-00002.safetensors": b"and again",
        "model.safetensors.index.fp32.json": b"{}",
        "onnx/model.onnx": b"and again",
    }


def test_only_the_files_that_loading_needs_are_fetched() -> None:
    large = [
        "README.md", "added_tokens.json", "config.json", "flax_model.msgpack", "merges.txt",
        "model.fp32-00001-of-00002.safetensors", "model.fp32-00002-of-00002.safetensors",
        "model.safetensors", "model.safetensors.index.fp32.json", "pytorch_model.bin",
        "pytorch_model.fp32-00001-of-00002.bin", "preprocessor_config.json", "vocab.json",
        "onnx/config.json",
    ]  # fmt: skip
    assert files_to_fetch(large) == [
        "added_tokens.json", "config.json", "merges.txt", "model.safetensors",
        "preprocessor_config.json", "vocab.json",
    ]  # fmt: skip
    split = [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "pytorch_model.bin.index.json", "pytorch_model.bin",
    ]  # fmt: skip
    assert files_to_fetch(split) == [
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]  # fmt: skip
    assert files_to_fetch(["config.json", "pytorch_model.bin"]) == ["config.json"]
    assert files_to_fetch(["config.json", "model.onnx"]) == ["config.json"]


def test_a_model_is_fetched_once_listed_and_works_without_the_hub(tmp_path: Path) -> None:
    before = {model["name"]: model for model in json.loads(kb(tmp_path, "models", "--json").stdout)}
    assert before["tiny"]["where"] == "" and before["demo"]["where"] == "bundled"
    assert before["base"]["default"] and not before["demo"]["default"]
    assert before["large-v3"]["languages"] == 100 and before["tiny.en"]["languages"] == 1
    assert before["large-v3"]["memory_bytes_16"] > before["large-v3"]["memory_bytes"] > 3e9
    for name in ("large-v3-turbo", "large-v2", "medium", "small", "distil-large-v3"):
        assert before[name]["download_bytes"] > 1e8, name
    with FakeHub({TINY: demo_files()}) as hub:
        hub.cut["model.safetensors"] = 100_000
        printed = kb(tmp_path, "models", "pull", "tiny", hub=hub.url)
        assert "--model tiny" in printed.stderr + printed.stdout
        fetched = {name.split(" ")[0] for name in hub.sent}
        assert fetched == set(files_to_fetch(list(demo_files())))
        # The connection broke during the weights, and the client requested the rest.
        weights = [name for name in hub.sent if name.startswith("model.safetensors")]
        assert len(weights) == 2, hub.sent
        hub.sent.clear()
        again = json.loads(kb(tmp_path, "models", "pull", "tiny", "--json", hub=hub.url).stdout)
        assert again == {"name": "tiny", "repository": TINY, "ready": True}
        assert hub.sent == []
    after = {model["name"]: model for model in json.loads(kb(tmp_path, "models", "--json").stdout)}
    assert after["tiny"]["where"] == "cached"
    assert after["tiny"]["disk_bytes"] >= (DEMO_FOLDER / "model.safetensors").stat().st_size


TRY_EACH = """
import sys
from kb.asr.engines.model_lookup import model_folder, resolve
from kb.errors import ModelUnavailable
for name in sys.argv[1:]:
    try:
        model_folder(resolve(name))
    except ModelUnavailable as error:
        print(error.code, error.values["name"], "|", error.hint)
"""


def test_the_reason_why_a_model_cannot_be_fetched_is_shown(tmp_path: Path) -> None:
    away = kb(tmp_path, "models", "pull", "tiny", check=2).stderr
    assert TINY in away and "cannot be reached" in away and "Traceback" not in away
    expected = {
        "some/unknown": "model.not_on_hub",
        "some/gated": "model.gated",
        "some/weightless": "model.no_weights",
        "large-v99": "model.unknown",
    }
    with FakeHub({"some/weightless": {"config.json": b"{}"}}, gated=("some/gated",)) as hub:
        printed = run(tmp_path, ["-c", TRY_EACH, *expected], hub.url).stdout.splitlines()
    assert len(printed) == len(expected), printed
    for line, (name, code) in zip(printed, expected.items(), strict=True):
        problem, _, hint = line.partition(" | ")
        assert problem == f"{code} {name}" and hint, line
