"""The forms in which a query's word is found, missing words, occurrences, and suggestions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kb.service import Service
from kb.settings import Settings
from kb.sinks.local.sink import LocalSink
from kb.sinks.local.vocabulary import Vocabulary, VocabularyCache
from tests.support.sink_contract import make_item, make_passages

# Word number n of every passage is spoken at n seconds.
GERMAN = (
    "die Donaudampfschifffahrtsgesellschaft tagt im Rathaus",
    "ein Haus am Hafen mit einer Karte",
    "Herr Müller und Frau Schröder im Krankenhaus",
    "die Bundesnachrichtendienstzentrale sagt nichts",
)
ENGLISH = (
    "the COVID-19 report does not mention the e-mail at all",
    "covid19 was a word and we don't say it",
    "GPT-4o and C++ are not C# at R&D",
    "a plain C program with 1,000 lines and 3,5 percent",
    "were they here when the toe hurt so we went to the harbour",
    "poets like the harbour and the lantern in the harbour",
    "it was 1000 years ago in the mill",
)
KOREAN_AND_CHINESE = ("나는 학교에서 왔다", "人工智能 und mehr")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LocalSink:
    sink = LocalSink(Settings(home=tmp_path_factory.mktemp("forms")))
    for item_id, language, texts in (
        ("test:de", "de", GERMAN),
        ("test:en", "en", ENGLISH),
        ("test:cjk", "ko", KOREAN_AND_CHINESE),
    ):
        publish(sink, item_id, language, texts)
    return sink


def publish(sink: LocalSink, item_id: str, language: str, texts: Sequence[str]) -> None:
    item = make_item(item_id)
    found = make_passages(item, texts)
    sink.publish(
        item,
        [
            replace(
                passage,
                language=language,
                start_s=100.0 * number,
                word_starts_s=tuple(100.0 * number + n for n in range(len(passage.text.split()))),
            )
            for number, passage in enumerate(found)
        ],
    )


def texts(sink: LocalSink, query: str) -> set[str]:
    return {hit.text for hit in sink.search(query, limit=50) if not hit.missing}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # The start, the end and the middle of a word
        ("haus*", {GERMAN[1]}),
        ("*haus", {GERMAN[0], GERMAN[1], GERMAN[2]}),
        ("Ha*n", {GERMAN[1]}),
        ("harb*", {ENGLISH[4], ENGLISH[5]}),
        ("e-ma*", {ENGLISH[0]}),
        ("zzz*", set()),
        ("covid*", {ENGLISH[0], ENGLISH[1]}),
        # Parts of compounds
        ("Dampfschifffahrt", {GERMAN[0]}),
        ("Donaudampf", {GERMAN[0]}),
        ("Gesellschaft", {GERMAN[0]}),
        ("Nachrichtendienst", {GERMAN[3]}),
        ("haus", {GERMAN[0], GERMAN[1], GERMAN[2]}),
        ("Kranken", {GERMAN[2]}),
        ("hurt", {ENGLISH[4]}),
        ("ill", set()),  # mill is no compound
        ("rat", set()),  # too short to be looked for in compounds
        ("our", set()),  # harbour is English
        # Together and apart
        ("covid19", {ENGLISH[0], ENGLISH[1]}),
        ("COVID-19", {ENGLISH[0], ENGLISH[1]}),
        ("covid 19", {ENGLISH[0]}),
        ("gpt4o", {ENGLISH[2]}),
        ("GPT-4o", {ENGLISH[2]}),
        ("gpt 4o", {ENGLISH[2]}),
        ("dont", {ENGLISH[1]}),
        ("don't", {ENGLISH[1]}),
        ("don’t", {ENGLISH[1]}),
        ("email", {ENGLISH[0]}),
        ("e mail", {ENGLISH[0]}),
        ("rd", {ENGLISH[2]}),
        ("were", {ENGLISH[4]}),
        ("1000", {ENGLISH[3], ENGLISH[6]}),
        ("1,000", {ENGLISH[3], ENGLISH[6]}),
        ("1.000", {ENGLISH[3], ENGLISH[6]}),
        ("35", set()),  # 3,5 is another number
        ("3,5", {ENGLISH[3]}),
        # Umlauts
        ("Müller", {GERMAN[2]}),
        ("Mueller", {GERMAN[2]}),
        ("muller", {GERMAN[2]}),
        ("Schroeder", {GERMAN[2]}),
        ("toe", {ENGLISH[4]}),  # and not every "to"
        # Signs that make another word
        ("C++", {ENGLISH[2]}),
        ("c#", {ENGLISH[2]}),
        ("C#,", {ENGLISH[2]}),
        ("F#", set()),
        ("c", {ENGLISH[2], ENGLISH[3]}),
        # Scripts without spaces
        ("학교", {KOREAN_AND_CHINESE[0]}),
        ("智能", {KOREAN_AND_CHINESE[1]}),
        # A phrase is exact
        ('"haus"', {GERMAN[1]}),
        ('"covid19"', {ENGLISH[1]}),
        ('"haus*"', {GERMAN[1]}),
        # Several words, one of them in another form
        ("covid19 mention", {ENGLISH[0]}),
        ("Rathaus Dampfschifffahrt", {GERMAN[0]}),
        ("dampf* rathaus", set()),
        ("donau* rathaus", {GERMAN[0]}),
    ],
)
def test_a_word_is_found_in_its_other_forms(
    index: LocalSink, query: str, expected: set[str]
) -> None:
    assert texts(index, query) == expected


@pytest.mark.parametrize(
    ("query", "word", "similar"),
    [
        ("harbor", "harbor", "harbour"),
        ("lantren harbour", "lantren", "lantern"),
        ("Krankenhauss", "Krankenhauss", "krankenhaus"),
        ("percentt", "percentt", "percent"),
        ("prog", "prog", "program"),
    ],
)
def test_a_word_that_is_nowhere_has_suggestions(
    index: LocalSink, query: str, word: str, similar: str
) -> None:
    (unknown,) = index.unknown_words(query)
    assert unknown.word == word
    assert unknown.similar[0] == similar


@pytest.mark.parametrize(
    "query", ["harbour", "haus*", "covid19", "mueller", "???", '"the harbour"']
)
def test_known_words_have_no_suggestions(index: LocalSink, query: str) -> None:
    assert list(index.unknown_words(query)) == []


@pytest.mark.parametrize(
    ("among", "unknown"),
    [
        (None, ["harbor", "xylophonist"]),
        ({"xylophonist"}, ["xylophonist"]),
        ({"mill", "harbor"}, ["harbor"]),
        ({"Harbor"}, []),  # as it was typed
        (set(), []),
    ],
)
def test_only_the_words_that_are_asked_for_are_looked_for(
    index: LocalSink, among: set[str] | None, unknown: list[str]
) -> None:
    found = index.unknown_words("harbor mill xylophonist", among)
    assert [each.word for each in found] == unknown


def test_a_word_like_no_other_is_unknown_without_suggestions(index: LocalSink) -> None:
    (unknown,) = index.unknown_words("harbour xylophonist")
    assert (unknown.word, unknown.similar) == ("xylophonist", ())


@pytest.mark.parametrize(
    ("query", "complete", "missing"),
    [
        ("harbour lantern", {ENGLISH[5]}, {ENGLISH[4]: ("lantern",)}),
        ("harbour nowhere", set(), {ENGLISH[4]: ("nowhere",), ENGLISH[5]: ("nowhere",)}),
        ("lantern poets toe", set(), {ENGLISH[5]: ("toe",), ENGLISH[4]: ("lantern", "poets")}),
        ("C++ lantern", set(), {ENGLISH[2]: ("lantern",), ENGLISH[5]: ("C++",)}),
        ('"the harbour" mill', set(), {ENGLISH[4]: ("mill",), ENGLISH[5]: ("mill",)}),
        ("zz* lantern", set(), {ENGLISH[5]: ("zz*",)}),
    ],
)
def test_hits_name_the_words_that_they_lack(
    index: LocalSink, query: str, complete: set[str], missing: dict[str, tuple[str, ...]]
) -> None:
    hits = index.search(query, limit=50)
    assert {hit.text for hit in hits if not hit.missing} == complete
    assert {hit.text: hit.missing for hit in hits if hit.missing} == missing
    flags = [bool(hit.missing) for hit in hits]
    assert flags == sorted(flags)  # those with all words come first


@pytest.mark.parametrize(
    ("query", "at_s", "seconds"),
    [
        ("harbour", 503, [503, 509]),  # both places of the word
        ('"the harbour"', 502, [502, 508]),
        ('"in the harbour" poets', 507, [500, 507]),  # the phrase goes before other words
        ("lantern harbour", 503, [503, 506, 509]),
    ],
)
def test_a_hit_has_the_second_of_every_occurrence(
    index: LocalSink, query: str, at_s: float, seconds: list[float]
) -> None:
    (hit,) = [hit for hit in index.search(query) if hit.text == ENGLISH[5] and not hit.missing]
    assert hit.at_s == at_s
    assert [one.at_s for one in hit.occurrences] == seconds
    assert all(hit.text[hit.text.lower().index(one.text) :] for one in hit.occurrences)


def test_the_second_is_that_of_the_words_that_the_snippet_quotes(tmp_path: Path) -> None:
    """The first word of the query occurs long before the place that the snippet shows."""
    sink = LocalSink(Settings(home=tmp_path))
    text = "harbour " + "filler " * 60 + "granite castle stands at the harbour " + "more " * 30
    publish(sink, "test:long", "en", [text])
    for query in ("harbour castle", '"granite castle" harbour', "castle granite"):
        (hit,) = sink.search(query)
        quoted = hit.snippet.split("**")[1]
        assert (
            hit.text.split()[int(hit.at_s)] == quoted.split()[0] == "granite" or quoted == "castle"
        )
        assert hit.at_s >= 61


def test_the_list_of_words_follows_the_index(tmp_path: Path) -> None:
    sink = LocalSink(Settings(home=tmp_path))
    publish(sink, "test:a", "en", ["harbour"])
    assert texts(sink, "har*") == {"harbour"}
    publish(sink, "test:a", "en", ["hardware"])
    publish(sink, "test:b", "en", ["harmless"])
    assert texts(sink, "har*") == {"hardware", "harmless"}
    sink.delete("test:b")
    assert texts(sink, "har*") == {"hardware"}
    sink.rebuild([])
    assert [unknown.word for unknown in sink.unknown_words("har*")] == ["har*"]


@pytest.mark.slow
def test_the_list_of_words_is_kept_in_a_file_that_may_be_damaged(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    sink = LocalSink(settings)
    for number in range(60):
        publish(sink, f"test:{number}", "en", [f"word{number} harbour"])
    assert len(texts(sink, "word5*")) == 11
    (kept,) = (tmp_path / "index.lance").glob("*.feather")

    def words() -> Vocabulary:
        heads = {one.remote_id: one.content_sha256 for one in sink.list()}
        return sink._tables.read(
            lambda table: VocabularyCache(kept).of(table, lambda _: heads)
        ) or Vocabulary({})

    expected = sorted(words().all)
    assert "word59" in expected
    for damage in (kept.read_bytes()[:100], b"", b"nonsense"):
        kept.write_bytes(damage)
        assert sorted(words().all) == expected


def test_the_service_says_whether_there_is_more(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish(LocalSink(settings), "test:a", "en", [f"harbour number{n}" for n in range(5)])
    service = Service(settings)
    result = service.search.run("harbour", limit=3)
    assert (len(result.hits), result.has_more) == (3, True)
    result = service.search.run("harbour", limit=5)
    assert (len(result.hits), result.has_more) == (5, False)
    result = service.search.run("harbor number1", limit=5)
    assert [unknown.word for unknown in result.unknown] == ["harbor"]
    assert (len(result.complete), len(result.partial)) == (0, 1)
    service.close()
