"""Search by meaning: embeddings in the local index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from kb.errors import KnowledgeBaseError, ModelUnavailable
from kb.settings import Settings
from kb.sinks.local import embedding, tables
from kb.sinks.local.embedding import Vectors
from kb.sinks.local.sink import LocalSink
from tests.support.local_index import found, put, source


class LetterEmbedder:
    """Hashed character trigrams: crude, but `singing` and `singer` are similar."""

    dimension = 256

    def __init__(self, model: str, device: str) -> None:
        if model == "broken":
            raise ModelUnavailable("The embedding model 'broken' cannot be loaded.")

    def passages(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f" {text.lower()} "
            for at in range(len(padded) - 2):
                row[int.from_bytes(padded[at : at + 3].encode(), "little") % 251] += 1
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return rows

    def query(self, text: str) -> Vectors:
        return self.passages([text])[0]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedding.EMBEDDERS, "letters", f"{__name__}:LetterEmbedder")
    embedding.load_embedder.cache_clear()


@pytest.mark.usefixtures("letters")
def test_semantic_and_hybrid(tmp_path: Path) -> None:
    sink = LocalSink(Settings(home=tmp_path, embedding_model="letters:one"))
    put(sink, "test:one", "the singer is singing songs", "machines are loud", "a song")
    put(sink, "test:silent")
    put(sink, "test:two", "sing", "loud machine noise")
    assert found(sink.search("sings song", "semantic", 1)) == ["the singer is singing songs"]
    assert sink.search("sings song", "keyword", 1)[0].snippet == "a **song**"
    hits = sink.search("loud machine", "hybrid")
    assert found(hits[:2]) == ["loud machine noise", "machines are loud"]
    assert hits[0].snippet == "**loud** **machine** noise"
    assert len(sink.search("???", "hybrid", 3)) == 3
    scores = [hit.score for hit in sink.search("song", "semantic")]
    assert scores == sorted(scores, reverse=True) and -1 <= scores[-1] <= scores[0] <= 1
    put(sink, "test:two", "replaced")
    assert "sing" not in found(sink.search("sing", "semantic"))
    sink.optimize()
    assert found(sink.search("replaced", "semantic", 1)) == ["replaced"]


@pytest.mark.usefixtures("letters")
def test_another_embedding_model_asks_for_a_reindex(tmp_path: Path) -> None:
    plain = LocalSink(Settings(home=tmp_path))
    put(plain, "test:one", "some words")
    with_model = LocalSink(Settings(home=tmp_path, embedding_model="letters:one"))
    put(with_model, "test:two", "other words")
    for mode in ("semantic", "hybrid"):
        with pytest.raises(KnowledgeBaseError) as caught:
            with_model.search("words", mode)
        assert caught.value.code == "index.without_model"
        assert "kb reindex" in caught.value.hint
    assert len(with_model.search("words")) == 2
    library = [source("test:one", "some words"), source("test:two", "other words")]
    assert with_model.rebuild(library) == 2
    assert found(with_model.search("some word", "semantic", 1)) == ["some words"]
    changed = LocalSink(Settings(home=tmp_path, embedding_model="letters:two"))
    with pytest.raises(KnowledgeBaseError) as caught:
        changed.search("words", "semantic")
    assert caught.value.code == "index.other_model"
    assert (caught.value.values["made_with"], caught.value.values["model"]) == (
        "letters:one",
        "letters:two",
    )
    # Unchanged passages keep their vectors; new ones of a process without the model are missed.
    put(plain, "test:one", "some words")
    assert len(with_model.search("words", "semantic")) == 2
    put(plain, "test:three", "third words")
    with pytest.raises(KnowledgeBaseError) as caught:
        with_model.search("words", "semantic")
    assert (caught.value.code, caught.value.values["count"]) == ("index.vectors_missing", 1)
    put(with_model, "test:three", "third words")
    assert len(with_model.search("words", "semantic")) == 3


@pytest.mark.usefixtures("letters")
def test_many_vectors_get_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "VECTOR_INDEX_FROM", 300)
    sink = LocalSink(Settings(home=tmp_path, embedding_model="letters:one"))
    texts = [f"number {n} {n * 7919 % 1000}" for n in range(400)]
    sink.rebuild([source(f"test:{n:02}", *texts[n * 10 : n * 10 + 10]) for n in range(40)])
    assert found(sink.search(texts[123], "semantic", 1)) == [texts[123]]
    put(sink, "test:new", "altogether different")
    assert found(sink.search("altogether", "semantic", 1)) == ["altogether different"]


@pytest.mark.usefixtures("letters")
def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    sink = LocalSink(Settings(home=tmp_path, embedding_model="letters:broken"))
    with pytest.raises(ModelUnavailable):
        put(sink, "test:one", "words")
    missing = LocalSink(Settings(home=tmp_path, embedding_model=str(tmp_path / "no-model")))
    with pytest.raises(ModelUnavailable) as caught:
        put(missing, "test:one", "words")
    assert caught.value.code in ("embedding.load_failed", "embedding.not_installed")
    assert caught.value.values["model"] == str(tmp_path / "no-model")
    assert caught.value.hint
    assert not (tmp_path / "index.lance").exists()
