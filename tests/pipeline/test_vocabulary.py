"""Vocabulary of a channel: its list, names found, prompts, and corrections across items."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from gpu.manager import GPUManager
from kb.asr.batching.batcher import Batcher
from kb.asr.recognizer import Recognizer
from kb.asr.windows.windowing import Window
from kb.cli import run
from kb.errors import LibraryError, UsageError
from kb.jobs.queue.item_states import LibraryRow
from kb.library.extras import Extras
from kb.pipeline import screen_names, stages
from kb.pipeline.vocabulary import Vocabulary, names_of
from kb.service import Service
from kb.settings import Settings, get_settings
from kb.types import Chapter, Coverage, MediaItem, MediaRef, Segment, Timing, Transcript, Word
from tests.support.compose import compose
from tests.support.raising import check, raises
from tests.support.speech import Oracle, bank, blocks, detector, preset


def item(number: int, title: str, description: str = "", channel: str = "Talks") -> MediaItem:
    return MediaItem(
        f"youtube:video{number:06d}", "youtube", "", title, f"2026-01-{number + 1:02d}",
        channel=channel, description=description,
        chapters=(Chapter(0.0, "Intro"), Chapter(60.0, "What Zwingli wrote")),
        extra={"channel_id": f"UC{channel.lower()}"},
    )  # fmt: skip


TALKS = [
    item(0, "Zwingli and the Winter Harbour", "In winter the harbour sleeps. We met Anna Bell, "
         "again. Thanks! https://example.org/Nothing #NATO"),
    item(1, "What the OECD Says", "Zwingli again, and Anna Bell. The OECD says little."),
    item(2, "Rivers", "", channel="Another"),
]  # fmt: skip


def test_names_are_what_is_never_written_small() -> None:
    found = names_of(TALKS[:2])
    assert found[0] == "Zwingli"
    assert "Anna Bell" in found and "OECD" in found
    # Written small elsewhere, only ever first, or in a link.
    assert not {"Winter", "Harbour", "Winter Harbour", "Thanks", "In", "Nothing", "NATO"} & {*found}
    assert names_of([]) == ()
    assert len(names_of([item(n, f"about Name{n:03d}x it") for n in range(28)] * 9)) <= 60


def seen_in(lines: list[str], said: str, language: str) -> screen_names._Seen:
    segments = (Segment(0.0, 1.0, said, ()),) if said else ()
    return screen_names.seen_words(lines, segments, language)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A library with transcripts in two channels, known to queue and index."""
    made = Service(Settings(home=tmp_path / "home"))
    made.library.prepare()
    for each, text in zip(
        TALKS, ("then zwingly spoke of Zwingly's ice", "no such name", "zwingly here too"),
        strict=True,
    ):  # fmt: skip
        words = tuple(Word(2.0 + n, 2.9 + n, word, 0.5) for n, word in enumerate(text.split()))
        transcript = Transcript(
            MediaRef("a.webm", "", 60.0), (Segment(2.0, words[-1].end_s, text, words, "en"),),
            "en", "whisper", "demo", "stabil", Coverage(6.0, 6.0), Timing(),
        )  # fmt: skip
        entry, _ = stages.write(made.library, each, transcript, 0.0)
        stages.publish(made.library, made.settings, entry, transcript, "local")
    made.queue.items.adopt([LibraryRow(each, "done", grade="A") for each in TALKS])
    return made


