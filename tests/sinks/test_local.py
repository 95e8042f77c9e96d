"""The local knowledge base in real folders, used by several processes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import lancedb
import numpy as np
import pytest

from kb.errors import KnowledgeBaseError, ModelUnavailable, UsageError
from kb.settings import PROJECT_ROOT, Settings
from kb.sinks import SINKS, open_search, open_sink
from kb.sinks.base import SearchableSink, Sink
from kb.sinks.local import embedding, tables
from kb.sinks.local.embedding import Vectors
from kb.sinks.local.marks import snippet
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.terms import parse_query
from kb.sinks.local.tokenizer import tokens
from kb.types import Hit, MediaItem, Passage
from tests.support.sink_contract import SinkContract, make_item, make_passages


@pytest.fixture
def local(tmp_path: Path) -> LocalSink:
    return LocalSink(Settings(home=tmp_path))


def put(sink: Sink, item_id: str, *texts: str) -> None:
    item = make_item(item_id)
    sink.publish(item, make_passages(item, texts))


def found(hits: Sequence[Hit]) -> list[str]:
    return [hit.text for hit in hits]


def source(item_id: str, *texts: str) -> tuple[MediaItem, list[Passage]]:
    item = make_item(item_id)
    return item, make_passages(item, texts)


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Sink:
        return open_sink("local", Settings(home=tmp_path / "Bibliothek ü #%20 '"))

    def texts(self, sink: Sink, item_id: str) -> list[str]:
        assert isinstance(sink, LocalSink)
        return [passage.text for passage in sink.passages(item_id)]


def test_the_table_of_sinks() -> None:
    with pytest.raises(UsageError) as caught:
        open_sink("nowhere", Settings())
    assert (caught.value.code, caught.value.values["name"]) == ("sink.unknown", "nowhere")
    assert all(name in caught.value.hint for name in SINKS)
    with pytest.raises(UsageError) as caught:
        open_search("folder", Settings())
    assert caught.value.code == "sink.not_searchable"
    assert isinstance(open_search("local", Settings()), SearchableSink)


# --- words ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fünf", ["Es sind fünf Äpfel", "funf is no word"]),
        ("FUNF", ["Es sind fünf Äpfel", "funf is no word"]),
        ("fu\u0308nf apfel", ["Es sind fünf Äpfel"]),
        ("strasse", ["Die Straße nach Łódź"]),
        ("lodz", ["Die Straße nach Łódź"]),
        ("智能", ["人工智能 und mehr"]),
        ("工人", []),
        ("학교", ["나는 학교에서 왔다"]),
        ("हिन्दी", ["यह हिन्दी है"]),
        ("is", ["funf is no word"]),
        ("e-mail", ["an e-mail came"]),
        ("mail e", ["an e-mail came"]),
        ("3.5", ["version 3.5 of 2026"]),
    ],
)
def test_case_accents_and_scripts(local: LocalSink, query: str, expected: list[str]) -> None:
    lines = ("Es sind fünf Äpfel", "funf is no word", "Die Straße nach Łódź", "an e-mail came")
    more = ("人工智能 und mehr", "나는 학교에서 왔다", "यह हिन्दी है", "version 3.5 of 2026")
    put(local, "test:one", *lines, *more)
    assert sorted(found(local.search(query, limit=len(expected) or 9))) == sorted(expected)


def test_words_must_all_occur_and_partial_matches_follow_below(local: LocalSink) -> None:
    put(local, "test:one", "fox", "a red fox", "fox and something red", "red red red", "none")
    hits = local.search("red fox")
    assert set(found(hits[:2])) == {"a red fox", "fox and something red"}
    assert set(found(hits[2:])) == {"fox", "red red red"}
    assert hits[0].text == "a red fox"  # the words are adjacent
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < scores[1]
    assert len(local.search("red fox", limit=2)) == 2


@pytest.mark.parametrize("quoted", ['"red fox"', "“red fox”", "„Red Fox“", "«red, fox!»"])
def test_a_phrase_must_occur_literally(local: LocalSink, quoted: str) -> None:
    put(local, "test:one", "a red fox", "fox red", "red big fox", "the Red FOX runs")
    assert set(found(local.search(quoted))) == {"a red fox", "the Red FOX runs"}
    assert found(local.search(f"{quoted} runs", limit=1)) == ["the Red FOX runs"]
    # The phrase must occur, the word beside it need not.
    assert set(found(local.search(f"{quoted} nowhere"))) == {"a red fox", "the Red FOX runs"}
    local.optimize()
    assert set(found(local.search(quoted))) == {"a red fox", "the Red FOX runs"}


@pytest.mark.parametrize(
    "query",
    [
        *('"', '""', "'", "???", "*", "a*", "-a", "+a -b", "a AND (b OR", "NOT a", "a:b^2~0.5"),
        *("[a TO z]", "\\", "a\\", "%_", "'; DROP TABLE x", "\x00", "a\x00b", "\ud800", "🎬"),
        *("a " * 3000, "x" * 20_000, "\n\t a", "{}", "/a/", "„a", '"a" "b" "', "ﷺ", "½"),
    ],
)
def test_no_query_raises(local: LocalSink, query: str) -> None:
    put(local, "test:one", "a b and not z", "something else")
    for text in (query, f"{query} else"):
        if text.strip():
            assert all(hit.text for hit in local.search(text))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("",), "search.query_empty"),
        ((" \n",), "search.query_empty"),
        (("a", "fuzzy"), "search.mode_unknown"),
        (("a", "keyword", 0), "search.limit"),
        (("a", "semantic"), "search.model_missing"),
        (("a", "hybrid"), "search.model_missing"),
    ],
)
def test_wrong_use_is_named(local: LocalSink, arguments: tuple[str], code: str) -> None:
    put(local, "test:one", "a")
    with pytest.raises(UsageError) as caught:
        local.search(*arguments)
    assert caught.value.code == code


def test_a_hit_has_all_shown_fields(local: LocalSink) -> None:
    long = "word " * 80 + "then five small apples fell " + "word " * 80
    put(local, "test:one", "nothing", long)
    (hit,) = local.search('small "five"')
    assert (hit.item_id, hit.title) == ("test:one", "Title of test:one")
    assert (hit.start_s, hit.end_s) == (30.0, 60.0)
    assert hit.deep_link == "http://127.0.0.1/test:one?t=30"
    assert hit.path == "media/one.mp4"
    assert hit.text == long
    assert "then **five** **small** apples" in hit.snippet
    assert 160 <= len(hit.snippet.replace("**", "")) <= 200
    assert hit.snippet.startswith("… ") and hit.snippet.endswith(" …")


def test_equal_scores_keep_their_order(local: LocalSink) -> None:
    for name in ("c", "a", "b"):
        put(local, f"test:{name}", *["same words"] * 20)
    expected = [("test:a", number * 30.0) for number in range(20)]
    for _ in range(2):
        assert [(hit.item_id, hit.start_s) for hit in local.search("same")] == expected
        local.optimize()


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("Fünf  Äpfel\nund f***", "funf", "**Fünf** Äpfel und f∗∗∗"),
        ("cafe\u0301 au lait", "CAFE lait", "**café** au **lait**"),
        ("red fox, red hen", '"red fox" red', "**red fox**, **red** hen"),
        ("an e-mail", "e-mail", "an **e-mail**"),
        ("我们的人工智能", "智能", "我们的人工**智能**"),
        ("nothing here", "else", "nothing here"),
        ("", "else", ""),
    ],
)
def test_marks_in_snippets(text: str, query: str, expected: str) -> None:
    assert snippet(text, parse_query(query)) == expected


def test_snippets_never_lose_or_invent_text() -> None:
    rng = random.Random(7)
    letters = ["fünf", "red", "e-mail", "人工智能" * 9, "x" * 300, "½", "A\u0308pfel", "-", "…"]
    for _ in range(300):
        text = " ".join(rng.choices(letters, k=rng.randrange(60)))
        terms = parse_query(" ".join(rng.choices([*letters, '"red fünf"'], k=3)))
        shown = snippet(text, terms)
        bare = shown.replace("**", "").removeprefix("… ").removesuffix(" …")
        assert tokens(bare) == tokens(text) or len(bare) <= 200
        assert "".join(tokens(bare)) in "".join(tokens(text))
        assert shown.count("**") % 2 == 0


# --- several processes, crashes, damage ------------------------------------------------------

CHILD = """
import sys
from tests.support.sink_contract import make_item, make_passages
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
sink = LocalSink(Settings(home=sys.argv[1]))
who = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(sys.argv[3])):
    for name in ("test:a", "test:b"):
        item = make_item(name)
        texts = [f"{who} {turn} part{n}" for n in range(1 + (turn + len(who)) % 5)]
        sink.publish(item, make_passages(item, texts))
