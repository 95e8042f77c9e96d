"""A hub on loopback with a cache of its own, for fetches in the test process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from kb.asr.engines.model_check import RECOGNIZER
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.errors import KBError
from kb.hub import cache
from kb.hub.client import Deadlines
from kb.hub.conduct import Conduct
from kb.hub.fetch_state import FetchState
from kb.hub.models import ready
from kb.hub.records import ReadyRecord
from tests.fakes.hub import FakeHub

NAME = "some/recognizer"
# The files that a fetch of `small_files()` must bring, and two of them.
WEIGHTS = "model-00001-of-00002.safetensors"
SMALL = "tokenizer.json"
NEEDED = {
    "config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors.index.json",
    WEIGHTS, "model-00002-of-00002.safetensors",
}  # fmt: skip
# It notices a hub that is silent at once, and tries again for long.
QUICK = Conduct(
    deadlines=Deadlines(connect_s=5.0, answer_s=0.3, stall_s=0.3),
    patience_s=60.0, first_pause_s=0.01, longest_pause_s=0.02,
)  # fmt: skip
# No file is asked for twice because a busy machine is slow.
CALM = replace(QUICK, deadlines=Deadlines(connect_s=60.0, answer_s=60.0, stall_s=60.0))
# It gives up after a few tries; a busy machine has time for its answers.
IMPATIENT = Conduct(
    deadlines=Deadlines(connect_s=5.0, answer_s=10.0, stall_s=10.0),
    patience_s=0.1, first_pause_s=0.01, longest_pause_s=0.02,
)  # fmt: skip
# It does not wait for a hub that is silent.
HASTY = replace(IMPATIENT, deadlines=Deadlines(connect_s=1.0, answer_s=0.1, stall_s=0.1))


def small_files(count: int = 2) -> dict[str, bytes | Path]:
    """Return the files of a model as the hub has them; its weights are in `count` files."""
    rng = np.random.default_rng(7)
    names = [f"model-{n + 1:05}-of-{count:05}.safetensors" for n in range(count)]
    weights = {
        name: save({f"layer.{n}": rng.random((50, 40 + n), np.float32)})
        for n, name in enumerate(names)
    }
    index = {
        "metadata": {},
        "weight_map": {f"layer.{n}": name for n, name in enumerate(names)},
    }
    files = {
        "config.json": {"model_type": "some"},
        "tokenizer.json": {"model": {"vocab": {"a": 0}}},
        "preprocessor_config.json": {"feature_size": 80},
        "model.safetensors.index.json": index,
    }
    texts = {name: json.dumps(document).encode() for name, document in files.items()}
    return {**texts, **weights, "README.md": b"words", "pytorch_model.bin": b"the same again"}


def demo_files() -> dict[str, bytes | Path]:
    """Return the bundled recognizer as the files of a repository."""
    return {path.name: path for path in DEMO_FOLDER.iterdir() if path.is_file()}


@contextmanager
def hub_at(patch: pytest.MonkeyPatch, folder: Path, hub: FakeHub) -> Iterator[FakeHub]:
    """Start a hub and point the process to it, with `folder` as the cache."""
    with hub:
        use_hub(patch, folder, hub.url)
        yield hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that has one small model."""
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: small_files()})) as found:
        yield found


def use_hub(patch: pytest.MonkeyPatch, folder: Path, url: str) -> None:
    """Point the process to the hub at `url`, with `folder` as the cache."""
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HF_HUB_CACHE", str(folder))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Fetches that a test leaves are shown by no other one.
    patch.setenv("XDG_STATE_HOME", str(folder.parent / "state"))
    patch.delenv("HF_TOKEN", raising=False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "no-token"))


def fetched(
    name: str = NAME, states: list[FetchState] | None = None, conduct: Conduct = CALM
) -> ReadyRecord:
    """Return the record of a model, fetched where needed."""
    seen: list[FetchState] = [] if states is None else states
    return ready(name, RECOGNIZER, report=seen.append, conduct=conduct)


def outcome(name: str = NAME, conduct: Conduct = CALM) -> str:
    """Return `ready`, or the code of the error."""
    try:
        fetched(name, conduct=conduct)
    except KBError as error:
        return error.code
    return "ready"


def rubbish(name: str = NAME) -> list[str]:
    """Return the files of a repository's folder that belong to no complete model."""
    folder = cache.repository_folder(name)
    snapshots = {path.resolve() for path in folder.glob("snapshots/*/**/*")}
    left = [path for path in folder.glob("blobs/*") if path.resolve() not in snapshots]
    return sorted(path.name for path in left)


def same_bytes(record: ReadyRecord, hub: FakeHub, names: Sequence[str] = ()) -> bool:
    """Return True if the files of a model are those of the hub."""
    wanted = names or [*record.files]
    return all((record.folder / name).read_bytes() == hub.bytes_of(record.name, name)
               for name in wanted)  # fmt: skip
