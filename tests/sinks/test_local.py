"""The local knowledge base in real folders: its words, phrases, order of hits and snippets."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.settings import Settings
from kb.sinks import SINKS, open_search, open_sink
from kb.sinks.base import SearchableSink, Sink, content_sha256
from kb.sinks.local import tables
from kb.sinks.local.marks import snippet
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.terms import parse_query
from kb.sinks.local.tokenizer import tokens
from kb.types import Passage, UnsurePassage
from tests.support.local_index import found, put
from tests.support.sink_contract import SinkContract, make_item, make_passages


class TestContract(SinkContract):
    @pytest.fixture
    def sink(self, tmp_path: Path) -> Sink:
        return open_sink("local", Settings(home=tmp_path / "Bibliothek ü #%20 '"))

    def texts(self, sink: Sink, item_id: str) -> list[str]:
        assert isinstance(sink, LocalSink)
        return [passage.text for passage in sink.passages(item_id)]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("harbour, noon?", ["harbour", "noon"]),
        ("(Köln) – ¿Rotterdam?!", ["Köln", "Rotterdam"]),
        ("C++, C#. haus*; don't", ["C++", "C#", "haus*", "don't"]),
        ("??? -- …", []),
    ],
)
def test_the_words_of_a_query_are_shown_without_punctuation(query: str, shown: list[str]) -> None:
    assert [term.text for term in parse_query(query)] == shown


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
        (("a", "semantic"), "meaning.no_model"),
        (("a", "hybrid"), "meaning.no_model"),
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


@pytest.mark.parametrize(
    ("query", "share"),
    [
        ("lantern", 0.5),
        ("before", None),
        ("before lantern", 0.5),  # one of the words found is there
        ("sleeps", 0.75),
        ('"lantern often"', 0.5),  # where the phrase begins
        ("harbour", None),  # between two of them
    ],
)
def test_a_hit_says_how_many_words_around_it_may_be_wrong(
    local: LocalSink, query: str, share: float | None
) -> None:
    words = "before every evening the harbour lantern often sleeps"
    passage = replace(
        make_passages(make_item("test:one"), [words])[0],
        word_starts_s=tuple(2.0 * place for place in range(8)),
        unsure=(UnsurePassage(10.0, 11.0, 0.5), UnsurePassage(13.5, 16.0, 0.75)),
    )
    local.publish(make_item("test:one"), [passage])
    (hit,) = local.search(query)
    assert hit.expected_errors == share
    assert local.passages("test:one") == [passage]


def test_an_index_of_an_older_version_takes_unsure_passages(local: LocalSink) -> None:
    item = make_item("test:one")
    (passage,) = make_passages(item, ["the harbour lantern"])
    before = local.publish(item, [passage]).content_sha256
    local._tables.write(lambda table: table.drop_columns(["unsure"]), tables.schema)
    (hit,) = local.search("lantern")
    assert hit.expected_errors is None
    unsure = replace(passage, unsure=(UnsurePassage(0.0, 30.0, 0.4),))
    assert local.publish(item, [unsure]).content_sha256 != before
    (hit,) = local.search("lantern")
    assert hit.expected_errors == 0.4
    # A passage without unsure parts keeps the hash that it had before there were any.
    assert local.publish(item, [passage]).content_sha256 == before
    assert content_sha256([replace(passage, unsure=())]) == before