def test_a_list_is_kept_by_channel(service: Service) -> None:
    own = service.vocabulary
    assert own.channels() == {}
    assert own.change("Talks", add=["Zwingli ", "Grossmünster", "Zwingli"]) == (
        "Zwingli", "Grossmünster",
    )  # fmt: skip
    own.change("*", add=["ODIN"])
    assert own.words("TALKS") == ("Zwingli", "Grossmünster", "ODIN")
    assert own.words("Rivers") == ("ODIN",)
    own.change("talks", remove=["Zwingli"])
    document = json.loads((service.library.home / "vocabulary.json").read_text("utf-8"))
    assert document["channels"] == {"Talks": ["Grossmünster"], "*": ["ODIN"]}
    own.change("Talks", remove=["Grossmünster"])
    assert own.channels() == {"*": ("ODIN",)}
    for wrong, code, word in (
        ({"add": [" "]}, "vocabulary.word", ""),
        ({"add": ["x" * 81]}, "vocabulary.word", "x" * 80),
        ({"remove": ["never there"]}, "vocabulary.word_missing", "never there"),
    ):
        with raises(UsageError, code, word=word):
            own.change("Talks", **wrong)
    (service.library.home / "vocabulary.json").write_text('{"channels": {"Talks": "x"}}')
    path = service.library.home / "vocabulary.json"
    with raises(LibraryError, "vocabulary.damaged", path=path):
        Vocabulary(service.library).words("Talks")


def test_hotwords_begin_with_the_list_and_need_one(service: Service) -> None:
    hotwords_for = service.vocabulary.hotwords_for
    assert hotwords_for(TALKS[0], service.queue.database) == ()
    service.vocabulary.change("Talks", add=["Grossmünster"])
    found = hotwords_for(TALKS[0], service.queue.database)
    assert found[:2] == ("Grossmünster", "Zwingli")
    assert "OECD" in found  # of another talk of the channel
    assert len(set(found)) == len(found)
    assert hotwords_for(TALKS[2], service.queue.database) == ()
    assert hotwords_for(replace(TALKS[2], channel=""), service.queue.database) == ()


SLIDES = [
    # lines of the slides of one talk, what is said in it, its language, the names that are taken
    (["Tom Keller, Ewan Vance", "Ewan Vance: rings of glass"], "", "en", ("Ewan Vance",)),
    (["Ada Morgan, host"], "I am Ada Morgan from the coast", "en", ("Ada Morgan",)),
    (["Ada Morgan, host"], "nobody says it", "en", ()),  # read once
    (["The Fresnel lens"], "It is the Fresnel lens", "en", ("Fresnel",)),
    (["Fresnel lens"], "It is a Fresnel lens", "en", ()),  # any word may begin a line
    (["The Fresne1 lens", "old Fresne1 lens"], "", "en", ()),  # no letter
    (["by Moore * ll", "of Moore"], "", "en", ("Moore",)),
    (["Ferry Timetable", "New Timetable"], "the ferry has a timetable", "en", ()),
    (["see Ferry Timetable now", "a Ferry Timetable"], "", "en", ("Ferry Timetable",)),
    (["A Title Where Each Word Begins So", "Each Word Begins So too"], "", "en", ()),
    (["Lantern Bay Talks, 1"], "to Lantern Bay Talks on the bay", "en", ()),  # part of a heading
    (["by ACME", "of ACME"], "", "en", ()),  # a heading may be written so
    (["die Fähre im Hafen", "am Hafen", "im Hafen"], "", "de", ()),  # nouns
    (["mit Anna Bell", "von Anna Bell"], "", "de", ("Anna Bell",)),
    (["Lantern Bay Talks", "LanternBay Talks"], "", "en", ()),  # one line, read twice
    (["by McDonald", "the Saint-Exupery", "a Saint-Exupery"], "", "en", ("Saint-Exupery",)),
    (["by Ox", "of Ox"], "", "en", ()),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "said", "language", "names"), SLIDES)
def test_names_on_slides_are_taken_with_evidence(
    lines: list[str], said: str, language: str, names: tuple[str, ...]
) -> None:
    assert screen_names._names([seen_in(lines, said, language)]) == names


