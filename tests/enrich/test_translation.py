"""Translations by the language model: the segments and times of the original, or a mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.quoted_talk import talk
from kb.database import Database
from kb.enrich import get_step
from kb.enrich.base import BASIS, FURTHER, ItemText, StepInput
from kb.enrich.llm import client
from kb.enrich.translation import chat, checks
from kb.enrich.translation.units import Unit, given_back, units
from kb.errors import KBError, LibraryError, UsageError
from kb.transcript.translation import read_translation
from kb.types import Segment, SpeechSpan
from kb.types.translation import Translation
from tests.enrich.test_llm_client import KEY, settings
from tests.enrich.test_notes import HOSTILE, spoken, transcript
from tests.fakes import translator as fake
from tests.fakes.chat import ChatServer
from tests.support.items import item
from tests.support.raising import raises

SENTENCES = [
    "Welcome to the harbour talk of today.",
    "The ferry 117 to Kiruna leaves at noon on weekdays.",
    "The price of copper will not fall before March 2031.",
    "Yes.",
    "Erik Olsen repairs it, as he has done",
    "for the last forty years without any help",
    "and without a single day of holidays.",
    HOSTILE,
]


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with ChatServer(fake.translator()) as made:
        yield made


@pytest.fixture(autouse=True)
def fresh(server: ChatServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.answer, server.faults = fake.translator(), []
    server.asked.clear()
    monkeypatch.setattr(client, "PAUSE_S", 0.0)
    (tmp_path / "home").mkdir()
    Database.open(settings(tmp_path)).close()


def spoken_close(sentences: list[str]) -> tuple[Segment, ...]:
    """Return segments with a short pause between them, as in a sentence."""
    at, found = 0.0, []
    for segment in spoken(sentences):
        length = segment.end_s - segment.start_s
        found.append(Segment(at, at + length, segment.text, ()))
        at += length + 0.4
    return tuple(found)


def given(
    server: ChatServer, folder: Path, segments: tuple[Segment, ...], **values: object
) -> StepInput:
    options = {"into": values.pop("into", "de"), "via": values.pop("via", "llm")}
    language = str(values.pop("language", "en"))
    made = settings(
        folder, KB_LLM_URL=server.url, KB_LLM_MODEL="tiny", KB_LLM_KEY=KEY, **values
    )  # fmt: skip
    said = replace(transcript(segments), language=language)
    return StepInput(None, "abc", None, options, ItemText(item(1), said, made, ("Kiruna",)))


def run(data: StepInput, language: str = "de") -> Translation:
    document = get_step("translate").run(data, lambda _: None)[FURTHER][f"{language}.transcript"]
    return read_translation(json.loads(json.dumps(document)), language)


def check_times(found: Translation, segments: tuple[Segment, ...]) -> None:
    assert [(each.start_s, each.end_s) for each in found.segments] == [
        (each.start_s, each.end_s) for each in segments
    ]
    assert all(bool(each.text) != bool(each.mark) for each in found.segments)


def words_of(found: Translation) -> list[str]:
    return " ".join(each.text for each in found.segments).split()


IN_BATCHES = (
    fake.merged, fake.moved_up, fake.dropped, fake.added, fake.swapped, fake.swapped_texts,
    fake.doubled, fake.untranslated, fake.endless, fake.too_short, fake.empty, fake.linked,
    fake.tagged, fake.another_schema, fake.obeying,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil", [None, *IN_BATCHES], ids=lambda each: getattr(each, "__name__", "good")
)
def test_lines_that_are_spoiled_among_others_are_asked_for_again(
    spoil: fake.Spoiler | None, server: ChatServer, tmp_path: Path
) -> None:
    segments = spoken_close(SENTENCES)
    server.answer = fake.translator(spoil)
    found = run(given(server, tmp_path, segments))
    check_times(found, segments)
    assert not found.marks
    # Nothing is lost, and nothing has moved: each segment has its own words.
    for segment, each in zip(segments, found.segments, strict=True):
        if segment.text not in SENTENCES[4:7]:
            assert each.text == fake.translated(segment.text)
    assert words_of(found) == fake.translated(" ".join(SENTENCES)).split()
    calls = len(server.asked)
    assert run(given(server, tmp_path, segments)) == found
    assert len(server.asked) == calls
    if spoil is None:
        assert calls == 1
        assert "Names and terms: Kiruna" in server.asked[0].text
    for asked in server.asked:
        assert "evil.example" not in str(asked.headers)


ALWAYS = [
    (fake.untranslated, "untranslated"), (fake.endless, "length"), (fake.too_short, "length"),
    (fake.empty, "failed"), (fake.linked, "markup"), (fake.tagged, "markup"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "mark"), ALWAYS)
def test_a_line_without_a_translation_is_marked_and_not_filled(
    spoil: fake.Spoiler, mark: str, server: ChatServer, tmp_path: Path
) -> None:
    server.answer = fake.translator(spoil, always=True)
    segments = spoken_close([SENTENCES[1], f"{SENTENCES[0][:-1]} and of the days before it.",
                             *SENTENCES[2:]])  # fmt: skip
    found = run(given(server, tmp_path, segments))
    check_times(found, segments)
    assert [each.mark for each in found.segments] == ["", mark, *[""] * 6]
    assert found.segments[1].text == ""
    assert len(server.asked) < 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "calls"),
    [
        (["length"], 3), (["foreign"] * 2, 4), (["prose"] * 2, 4), (["tool"] * 2, 4),
        (["fenced"], 1), (["half", "busy", "error"], 4), (["declined"], 3),
        (["empty_choice"] * 2, 4),
        (["no_usage"], 1),
    ],
)  # fmt: skip
def test_bad_answers_are_asked_for_in_halves(
    faults: list[str], calls: int, server: ChatServer, tmp_path: Path
) -> None:
    server.faults = list(faults)
    segments = spoken_close(SENTENCES)
    if faults[0] == "half":
        with pytest.raises(KBError) as caught:  # three times without an answer: later again
            run(given(server, tmp_path, segments))
        assert caught.value.retryable
    found = run(given(server, tmp_path, segments))
    check_times(found, segments)
    assert not found.marks and len(server.asked) == calls


@pytest.mark.parametrize(
    ("faults", "always", "code"),
    [
        (["declined"] * 999, None, "llm.declined"),  # a language that the model refuses
        ([], fake.another_schema, "llm.form"),
        ([], fake.obeying, "llm.form"),
        (["length"] * 999, None, "llm.cut"),
        ([], lambda lines, found: {n: {"first": "", "text": t} for n, t in lines.items()},
         "translation.none"),
    ],
)  # fmt: skip
def test_a_model_that_gives_nothing_is_not_asked_for_ever(
    faults: list[str], always: Any, code: str, server: ChatServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(chat, "GIVEN_UP_AFTER", 4)
    server.faults, server.answer = faults, fake.translator(always, always=True)
    with raises(KBError, code):
        run(given(server, tmp_path, talk(30_000)))
    assert len(server.asked) <= 2 * 4


def test_where_a_model_stops_to_answer_the_rest_is_marked(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "GIVEN_UP_AFTER", 4)
    segments = talk(3_000)
    data = given(server, tmp_path, segments)
    server.faults = [*[""] * 2, *["declined"] * 999]
    found = run(data)
    check_times(found, segments)
    batches = len(list(chat._batches(list(units(segments, lambda _: True)))))
    assert found.marks["failed"] > len(segments) // 2
    assert len(server.asked) <= 2 + 2 * 4 + batches


def test_a_sentence_is_translated_whole_and_given_back(server: ChatServer, tmp_path: Path) -> None:
    segments = spoken_close(SENTENCES)
    found = run(given(server, tmp_path, segments))
    lines = fake.lines_of(server.asked[0])
    assert lines["4"] == " ".join(SENTENCES[4:7])
    assert [len(each.text.split()) for each in found.segments[4:7]] == [8, 8, 7]


@pytest.mark.parametrize("sentences", [[], ["   "], ["Yes."], ["..."]])
def test_next_to_nothing_is_no_error(
    sentences: list[str], server: ChatServer, tmp_path: Path
) -> None:
    segments = tuple(Segment(float(n), n + 1.0, text, ()) for n, text in enumerate(sentences))
    found = run(given(server, tmp_path, segments))
    assert len(found.segments) == len(segments)
    assert len(server.asked) == (1 if sentences in (["Yes."], ["..."]) else 0)


def test_what_is_said_in_the_language_already_is_not_asked_for(
    server: ChatServer, tmp_path: Path
) -> None:
    segments = spoken_close(SENTENCES)
    german = (replace(segments[0], text="Guten Tag im Hafen.", language="de"), *segments[1:])
    found = run(given(server, tmp_path, german))
    assert found.segments[0].text == "Guten Tag im Hafen."
    assert "Hafen" not in server.asked[0].text
    same = get_step("translate").run(
        given(server, tmp_path, segments, language="de"), lambda _: None
    )
    assert same["same"] == ["de"] and same[FURTHER] == {} and len(server.asked) == 1


def test_doubtful_passages_are_left_out_on_request(server: ChatServer, tmp_path: Path) -> None:
    segments = spoken_close(SENTENCES)
    data = given(server, tmp_path, segments, KB_LLM_DOUBTFUL="leave_out")
    assert data.text is not None
    gap = SpeechSpan(segments[1].start_s, segments[1].start_s + 0.5)
    said = data.text.transcript
    doubtful = replace(said, coverage=replace(said.coverage, gaps=(gap,)))
    found = run(replace(data, text=replace(data.text, transcript=doubtful)))
    assert found.segments[1].mark == "left_out" and found.marks.total() == 1
    assert "ferry" not in server.asked[0].text


def test_several_languages_are_documents_of_their_own(server: ChatServer, tmp_path: Path) -> None:
    step, segments = get_step("translate"), spoken_close(SENTENCES[:2])
    data = given(server, tmp_path, segments, into="de, French")
    assert step.further(data) == ("de.transcript", "fr.transcript")
    shares: list[float] = []
    result = step.run(data, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    stored = result.pop(FURTHER)
    result[BASIS] = step.basis(data)
    assert step.is_current(replace(data, stored=stored), result)
    # Another language is added without the first one being made again.
    more = replace(data, stored=stored, options={**data.options, "into": "de,es"})
    assert not step.is_current(more, result)
    assert list(step.run(more, lambda _: None)[FURTHER]) == ["es.transcript"]
    changed = given(server, tmp_path, spoken_close(SENTENCES[:3]), into="de, French")
    assert not step.is_current(replace(changed, stored=stored), result)
    assert KEY not in json.dumps(stored)


@pytest.mark.parametrize("into", ["", " , ", "xx", "de,klingon", "../de", "de.transcript"])
def test_a_language_that_is_none_is_named(into: str, server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(given(server, tmp_path, spoken_close(SENTENCES[:1]), into=into))
    assert not server.asked


def test_without_a_price_a_limit_of_price_refuses(server: ChatServer, tmp_path: Path) -> None:
    data = given(server, tmp_path, spoken_close(SENTENCES), KB_LLM_PRICE_CAPS="item=1")
    assert data.text is not None
    own = tmp_path / "models.yaml"
    own.write_text("date: 2026-01-01\nmodels:\n  - {host: '*', model: '*'}\n", "utf-8")
    text = replace(data.text, settings=settings(
        tmp_path, KB_LLM_URL=server.url, KB_LLM_MODEL="tiny", KB_LLM_KEY=KEY,
        KB_LLM_PRICE_CAPS="item=1", KB_LLM_TABLE=str(own),
    ))  # fmt: skip
    with raises(UsageError, "llm.no_price"):
        run(replace(data, text=text))
    assert not server.asked


@pytest.mark.slow
def test_hours_are_translated_in_parts_and_go_on_after_a_kill(
    server: ChatServer, tmp_path: Path
) -> None:
    segments = talk(9_000)
    data = given(server, tmp_path, segments)

    class KilledError(Exception):
        pass

    def stop(share: float) -> None:
        if share > 0.5:
            raise KilledError

    with pytest.raises(KilledError):
        get_step("translate").run(data, stop)
    paid = len(server.asked)
    found = run(data)
    check_times(found, segments)
    assert not found.marks
    asked = [each.text for each in server.asked]
    assert len(asked) == len(set(asked)) and paid > 8  # nothing was paid for twice
    for text in asked:
        assert len(text.split()) < chat.MOST_WORDS + 2 * chat.MOST_LINES + 60


SAME = [
    ("Kiruna, Oslo, Bergen.", ("en", "de"), False),
    ("1984, 2001 and 2010.", ("en", "de"), False),
    ("OK.", ("en", "de"), False),
    ("Computer", ("en", "de"), False),
    ("Ring, Band, Hand", ("en", "de"), False),
    ("The ferry leaves at noon.", ("en", "de"), True),
    ("the ferry, leaves at NOON", ("en", "de"), True),
    ("Det er en god bil i dag.", ("da", "no"), False),
    ("Det er en god bil i dag.", ("da", "en"), True),
    ("Den Hafen erreicht die Fähre heute nicht.", ("de", "en"), True),
    ("今日はとても良い天気ですね。", ("ja", "en"), True),
]


@pytest.mark.parametrize(("text", "languages", "is_same"), SAME)
def test_the_same_text_is_no_translation_unless_it_may_be(
    text: str, languages: tuple[str, str], is_same: bool
) -> None:
    found = checks.problem(text, text, languages, frozenset())
    assert found == ("untranslated" if is_same else "")


@pytest.mark.parametrize(
    ("text", "source", "shown"),
    [
        ("Sieh auf https://a.example/b nach", "Look at https://a.example/b", True),
        ("Sieh auf https://a.example/c nach", "Look at https://a.example/b", False),
        ("Sieh <b>nach</b>", "Look <b>there</b>", False),
        ("[hier](https://a.example)", "[here](https://a.example)", False),
        ("<img src=x>", "<img src=y>", False),
        ("https:\u202a//a.example", "nothing", False),
        ("Schreib an a@b.example.", "Write to a@b.example.", True),
        ("Schreib an a@b.example.", "Write to us.", False),
        ("Schreib an a@b.example.", "Write to a@b.examples.", False),
        ("Zeile\nmit \x1b[31mFarbe", "line with colour", True),
    ],
)
def test_markup_of_its_own_is_refused(text: str, source: str, shown: bool) -> None:
    found = checks.shown(text, source)
    assert (found is not None) == shown
    assert found is None or ("\n" not in found and "\x1b" not in found)


def test_no_text_is_long_without_a_reason() -> None:
    assert checks.problem("Donaudampfschifffahrtsgesellschaft", "The company", ("en", "de"),
                          frozenset()) == ""  # fmt: skip
    assert checks.problem("今天天气很好", "The weather is very nice today, is it not?",
                          ("en", "zh"), frozenset()) == ""  # fmt: skip
    assert checks.problem("Das Wetter ist heute sehr schön, oder nicht?", "今天天气很好",
                          ("zh", "de"), frozenset()) == ""  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "translated", "parts"),
    [
        (("one two", "three."), "eins zwei drei.", ["eins zwei", "drei."]),
        (("one two three", "four five six."), "eins, zwei drei vier fünf sechs.",
         ["eins, zwei drei", "vier fünf sechs."]),
        (("one two three", "four five six."), "eins zwei drei vier, fünf sechs.",
         ["eins zwei drei vier,", "fünf sechs."]),
        (("a b c d e f g h i j", "k"), "eins zwei", ["eins", "zwei"]),
        (("one", "two", "three"), "eins zwei", None),
        (("good day", "to you all"), "大家好，祝你们今天愉快", None),
        (("one",), "", [""]),
    ],
)  # fmt: skip
def test_a_translation_is_given_back_by_words(
    texts: tuple[str, ...], translated: str, parts: list[str] | None
) -> None:
    found = given_back(Unit(0, len(texts), texts), translated)
    if "，" in translated:
        assert found is not None and "".join(found) == translated and len(found) == len(texts)
    else:
        assert found == parts


def test_units_have_each_segment_once() -> None:
    segments = talk(3_000)
    found = list(units(segments, lambda number: number % 7 != 3))
    numbers = [n for unit in found for n in range(unit.first, unit.last)]
    wanted = [n for n, s in enumerate(segments) if n % 7 != 3 and s.text.strip()]
    assert numbers == wanted


@pytest.mark.parametrize(
    "document",
    [
        {}, {"segments": {}}, {"segments": [{"start": 1.0, "end": 0.5, "text": "a"}]},
        {"segments": [{"start": 0.0, "end": 1.0}]},
        {"segments": [{"start": 0.0, "end": 1.0, "text": "", "mark": "odd"}]},
    ],
)  # fmt: skip
def test_a_damaged_translation_is_named(document: dict[str, Any]) -> None:
    with raises(LibraryError, "json.field"):
        read_translation(document, "de")


def test_whisper_leads_into_english_alone_with_times_of_its_own(
    server: ChatServer, tmp_path: Path
) -> None:
    step, segments = get_step("translate"), spoken_close(SENTENCES[:3])
    data = given(server, tmp_path, segments, into="en", via="whisper", language="de")
    assert step.hears(data)
    own = (Segment(0.5, 4.0, "The harbour.", ()), Segment(4.0, 5.0, " ", ()),
           Segment(5.0, 9.0, "See <b>it</b>.", ()))  # fmt: skip
    assert data.text is not None
    heard = replace(data.text.transcript, segments=own, language="en", model="small")
    found = run(replace(data, heard=heard), "en")
    assert [(each.start_s, each.text, each.mark) for each in found.segments] == [
        (0.5, "The harbour.", ""), (5.0, "", "markup"),
    ]  # fmt: skip
    assert (found.own_times, found.model, found.way) == (True, "small", "whisper")
    assert not step.hears(given(server, tmp_path, segments, into="en", via="whisper"))
    for into in ("de", "en,fr"):
        with raises(UsageError, "translation.only_english"):
            step.hears(given(server, tmp_path, segments, into=into, via="whisper", language="es"))
    assert not server.asked