print("done", flush=True)
"""


def child(home: Path, who: str, turns: int) -> subprocess.Popen[str]:
    """Start a process that publishes two items over and over, after a line on stdin."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home), who, str(turns)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin and process.stdout
    assert process.stdout.readline().strip() == "ready"
    process.stdin.write("\n")
    process.stdin.flush()


def assert_whole(sink: LocalSink, item_id: str) -> None:
    """Check that the item holds exactly one publish: all of its passages, and their hash."""
    texts = [passage.text for passage in sink.passages(item_id)]
    assert texts, f"{item_id} lost its passages"
    who, turn, _ = texts[0].split()
    assert texts == [f"{who} {turn} part{n}" for n in range(1 + (int(turn) + len(who)) % 5)]
    item = make_item(item_id)
    before = sink.status(item_id)
    assert before == sink.publish(item, make_passages(item, texts))
    hits = sink.search(f"{who} {turn}", limit=50)
    assert sorted(hit.text for hit in hits if hit.item_id == item_id and turn in hit.text) == texts


@pytest.mark.slow
def test_two_writers_and_a_reader(tmp_path: Path, local: LocalSink) -> None:
    writers = [child(tmp_path, who, 12) for who in ("anna", "berta2")]
    for writer in writers:
        start(writer)
    looks = 0
    while any(writer.poll() is None for writer in writers):
        if local.count():
            whole = {tuple(hit.text.split()[:2]) for hit in local.search("part0", limit=9)}
            assert len(whole) <= 2  # one publish of each item
            looks += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert looks > 3
    assert [held.remote_id for held in local.list()] == ["test:a", "test:b"]
    for item_id in ("test:a", "test:b"):
        assert_whole(local, item_id)