def test_names_on_slides_follow_those_of_titles(service: Service) -> None:
    """What is written small in one talk of a channel is no name in the others."""
    service.vocabulary.change("Talks", add=["Grossmünster"])
    database = service.queue.database
    for talk, lines in (
        (TALKS[0], ["by Tom Keller", "by Zwingli Moore"]),
        (TALKS[1], ["with Tom Keller", "of Zwingli Moore", "a moore"]),
    ):
        entry = service.library.find(talk.id)
        assert entry is not None
        page = {
            "showings": [{"start": 0.0, "end": 5.0}],
            "lines": [{"text": line, "start": 0.0} for line in lines],
        }
        sha256 = stages.read_transcript(service.library, entry).media.sha256
        document = {"basis": {"sha256": sha256}, "picture": True, "pages": [page]}
        Extras(service.library).write(entry, "screen", document, nullcontext)
    found = service.vocabulary.hotwords_for(TALKS[0], database)
    assert found[-1] == "Tom Keller" and found[0] == "Grossmünster"
    off = service.vocabulary.hotwords_for(TALKS[0], database, with_screens=False)
    assert found == (*off, "Tom Keller")
    assert service.vocabulary.for_channel("Talks", database).on_screen == ("Tom Keller",)
    assert service.vocabulary.for_channel("Another", database).on_screen == ()


def test_a_correction_is_shown_and_then_made_across_the_channel(service: Service) -> None:
    before = service.items.transcript(TALKS[0].id)
    (shown,) = service.corrections.preview("talks", "zwingly", "Zwingli")
    assert (shown.item_id, shown.segment, shown.at_s) == (TALKS[0].id, 0, 2.0)
    assert shown.before == "then zwingly spoke of Zwingly's ice"
    assert shown.after == "then Zwingli spoke of Zwingli's ice"
    assert service.items.transcript(TALKS[0].id) == before  # a preview changes nothing
    done = service.corrections.apply("UCtalks", "zwingly", "Zwingli", by="anna")
    assert (done.changes, done.failed) == ((shown,), ())
    found = service.items.transcript(TALKS[0].id)
    assert found.text == shown.after
    (revision,) = found.revisions
    assert (revision.kind, revision.by, revision.note) == ("correct", "anna", "zwingly → Zwingli")
    assert [(w.start_s, w.end_s) for w in found.words] == [
        (w.start_s, w.end_s) for w in before.words
    ]
    assert [hit.item_id for hit in service.search.run("zwingly").hits] == [TALKS[2].id]
    assert service.corrections.apply("Talks", "zwingly", "Zwingli").changes == ()
    # Every channel, and one that is being transcribed again is passed over with its cause.
    service.queue.items.submit([TALKS[2]], {}, lambda *_: None, again=True)
    done = service.corrections.apply("*", "zwingly", "Zwingli")
    assert done.changes == ()
    ((item_id, error),) = done.failed
    assert item_id == TALKS[2].id
    check(error, "edit.active", item_id=item_id, state="queued")


KNOWN = "'Another', 'Talks'"


@pytest.mark.parametrize(
    ("channel", "wrong", "right", "code", "values"),
    [("Nobody", "a", "b", "correct.no_items", {"channel": "Nobody", "known": KNOWN}),
     ("", "a", "b", "correct.no_items", {"channel": "", "known": KNOWN}),
     ("Talks", "?!", "b", "correct.no_words", {"wrong": "?!"}),
     ("Talks", "a  b", "a b", "correct.same", {"wrong": "a  b"})],
)  # fmt: skip
def test_corrections_that_cannot_be(
    service: Service, channel: str, wrong: str, right: str, code: str, values: dict[str, str]
) -> None:
    with raises(UsageError, code, **values) as caught:
        list(service.corrections.preview(channel, wrong, right))
    assert values.get("known", "") in caught.value.hint


