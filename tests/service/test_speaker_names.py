"""Names of speakers: given once, shown everywhere, kept by the files alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.cli import run
from kb.errors import UsageError
from kb.jobs.documents import build_sync_item
from kb.jobs.published_content import PublishedContent
from kb.library.extras import Extras
from kb.pipeline.publish_record import record_published
from kb.service import Service
from kb.service.export_request import ExportRequest
from kb.service.item_filter import ItemFilter
from kb.settings import get_settings
from kb.sinks import open_sink
from kb.sinks.odin.documents import make_documents
from kb.transcript.speaker_names import (
    KEY,
    GivenName,
    Part,
    SpeakerNames,
    names_record,
    read_names,
    shown_spans,
    with_names,
)
from kb.transcript.spoken_spans import SpokenSpans, spans_of
from tests.support.kept_transcripts import transcript
from tests.support.raising import raises
from tests.support.spoken_items import (
    ITEM,
    SHA,
    TURNS,
    numbered,
    opened,
    panel,
    words,
    write,
    write_turns,
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = opened(tmp_path / "home")
    write(made, panel())
    write_turns(made, TURNS)
    yield made
    made.close()


def who(service: Service) -> list[str | None]:
    """Return the speaker of each word, as a JSON export has it."""
    document = json.loads(service.items.export(ITEM.id, "json"))
    return [word.get("speaker") for row in document["segments"] for word in row["words"]]


def shown(service: Service) -> list[str]:
    return [each.shown for each in service.speakers.of(ITEM.id)]


RAW = ["Speaker 1"] * 10 + ["Speaker 2"] * 6 + ["Speaker 1"] * 14 + ["Speaker 3"] * 3
RAW += ["Speaker 2"] * 3


def named(**names: str) -> list[str]:
    known = {f"Speaker {label[1:]}": name for label, name in names.items()}
    return [known.get(label, label) for label in RAW]


# The acts


@pytest.mark.parametrize("text", ["S1", "1", "speaker 1", "Speaker 1", " s01 "])
def test_one_act_names_a_speaker_everywhere(service: Service, text: str) -> None:
    service.search.reindex()
    assert who(service) == RAW
    service.speakers.name(ITEM.id, text, "  Anna \n Weber ")
    assert who(service) == named(S1="Anna Weber")
    for form in ("vtt", "csv", "rttm", "md", "html", "verbose_json", "ass", "ttml", "textgrid"):
        rendered = service.items.export(ITEM.id, form)
        assert "Anna" in rendered, form
        assert "Speaker 1" not in rendered.replace("_", " "), form
    (document,) = service.exports.documents(ITEM.id, ExportRequest(("vtt",)), [])
    assert "<v Anna Weber>" in str(document.document)
    (hit,) = service.search.run('"lantern0 lantern1"').hits[:1]
    assert hit.speaker == "Anna Weber"
    (passage,), *_ = service.reading.search('"lantern0 lantern1"', ItemFilter(), 1)
    assert passage.speaker == "Anna Weber"
    hers = ItemFilter(speaker="ANNA weber")
    assert service.reading.search('"lantern0 lantern1"', hers, 1)[0] == (passage,)
    assert service.reading.search("lantern0", ItemFilter(speaker="Anna"), 1)[0] == ()
    first, *_ = service.speakers.of(ITEM.id)
    assert (first.shown, first.is_named, first.labels) == ("Anna Weber", True, ("Speaker 1",))
    assert first.seconds == pytest.approx(24, abs=1.5)
    assert first.excerpts[0].text.startswith("lantern0 lantern1")
    assert first.excerpts[0].deep_link.startswith("https://")


def test_documents_of_a_knowledge_base_have_the_names_and_are_marked_as_changed(
    service: Service,
) -> None:
    def document() -> Any:
        source = build_sync_item(service.library, service.items.entry(ITEM.id))
        return make_documents(source.item, source.passages, source.facts)

    before = document()
    assert "speakers" not in before.documents[0].metadata
    service.speakers.name(ITEM.id, "S2", "Ben")
    service.speakers.name(ITEM.id, "S1", "Anna")
    after = document()
    assert after.documents[0].metadata["speakers"] == "Anna, Ben"
    assert b"- Speakers: Anna, Ben\n" in after.documents[0].content
    assert after.sha256 != before.sha256
    service.speakers.unname(ITEM.id, "Anna")
    service.speakers.unname(ITEM.id, "Ben")
    assert document().sha256 == before.sha256
    assert "speakers" not in service.items.entry(ITEM.id).record


def test_a_search_for_assistants_reads_the_speakers_of_what_it_returns_alone(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    other = replace(numbered(1), channel="Elsewhere")
    write(service, panel(), other)
    extras = Extras(service.library)
    damaged = extras.path(service.items.entry(other.id).stem, "speakers")
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_text("{}", encoding="utf-8")
    service.library.amend(ITEM.id, {"state": "held"})
    rows = {"text": "projector", "start": 3.0}
    page = {"showings": [{"start": 3.0, "end": 9.0}], "lines": [rows]}
    extras.write(
        service.items.entry(ITEM.id),
        "screen",
        {"basis": {"sha256": SHA}, "pages": [page]},
        lambda: service.library.guard(ITEM.id),
    )
    service.search.reindex()
    caplog.clear()
    ours = ItemFilter(source=ITEM.channel)
    (said,), more, *_ = service.reading.search('"lantern0 lantern1"', ours, 1)
    assert said.id.startswith(f"{ITEM.id}#") and said.speaker.startswith("Speaker") and more
    assert said.doubtful.startswith("held")
    assert other.id not in caplog.text
    (shown,), more, *_ = service.reading.search("projector", ours, 1)
    # What is held is the speech: it says nothing about the text in the picture.
    assert (shown.origin, shown.speaker, shown.doubtful, more) == ("screen", "", "", False)
    service.search.run("lantern0")
    assert other.id in caplog.text


def test_a_name_whose_speaker_is_not_found_again_is_in_no_document(service: Service) -> None:
    def speakers() -> str:
        source = build_sync_item(service.library, service.items.entry(ITEM.id))
        assert source.facts is not None
        return source.facts.speakers

    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S3", "Carl")
    service.speakers.assign(ITEM.id, 33.0, 35.0, "Dora")
    assert speakers() == "Anna, Carl, Dora"
    write_turns(service, [(0.0, 36.0, "Speaker 1")])  # as if all were one
    assert shown(service) == ["Anna", "Dora"]
    assert speakers() == "Anna, Dora"
    write_turns(service, TURNS)
    assert speakers() == "Anna, Carl, Dora"
    shutil.rmtree(service.library.home / "extras")  # who speaks when is not known any more
    assert speakers() == "Anna, Carl, Dora"


def test_a_folder_of_documents_has_the_names_and_is_marked_as_changed(service: Service) -> None:
    sink = open_sink("folder", service.settings)
    content = PublishedContent(service.settings, service.library, service.queue.database)

    def publish() -> str:
        source = build_sync_item(service.library, service.items.entry(ITEM.id))
        published = sink.publish(source.item, source.passages, source.facts)
        record_published(service.library, source.item, published)
        path = service.library.home / "markdown" / published.remote_id
        return path.read_text(encoding="utf-8")

    def is_changed() -> bool:
        return content.differs(service.items.entry(ITEM.id), "folder")

    assert "Anna" not in publish() and not is_changed()
    service.speakers.name(ITEM.id, "S1", "Anna")
    assert is_changed()
    assert "Anna" in publish() and not is_changed()
    service.speakers.unname(ITEM.id, "Anna")
    assert is_changed()
    assert "Anna" not in publish() and not is_changed()


def test_an_act_on_a_new_medium_keeps_the_names_of_the_earlier_one(service: Service) -> None:
    """A medium that was replaced at its source may come back, or be taken back."""
    service.speakers.name(ITEM.id, "S1", "Anna")
    first = shown(service)
    other, third = "cd" * 32, "ef" * 32

    def replace_medium(sha256: str) -> None:
        service.library.amend(ITEM.id, {"media": {"sha256": sha256}})

    def names() -> tuple[str, ...]:
        entry = service.items.entry(ITEM.id)
        return read_names(entry.record, entry.sha256, "x.json").spoken

    assert "Anna" in first
    for sha256, name in ((other, "Ben"), (third, "Carl")):
        replace_medium(sha256)
        assert names() == ()
        with service.library.metadata_lock(ITEM.id):
            entry = service.items.entry(ITEM.id)
            made = SpeakerNames(sha256, (GivenName(((0.0, 5.0),), name),))
            service.library.amend(ITEM.id, {KEY: names_record(made, entry.record.get(KEY))})
    for sha256, expected in ((SHA, ("Anna",)), (other, ("Ben",)), (third, ("Carl",))):
        replace_medium(sha256)
        assert names() == expected
    replace_medium(SHA)
    assert shown(service) == first
    service.speakers.name(ITEM.id, "Anna", "Ada")
    assert "Ada" in shown(service)
    service.speakers.unname(ITEM.id, "Ada")  # no name is left of this one
    assert names() == ()
    replace_medium(other)
    assert names() == ("Ben",)


def test_names_outlive_database_index_and_results(service: Service, tmp_path: Path) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.merge(ITEM.id, "S3", "S2")
    before = who(service)
    service.close()
    home = tmp_path / "home"
    for path in home.glob("kb.sqlite*"):
        path.unlink()
    shutil.rmtree(home / "index.lance", ignore_errors=True)
    again = opened(home)
    again.search.reindex()
    assert who(again) == before == named(S1="Anna", S3="Speaker 2")
    assert [item.id for item in again.items.statuses()] == [ITEM.id]
    # The labels come back with the step, the names are there already.
    shutil.rmtree(home / "extras")
    assert set(who(again)) == {None}
    write_turns(again, TURNS)
    assert who(again) == before
    again.close()


def test_names_outlive_another_transcription_and_other_labels(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S3", "Carl")
    write(service, panel(words(0, 30, "other"), words(30, 36, "other")))
    assert who(service) == named(S1="Anna", S3="Carl")
    # Numbered differently, with borders moved, and one speaker taken for two.
    write_turns(
        service,
        [(0.0, 9.9, "Speaker 2"), (10.1, 16.2, "Speaker 1"), (16.2, 30.1, "Speaker 4"),
         (30.1, 33.2, "Speaker 3"), (33.2, 36.0, "Speaker 1")],
    )  # fmt: skip
    assert who(service) == named(S1="Anna", S2="Speaker 1", S3="Carl")
    # A name that no speaker has any more is lost nowhere.
    write_turns(service, [(0.0, 36.0, "Speaker 1")])
    assert set(who(service)) == {"Anna"}
    write_turns(service, TURNS)
    assert who(service) == named(S1="Anna", S3="Carl")


def test_another_medium_has_no_names(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    record = service.items.entry(ITEM.id).record
    assert read_names(record, SHA, "x").spoken == ("Anna",)
    assert not read_names(record, "cd" * 32, "x")


def test_merged_speakers_are_one_and_apart_again(service: Service) -> None:
    service.speakers.merge(ITEM.id, "S3", "S1")
    assert who(service) == named(S3="Speaker 1")
    assert shown(service) == ["Speaker 1", "Speaker 2"]
    service.speakers.name(ITEM.id, "S3", "Anna")  # S3 is shown as Speaker 1
    assert who(service) == named(S1="Anna", S3="Anna")
    service.speakers.name(ITEM.id, "S2", "Ben")
    service.speakers.merge(ITEM.id, "Ben", "Anna")
    assert shown(service) == ["Anna"]
    service.speakers.unname(ITEM.id, "Anna")
    assert who(service) == RAW


def test_a_chain_of_merged_speakers_ends(service: Service) -> None:
    service.speakers.merge(ITEM.id, "S1", "S2")
    service.speakers.merge(ITEM.id, "S2", "S3")
    assert who(service) == named(S1="Speaker 3", S2="Speaker 3")
    names = SpeakerNames(
        names=(
            GivenName(((0.0, 5.0),), like=((10.0, 12.0),)),
            GivenName(((10.0, 12.0),), like=((0.0, 5.0),)),
        )
    )
    circle = names.shown(SpokenSpans([(0.0, 5.0, "A"), (10.0, 12.0, "B")]))
    assert set(circle) == {"A", "B"}


def test_two_of_one_name_are_one_speaker(service: Service) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.name(ITEM.id, "S2", "Anna")
    assert shown(service) == ["Anna", "Speaker 3"]
    service.speakers.name(ITEM.id, "Anna", "Ada")
    assert who(service) == named(S1="Ada", S2="Ada")


@pytest.mark.parametrize(
    ("speaker", "expected"),
    [("Ben", "Ben"), ("S2", "Speaker 2"), ("Anna", "Anna"), ("Dora", "Dora")],
)
def test_a_stretch_goes_to_another_speaker(service: Service, speaker: str, expected: str) -> None:
    service.speakers.name(ITEM.id, "S1", "Anna")
    service.speakers.assign(ITEM.id, 2.0, 5.0, speaker)
    found = who(service)
    assert found[2:5] == [expected] * 3
    assert found[:2] + found[5:] == named(S1="Anna")[:2] + named(S1="Anna")[5:]
    service.speakers.assign(ITEM.id, 3.0, 4.0, "")  # in its middle it was right
    assert who(service)[2:5] == [expected, "Anna", expected]
    service.speakers.assign(ITEM.id, 0.0, 40.0, "")
    assert who(service) == named(S1="Anna")


def test_a_part_of_an_unnamed_speaker_gets_the_name_too(service: Service) -> None:
    service.speakers.assign(ITEM.id, 2.0, 5.0, "S2")
    service.speakers.name(ITEM.id, "S2", "Ben")
    assert who(service)[2:5] == ["Ben"] * 3
    service.speakers.assign(ITEM.id, 20.0, 22.0, "Dora")
    service.speakers.name(ITEM.id, "Dora", "Dora Maar")
    assert who(service)[20:22] == ["Dora Maar"] * 2
    service.speakers.unname(ITEM.id, "Dora Maar")
    assert who(service)[20:22] == ["Speaker 1"] * 2


def test_the_segment_is_of_who_says_most_of_it() -> None:
    said = transcript(words(0, 10))
    labelled = with_names(
        said, SpeakerNames(parts=(Part(0.0, 6.0, "Anna"), Part(6.0, 10.0, "Ben")))
    )
    assert labelled.segments[0].speaker == "Anna"
    assert [word.speaker for word in labelled.segments[0].words] == ["Anna"] * 6 + ["Ben"] * 4
    spans = shown_spans(spans_of(said), SpeakerNames(parts=(Part(1.0, 2.0, "Anna"),)))
    assert spans.spans == [(1.0, 2.0, "Anna")]


def test_names_of_another_program_can_be_changed(service: Service) -> None:
    said = panel(words(0, 10), words(10, 20))
    first, second = said.segments
    segments = (replace(first, speaker="SPEAKER_00"), replace(second, speaker="SPEAKER_01"))
    write(service, replace(said, segments=segments, engine="imported"))
    shutil.rmtree(service.library.home / "extras")
    service.speakers.name(ITEM.id, "SPEAKER_01", "Ben")
    assert shown(service) == ["SPEAKER_00", "Ben"]
    assert "<v Ben>" in service.items.export(ITEM.id, "vtt")


# Bad input


@pytest.mark.parametrize(
    ("act", "arguments", "code"),
    [
        ("name", ("S9", "Anna"), "speakers.unknown"),
        ("name", ("", "Anna"), "speakers.unknown"),
        ("name", ("S1", " – "), "speakers.no_name"),
        ("name", ("S1", "x" * 101), "speakers.name_long"),
        ("name", ("S1", "Speaker 7"), "speakers.label"),
        ("name", ("S1", "S3"), "speakers.label"),  # two are one: merge
        ("unname", ("Anna",), "speakers.unknown"),
        ("merge", ("S1", "Anna"), "speakers.unknown"),
        ("assign", (5.0, 2.0, "Anna"), "edit.times_reversed"),
        ("assign", (-1.0, 2.0, "Anna"), "edit.times_reversed"),
        ("assign", (1.0, 2.0, "..."), "speakers.no_name"),
        ("assign", (1.0, 2.0, "S9"), "speakers.unknown"),
        ("assign", (1.0, 2.0, "Speaker 9"), "speakers.unknown"),
    ],
)
def test_what_cannot_be_is_refused(
    service: Service, act: str, arguments: tuple[Any, ...], code: str
) -> None:
    with raises(UsageError, code):
        getattr(service.speakers, act)(ITEM.id, *arguments)
    assert who(service) == RAW


@pytest.mark.parametrize(
    "damaged",
    [
        {"names": [{"name": 5, "spans": []}]},
        {"names": [{"name": "Anna", "spans": [[1]]}]},
        {"names": [{"name": "Anna", "spans": [["a", "b"]]}]},
        {"parts": [{"start": "x", "end": 2, "name": "A"}]},
        {"names": "Anna"},
        "Anna",
    ],
)
def test_damaged_names_hide_no_words(service: Service, damaged: Any) -> None:
    service.search.reindex()
    service.library.amend(ITEM.id, {"speakers": damaged})
    assert who(service) == RAW
    assert service.search.run("lantern0").hits
    build_sync_item(service.library, service.items.entry(ITEM.id))


def test_an_item_without_speakers_says_how_to_find_them(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(service.library.home / "extras")
    assert service.speakers.of(ITEM.id) == []
    with raises(UsageError, "speakers.none") as caught:
        service.speakers.name(ITEM.id, "S1", "Anna")
    assert "kb enrich" in caught.value.hint


# The command


def test_the_command_names_and_lists(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_HOME", str(service.library.home))
    get_settings.cache_clear()
    acts = ["--merge", "S3=S2", "--name", "S1=Anna", "--name", "2=Ben", "--assign", "0:02-0:05=Ben"]
    assert run(["speakers", ITEM.id, *acts, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["shown"] for each in document["speakers"]] == ["Anna", "Ben"]
    assert document["speakers"][1]["labels"] == ["Speaker 2", "Speaker 3"]
    assert run(["speakers", "abcdefghijk", "--unname", "Anna"]) == 0
    printed = capsys.readouterr().out
    assert "Speaker 1" in printed and "Ben (Speaker 2, Speaker 3)" in printed
    assert run(["speakers", ITEM.id, "--name", "Anna"]) == 2
    assert "--name S1=Anna" in capsys.readouterr().err
