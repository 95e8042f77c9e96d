"""An embedding model against itself and its first text: a sound one passes, a change is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from kb.errors import ModelUnavailable
from kb.sinks.local.embedding_check import (
    TRIAL,
    check_embedder,
    check_same_vectors,
    try_embedder,
)
from tests.support.raising import raises

OLD, NEW = "sentence_transformers.models.", "sentence_transformers.base.modules."
WORDS = "embeddings.word_embeddings.weight"
SIZE, WIDTH = 9, 8


@pytest.fixture(params=["old", "new", "inner"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a sound model as versions 2 to 5 save it, as 6 does, or with a folder per module."""
    owner = NEW if request.param == "new" else OLD
    inner = "0_Transformer" if request.param == "inner" else ""
    made = tmp_path / "model"
    own = made / inner
    pooling = (
        {"embedding_dimension": WIDTH, "pooling_mode": "mean"}
        if request.param == "new"
        else {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True,
              "pooling_mode_cls_token": False}
    )  # fmt: skip
    documents: dict[Path, Any] = {
        made / "modules.json": [
            {"idx": 0, "name": "0", "path": inner, "type": f"{owner}Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{owner}Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": f"{owner}Dense"},
            {"idx": 3, "name": "3", "path": "3_Normalize", "type": f"{owner}Normalize"},
        ],
        own / "config.json": {
            "model_type": "bert", "hidden_size": WIDTH, "vocab_size": SIZE,
            "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 64,
        },
        own / "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
        own / "tokenizer.json": {"model": {"vocab": {str(n): n for n in range(SIZE)}}},
        made / "1_Pooling" / "config.json": pooling,
        made / "2_Dense" / "config.json": {"in_features": WIDTH, "out_features": 4},
    }  # fmt: skip
    for path, document in documents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    (own / "model.safetensors").write_bytes(save({WORDS: np.ones((SIZE, WIDTH), np.float32)}))
    dense = save({"linear.weight": np.ones((4, WIDTH), np.float32)})
    (made / "2_Dense" / "model.safetensors").write_bytes(dense)
    return made


def find(folder: Path, file: str) -> Path:
    """Return a file of the first module, wherever it is, or one by its folder."""
    inner = folder / "0_Transformer" / file
    return inner if inner.is_file() else folder / file


def change(folder: Path, file: str, field: str, value: Any) -> None:
    path = find(folder, file)
    document = json.loads(path.read_text())
    document[field] = value
    path.write_text(json.dumps(document))


def test_a_sound_model_passes_with_and_without_its_weights(folder: Path) -> None:
    check_embedder("some/model", folder)
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    check_embedder("some/model", folder)


FIELDS: list[tuple[str, str, Any, str]] = [
    ("config.json", "vocab_size", 5, "its vocabulary"),
    ("config.json", "vocab_size", 12, f"the shape of {WORDS}"),
    ("config.json", "vocab_size", -1, "vocab_size"),
    ("config.json", "vocab_size", "9", "vocab_size"),
    ("config.json", "hidden_size", 16, f"the shape of {WORDS}"),
    ("1_Pooling/config.json", "word_embedding_dimension", 16, "word_embedding_dimension"),
    ("config.json", "hidden_size", 0, "hidden_size"),
    ("config.json", "hidden_size", True, "hidden_size"),
    ("config.json", "num_attention_heads", 3, "num_attention_heads"),
    ("config.json", "num_attention_heads", 0, "num_attention_heads"),
    ("config.json", "num_hidden_layers", 10**9, "num_hidden_layers"),
    ("config.json", "max_position_embeddings", 32, "max_seq_length"),
    ("config.json", "quantization_config", {"quant_method": "x"}, "quantization_config"),
    ("config.json", "transformers_weights", "other.safetensors", "transformers_weights"),
    ("sentence_bert_config.json", "max_seq_length", 0, "max_seq_length"),
    ("sentence_bert_config.json", "max_seq_length", "long", "max_seq_length"),
    ("tokenizer.json", "model", {}, "model.vocab"),
    ("tokenizer.json", "model", {"vocab": {}}, "its vocabulary"),
    ("tokenizer.json", "model", {"vocab": {"a": SIZE}}, "its vocabulary"),
    ("tokenizer.json", "model", {"vocab": {"a": -1}}, "its vocabulary"),
    ("tokenizer.json", "model", {"vocab": [["a", 0.0]] * 10}, "its vocabulary"),
    ("tokenizer.json", "model", {"vocab": {"a": 0, "b": 1, "c": 2}}, "its vocabulary"),
    ("2_Dense/config.json", "in_features", 4, "in_features"),
    ("2_Dense/config.json", "out_features", 5, "the shape of linear.weight"),
    ("2_Dense/config.json", "out_features", -4, "out_features"),
]