def test_the_commands(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KB_HOME", str(service.settings.home))
    get_settings.cache_clear()

    def kb(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(list(arguments)) == code
        printed = capsys.readouterr()
        return printed.out if "--json" in arguments else printed.out + printed.err

    assert "No list" in kb("vocabulary", "Talks")
    found = json.loads(kb("vocabulary", "Talks", "--add", "Huldrych", "--add", "ODIN", "--json"))
    assert found["words"] == ["Huldrych", "ODIN"] and "Zwingli" in found["names"]
    assert "Huldrych" in kb("vocabulary", "Talks", "--remove", "ODIN")
    assert "not in the vocabulary" in kb("vocabulary", "Talks", "--remove", "ODIN", code=2)
    shown = kb("correct", "Talks", "zwingly", "Zwingli")
    assert "+ then Zwingli spoke" in shown and "1 segment in 1 item would change" in shown
    result = json.loads(kb("correct", "Talks", "zwingly", "Zwingli", "--apply", "--json"))
    assert result["applied"] and [c["at_s"] for c in result["changes"]] == [2.0]
    assert "0 segments" in kb("correct", "Talks", "zwingly", "Zwingli")


def test_every_window_of_an_item_gets_its_names() -> None:
    seen_hotwords: list[tuple[tuple[str, ...], int]] = []

    def look(window: Window, words: list[Word]) -> list[Word]:
        seen_hotwords.append((window.hotwords, window.prompt_tokens))
        return words

    said = compose(bank(), "golden harbour | 20.0 | winter garden | 20.0 | river")
    engine = Oracle(said.words, skips=look)
    batcher = Batcher(engine, GPUManager("cpu", cpu_threads=1), 4)
    try:
        recognizer = Recognizer(
            batcher,
            preset(),
            detector=detector(),
            settings=Settings(KB_LONGEST_PAUSE_S="0", KB_PROMPT_TOKENS="37"),
            hotwords=("Zwingli", "ODIN"),
        )
        recognizer.transcribe(blocks(said.audio), MediaRef("x", "", 0.0))
    finally:
        batcher.close()
    assert len(seen_hotwords) > 1
    assert set(seen_hotwords) == {(("Zwingli", "ODIN"), 37)}
    assert Window(0, 0.0, said.audio, hotwords=("a",)).part(0.0, 1.0).hotwords == ("a",)


def test_a_list_follows_the_channel_s_id(service: Service) -> None:
    """A renamed channel keeps its list, and a stranger of the same name does not get it."""
    database = service.queue.database
    service.vocabulary.change("Talks", add=["Grossmünster"])
    renamed = replace(item(3, "After the change"), channel="Talks Official")
    stranger = replace(item(4, "By a stranger"), extra={"channel_id": "UCstranger"})
    service.queue.items.adopt([LibraryRow(renamed, "done"), LibraryRow(stranger, "done")])
    hotwords_for = service.vocabulary.hotwords_for
    assert "Grossmünster" in hotwords_for(TALKS[0], database)
    assert "Grossmünster" in hotwords_for(renamed, database)
    assert hotwords_for(stranger, database) == ()
    # A list under the id has precedence, and an item without an id has its name alone.
    service.vocabulary.change("UCstranger", add=["Limmat"])
    assert hotwords_for(stranger, database)[0] == "Limmat"
    assert "Grossmünster" in hotwords_for(replace(TALKS[0], extra={}), database)
    assert "Limmat" in service.vocabulary.for_channel("UCstranger", database).words


def test_a_correction_is_for_one_channel_under_all_its_names(service: Service) -> None:
    library = service.library
    text = "zwingly once more"
    words = tuple(Word(2.0 + n, 2.9 + n, word, 0.5) for n, word in enumerate(text.split()))
    transcript = Transcript(
        MediaRef("a.webm", "", 60.0), (Segment(2.0, words[-1].end_s, text, words, "en"),),
        "en", "whisper", "demo", "stabil", Coverage(6.0, 6.0), Timing(),
    )  # fmt: skip
    renamed = replace(item(3, "After the change"), channel="Talks Official")
    stages.write(library, renamed, transcript, 0.0)
    for name in ("Talks", "talks official", "UCtalks"):
        found = {each.item_id for each in service.corrections.preview(name, "zwingly", "Zwingli")}
        assert found == {TALKS[0].id, renamed.id}
    stranger = replace(item(4, "By a stranger"), extra={"channel_id": "UCstranger"})
    stages.write(library, stranger, transcript, 0.0)
    with raises(UsageError, "correct.several_channels", channel="Talks", count=2):
        list(service.corrections.preview("Talks", "zwingly", "Zwingli"))
    (found_one,) = service.corrections.preview("UCstranger", "zwingly", "Zwingli")
    assert found_one.item_id == stranger.id