@pytest.mark.slow
def test_killed_in_the_middle_of_publishing(tmp_path: Path, local: LocalSink) -> None:
    rng = random.Random(1)
    processes = [child(tmp_path, f"round{number}", 1000) for number in range(4)]
    for process in processes:
        start(process)
        while local.status("test:b").status == "missing":
            time.sleep(0.01)
        time.sleep(rng.uniform(0.05, 0.3))
        process.kill()  # SIGKILL, or TerminateProcess on Windows
        process.wait()
        for item_id in ("test:a", "test:b"):
            assert_whole(local, item_id)
        assert local.count() == sum(len(local.passages(name)) for name in ("test:a", "test:b"))


def test_a_missing_index_is_made_by_the_next_publish(tmp_path: Path, local: LocalSink) -> None:
    """As after the death of the process that made the table."""
    put(local, "test:a", "first words")
    lancedb.connect(tmp_path / "index.lance").open_table("passages").drop_index("tokens_idx")
    reopened = LocalSink(Settings(home=tmp_path))
    put(reopened, "test:b", "second words")
    assert sorted(found(reopened.search("words"))) == ["first words", "second words"]
    table = lancedb.connect(tmp_path / "index.lance").open_table("passages")
    assert table.index_stats("tokens_idx") is not None


def test_a_rebuild_keeps_what_others_publish_meanwhile(
    tmp_path: Path, local: LocalSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(local, "test:kept", "kept words")
    put(local, "test:changed", "before the rebuild")
    put(local, "test:gone", "gone words")
    other = LocalSink(Settings(home=tmp_path))
    swap = tables.PassageTables.make_current

    def swap_while_others_write(self: tables.PassageTables, name: str) -> str:
        put(other, "test:late", "published late")
        replaced = swap(self, name)
        put(other, "test:later", "published after")
        return replaced

    monkeypatch.setattr(tables.PassageTables, "make_current", swap_while_others_write)

    def library() -> list[tuple[MediaItem, list[Passage]]]:
        listed = [source("test:kept", "kept words"), source("test:gone", "gone words")]
        listed.append(source("test:changed", "before the rebuild"))
        put(other, "test:changed", "changed meanwhile")
        other.delete("test:gone")
        return listed

    def lazily() -> Iterator[
        tuple[MediaItem, list[Passage]]
    ]:  # the library is read while others write
        yield from library()

    assert local.rebuild(lazily()) >= 2
    held = {held.remote_id: local.passages(held.remote_id)[0].text for held in other.list()}
    assert held == {
        "test:kept": "kept words",
        "test:changed": "changed meanwhile",
        "test:late": "published late",
        "test:later": "published after",
    }
    assert found(other.search("meanwhile")) == ["changed meanwhile"]


def test_rebuild_replaces_everything_and_leaves_one_table(tmp_path: Path, local: LocalSink) -> None:
    put(local, "test:old", "old words")
    reader = LocalSink(Settings(home=tmp_path))
    assert found(reader.search("old")) == ["old words"]
    for text in ("new words", "newer words"):
        assert local.rebuild([source("test:new", text), source("test:new", "twice")]) == 1
        assert found(reader.search("words")) == [text]
    assert reader.status("test:old").status == "missing"
    assert len(list((tmp_path / "index.lance").glob("*.lance"))) == 1
    local.clear()
    assert local.count() == 0
    with pytest.raises(KnowledgeBaseError) as caught:
        reader.search("words")
    assert caught.value.code == "index.empty"


def test_a_rebuild_that_fails_leaves_the_old_index(tmp_path: Path, local: LocalSink) -> None:
    put(local, "test:old", "old words")

    def broken() -> Iterator[tuple[MediaItem, list[Passage]]]:
        yield source("test:new", "new words")
        raise OSError("the share went away")

    with pytest.raises(OSError, match="share"):
        local.rebuild(broken())
    assert len(list((tmp_path / "index.lance").glob("*.lance"))) == 1
    assert found(LocalSink(Settings(home=tmp_path)).search("words")) == ["old words"]


def test_an_index_that_does_not_exist_yet(tmp_path: Path, local: LocalSink) -> None:
    with pytest.raises(KnowledgeBaseError) as caught:
        local.search("words")
    assert caught.value.code == "index.empty"
    assert caught.value.values == {"folder": str(tmp_path / "index.lance")}
    assert "kb reindex" in caught.value.hint
    assert local.count() == 0
    assert list(tmp_path.iterdir()) == []  # a search creates nothing
    put(local, "test:one", "words")
    shutil.rmtree(tmp_path / "index.lance")
    assert local.count() == 0
    put(local, "test:one", "words")
    assert found(local.search("words")) == ["words"]


def _garbage_in(pattern: str, folder: Path) -> None:
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            path.write_bytes(b"garbage")


@pytest.mark.parametrize(
    "pattern", ["_versions/*", "data/*", "_indices/**/*", "current", "table", "folder", "gone"]
)
def test_a_damaged_index_says_so_and_can_be_rebuilt(
    tmp_path: Path, local: LocalSink, pattern: str
) -> None:
    local.rebuild([source("test:one", "some words", "more words")])
    put(local, "test:two", "some words")
    local.optimize()
    folder = tmp_path / "index.lance"
    (table,) = folder.glob("*.lance")
    if pattern in ("table", "gone"):
        shutil.rmtree(table)
    if pattern == "table":
        table.write_text("garbage")
    elif pattern == "folder":
        shutil.rmtree(folder)
        folder.write_text("garbage")
    elif pattern != "gone":
        _garbage_in(pattern, folder)
    opened = LocalSink(Settings(home=tmp_path))
    with pytest.raises(KnowledgeBaseError) as caught:
        opened.search("words")
    assert caught.value.code == "index.unreadable"
    assert caught.value.values["folder"] == str(folder)
    assert "kb reindex" in caught.value.hint
    assert opened.rebuild([source("test:one", "some words")]) >= 1
    assert found(opened.search("words", limit=1)) == ["some words"]
    put(opened, "test:three", "three words")
    assert found(opened.search("three", limit=1)) == ["three words"]


def test_any_damage_is_reported_as_damage(tmp_path: Path, local: LocalSink) -> None:
    local.rebuild([source(f"test:{n}", "some words", "more words") for n in range(5)])
    pristine = tmp_path / "pristine"
    (tmp_path / "index.lance").rename(pristine)
    files = sorted(path.relative_to(pristine) for path in pristine.rglob("*") if path.is_file())
    rng = random.Random(3)
    home = tmp_path / "copy"
    for name in files * 2:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(pristine, home / "index.lance")
        content = bytearray((pristine / name).read_bytes())
        at = rng.randrange(max(1, len(content)))
        damaged = content[:at] if rng.random() < 0.5 else content[:at] + rng.randbytes(40)
        (home / "index.lance" / name).write_bytes(damaged)
        try:
            LocalSink(Settings(home=home)).search('"some words"')
        except KnowledgeBaseError as error:
            assert "kb reindex" in error.hint


def test_old_versions_are_deleted(
    tmp_path: Path, local: LocalSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "KEEP_VERSIONS", tables.timedelta(milliseconds=1))
    monkeypatch.setattr(tables, "MAX_OLD_VERSIONS", 8)
    files = []
    for turn in range(60):
        put(local, f"test:{turn % 5}", *[f"turn {turn} line {n}" for n in range(3)])
        files.append(sum(1 for path in tmp_path.rglob("*") if path.is_file()))
    # Without deletion the second half would hold twice as many; the number between two
    # clean-ups depends on the time.
    assert max(files[30:]) <= 1.5 * max(files[:30])
    assert local.count() == 15


# --- meaning -------------------------------------------------------------------------------


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


def test_a_hit_leads_to_the_second_of_its_first_word(local: LocalSink) -> None:
    item = make_item("file:0123456789ab")
    words = "before every evening the harbour lantern sleeps"
    passage = Passage(
        id=f"{item.id}#0000",
        item_id=item.id,
        start_s=60.0,
        end_s=75.0,
        text=words,
        deep_link="http://127.0.0.1:8501/?tab=Library&item=file%3A0123456789ab&t=60",
        word_starts_s=tuple(60.0 + 2.25 * place for place in range(len(words.split()))),
    )
    local.publish(item, [passage])
    for query in ("lantern", "LANTERN sleeps", '"lantern sleeps"'):
        (hit,) = local.search(query)
        assert hit.at_s == 71.25
        assert hit.deep_link.endswith("&t=71")
        assert (hit.start_s, hit.end_s) == (60.0, 75.0)
    unknown = replace(passage, word_starts_s=())
    local.publish(item, [unknown])
    assert local.search("lantern")[0].at_s == 60.0
