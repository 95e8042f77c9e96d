"""The files of an embedding model come by the same fetch as those of a recognizer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from kb.errors import ModelUnavailable
from kb.inference.downloads import list_models, pull, remove_model, verify_model
from kb.inference.memory_fit import MemoryRoom
from kb.sinks.local.embedding import SentenceTransformerEmbedder
from kb.sinks.local.embedding_files import EMBEDDER, embedding_folder, repository_of
from tests.fakes.hub import LISTING, FakeHub, Fault
from tests.support.hub_cache import hub_at, rubbish
from tests.support.raising import raises

NAME = "sentence-transformers/small"
MODULE = "sentence_transformers.models."
FILES: dict[str, bytes | Path] = {
    "modules.json": json.dumps(
        [
            {"type": MODULE + "Transformer", "path": ""},
            {"type": MODULE + "Pooling", "path": "1_Pooling"},
        ]
    ).encode(),
    "config.json": b'{"model_type": "bert"}',
    "1_Pooling/config.json": json.dumps({"pooling": "mean"}).encode(),
    "vocab.txt": b"a\nb\n",
    "model.safetensors": save({"embeddings.word_embeddings.weight": np.zeros((2, 4), "float32")}),
    "pytorch_model.bin": b"the same",
    "onnx/model.onnx": b"the same",
    "onnx/config.json": b"{}",
    "README.md": b"words",
    "code.py": b"raise SystemExit",
}
NEEDED = {"modules.json", "config.json", "1_Pooling/config.json", "vocab.txt", "model.safetensors"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.chdir(tmp_path)
    with hub_at(monkeypatch, tmp_path / "hub", FakeHub({NAME: FILES})) as found:
        yield found


def test_a_model_without_an_owner_is_fetched_whole_and_without_code(hub: FakeHub) -> None:
    hub.faults["model.safetensors"] = [Fault(flip=9)]
    folder = embedding_folder("small")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {
        "1_Pooling"
    } == NEEDED
    assert rubbish(NAME) == [] and EMBEDDER.missing(folder) == []
    hub.requests.clear()
    assert embedding_folder(NAME) == folder and hub.requests == []


def test_a_damaged_file_is_fetched_again(hub: FakeHub) -> None:
    folder = embedding_folder(NAME)
    (folder / "1_Pooling" / "config.json").resolve().write_bytes(b"{}")
    hub.sent.clear()
    assert embedding_folder(NAME) == folder
    assert (folder / "1_Pooling" / "config.json").read_bytes() == FILES["1_Pooling/config.json"]
    assert hub.sent == ["1_Pooling/config.json"]


def test_the_library_gets_a_folder_and_no_right_to_run_code(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, dict[str, Any]]] = []

    class Model:
        def __init__(self, folder: str, **more: Any) -> None:
            given.append((folder, more))

        def encode_document(self, texts: list[str], **_more: Any) -> Any:
            return np.asarray([[1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32)

        def encode_query(self, text: str, **_more: Any) -> Any:
            return np.zeros(3, np.float32)

    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert SentenceTransformerEmbedder("small").dimension == 3
    (folder, more), again = given  # loaded twice before it counts as ready
    assert again == (folder, more)
    assert SentenceTransformerEmbedder("small").dimension == 3 and len(given) == 3
    assert Path(folder) == embedding_folder("small")
    assert more["trust_remote_code"] is False and more["local_files_only"] is True
    assert more["model_kwargs"] == {"use_safetensors": True}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model.safetensors": None}, "embedding.no_weights"),
        ({"modules.json": None}, "model.incomplete_on_hub"),
        ({"config.json": b""}, "embedding.contradicts_itself"),
    ],
)
def test_a_repository_without_its_parts_is_named(
    hub: FakeHub, change: dict[str, bytes | None], code: str
) -> None:
    files = {**FILES, **change}
    hub.repositories[NAME] = {name: data for name, data in files.items() if data is not None}
    with raises(ModelUnavailable, code, name=NAME):
        embedding_folder(NAME)


def test_a_folder_is_taken_as_it_is(hub: FakeHub, tmp_path: Path) -> None:
    hub.always[LISTING] = Fault(status=503)
    (tmp_path / "own").mkdir()
    assert embedding_folder("./own") == Path("own")
    assert embedding_folder(str(tmp_path / "own")) == tmp_path / "own"
    assert hub.requests == []


HOSTILE: dict[str, tuple[str, Any]] = {
    "a class of the repository": ("modules.json", [{"idx": 0, "path": "", "type": "code.Model"}]),
    "another repository": ("modules.json", [{"idx": 0, "type": "evil/other--code.Model"}]),
    "a program of this machine": ("modules.json", [{"idx": 0, "type": "os.system"}]),
    "a name like the library's": (
        "modules.json", [{"idx": 0, "type": "sentence_transformers_evil.Model"}],
    ),
    "the second module": ("modules.json", [{"type": MODULE + "Pooling"}, {"type": "code.Model"}]),
    "a router": ("router_config.json", {"types": {"query": "code.Model"}}),
    "an automatic class": ("config.json", {"auto_map": {"AutoModel": "code.Model"}}),
    "a deeper one": ("config.json", {"text_config": {"auto_map": {"AutoModel": "code.Model"}}}),
    "an inner folder": ("1_Pooling/config.json", {"auto_map": {"AutoModel": "code.Model"}}),
    "a function": ("2_Dense/config.json", {"activation_function": "os.abort"}),
    "its tokenizer": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["code.T", None]}}),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_code_of_a_repository_is_refused_before_its_weights(
    hub: FakeHub, tmp_path: Path, case: str
) -> None:
    file, document = HOSTILE[case]
    hub.repositories[NAME] = {**FILES, file: json.dumps(document).encode()}
    with raises(ModelUnavailable, "model.asks_for_code", name=NAME, file=file):
        embedding_folder(NAME)
    assert "model.safetensors" not in hub.sent
    own = tmp_path / "own" / file
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps(document))
    with raises(ModelUnavailable, "model.asks_for_code", name="./own", file=file):
        embedding_folder("./own")


@pytest.mark.parametrize(
    ("file", "document"),
    [
        (
            "modules.json",
            [{"type": MODULE + "Transformer"}, {"type": MODULE + "Pooling"}],
        ),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"}),
        ("2_Dense/config.json", {"activation_function": "gelu"}),
        ("config.json", {"model_type": "bert", "auto_map": None, "type": "code.Model"}),
        ("vocab.json", {"auto_map": 5}),
    ],
)
def test_usual_descriptions_are_no_code(hub: FakeHub, file: str, document: Any) -> None:
    hub.repositories[NAME] = {**FILES, file: json.dumps(document).encode()}
    assert (embedding_folder(NAME) / file).is_file()


@pytest.mark.parametrize(
    ("setting", "repository"),
    [
        ("small", NAME), (NAME, NAME), ("sentence-transformers:small", NAME), ("a/b", "a/b"),
        ("./own", ""), ("/own", ""), ("other-engine:small", ""), ("C:\\models\\x", ""),
    ],
)  # fmt: skip
def test_the_hub_name_of_a_setting(setting: str, repository: str) -> None:
    assert repository_of(setting) == repository


def test_the_configured_model_is_pulled_listed_verified_and_removed(hub: FakeHub) -> None:
    """The commands of recognizers take the model of KB_EMBEDDING_MODEL by the same name."""
    room = MemoryRoom("CPU", 0)
    assert list_models("demo", room, "small")[-1].state == ""
    assert pull("small", embedder="small").target == NAME
    row = list_models("demo", room, "small")[-1]
    assert (row.name, row.engine, row.where, row.state) == ("small", "embedding", "cached", "ready")
    (embedding_folder(NAME) / "vocab.txt").resolve().write_bytes(b"damaged")
    assert verify_model("small", embedder="small").damaged == ("vocab.txt",)
    assert list_models("demo", room, "small")[-1].state == "damaged"
    pull("small", embedder="small")
    assert verify_model(NAME, embedder="small").damaged == ()
    assert remove_model("small", embedder="small").left == 0