@pytest.mark.parametrize("folder", ["old", "inner"], indirect=True)
@pytest.mark.parametrize(("file", "field", "value", "named"), FIELDS)
def test_a_contradiction_is_named(
    folder: Path, file: str, field: str, value: Any, named: str
) -> None:
    change(folder, file, field, value)
    with raises(ModelUnavailable, "embedding.contradicts_itself", field=named):
        check_embedder("some/model", folder)


TEXTS: dict[str, tuple[str, bytes]] = {
    "a list of nothing": ("modules.json", b"[]"),
    "an object of modules": ("modules.json", b"{}"),
    "a module without a class": ("modules.json", b'[{"path": ""}]'),
    "a path that leaves the folder": (
        "modules.json", b'[{"type": "sentence_transformers.models.T", "path": "../../x"}]',
    ),
    "an absolute path": (
        "modules.json", b'[{"type": "sentence_transformers.models.T", "path": "/etc"}]',
    ),
    "a drive": (
        "modules.json", b'[{"type": "sentence_transformers.models.T", "path": "C:\\\\x"}]',
    ),
    "half a description": ("config.json", b'{"vocab_size": '),
    "a description without end": ("config.json", b"[" * 100_000),
    "a list for a description": ("config.json", b"[1]"),
    "no text": ("tokenizer.json", b"\xff\xfe\x00"),
    "cut weights": ("model.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{"),
    "weights that are a page": ("model.safetensors", b"<html><body>sign in</body></html>"),
    "a header without shapes": (
        "model.safetensors",
        (42).to_bytes(8, "little") + b'{"a":{"dtype":"F32","data_offsets":[0,0]}}',
    ),
    "cut weights of a layer": ("2_Dense/model.safetensors", b"cut"),
}  # fmt: skip


@pytest.mark.parametrize("folder", ["old", "inner"], indirect=True)
@pytest.mark.parametrize(("file", "data"), TEXTS.values(), ids=TEXTS)
def test_a_damaged_file_is_named(folder: Path, file: str, data: bytes) -> None:
    find(folder, file).write_bytes(data)
    with raises(ModelUnavailable, "embedding.contradicts_itself"):
        check_embedder("some/model", folder)


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("config.json", "max_position_embeddings", 4096),
        ("config.json", "model_type", "unheard"),
        ("tokenizer.json", "added_tokens", [{"id": 99, "content": "<extra>"}]),
        ("sentence_bert_config.json", "max_seq_length", None),
        ("1_Pooling/config.json", "include_prompt", True),
    ],
)
def test_a_usual_difference_is_none(folder: Path, file: str, field: str, value: Any) -> None:
    change(folder, file, field, value)
    check_embedder("some/model", folder)


def vectors(*rows: list[float]) -> Callable[[Any], NDArray[np.float32]]:
    return lambda texts: np.asarray(rows, np.float32)


def test_the_first_text_gives_the_length_of_the_vectors() -> None:
    found = try_embedder("some/model", vectors([1, 0, 0], [0, 1, 0], [1, 0, 0]))
    assert found.shape == (2, 3)
    assert len(TRIAL) == 2


@pytest.mark.parametrize(
    "rows",
    [
        ([np.nan, 0], [0, 1], [np.nan, 0]),
        ([np.inf, 0], [0, 1], [np.inf, 0]),
        ([0, 0], [0, 0], [0, 0]),
        ([1, 0], [1, 0], [1, 0]),
        ([1, 0], [0, 1], [0, 1]),
        ([3, 0], [0, 3], [3, 0]),
        ([], [], []),
        ([1, 0],),
    ],
)
def test_vectors_that_mean_nothing_are_named(rows: tuple[list[float], ...]) -> None:
    with raises(ModelUnavailable, "embedding.fails_itself"):
        try_embedder("some/model", vectors(*rows))


def test_a_model_whose_missing_weights_are_random_is_named() -> None:
    first = np.asarray([[1, 0], [0, 1]], np.float32)
    check_same_vectors("some/model", first, first + np.float32(1e-5))
    with raises(ModelUnavailable, "embedding.fails_itself"):
        check_same_vectors("some/model", first, first[::-1])
