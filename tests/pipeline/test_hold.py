"""The grade of a transcript: computed, stored, shown, and its effect on a hold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import MIGRATIONS, Database, sqlite_engine
from kb.jobs.queue.item_states import LibraryRow
from kb.jobs.queue.items import ItemStore
from kb.library import Library
from kb.pipeline import hold, publish_record, stages
from kb.settings import Settings
from kb.transcript.formats import json_document
from kb.types import (
    Coverage,
    DecodingAttempt,
    ExpectedErrors,
    MediaItem,
    MediaRef,
    QualityFlag,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    WindowReport,
    Word,
)

ITEM = MediaItem("file:abc", "file", "", "Talk", "2026-01-02")
LOOP = QualityFlag("repeats", 12.0, 18.0, 9.0, 4.0)


def transcript(coverage: Coverage, *windows: WindowReport) -> Transcript:
    word = Word(0.5, 0.9, "harbour", 0.75)
    return Transcript(
        MediaRef("talk.wav", "0" * 64, 30.0), (Segment(0.5, 0.9, "harbour", (word,), "en"),),
        "en", "whisper", "demo", "optimiert", coverage, Timing(repair_s=0.25), windows=windows,
    )  # fmt: skip


def window(*signs: QualityFlag) -> WindowReport:
    return WindowReport(0.0, 30.0, 20.0, 19.0, (SpeechSpan(2.0, 3.0),), signs)


@pytest.mark.parametrize(
    ("coverage", "grade"),
    [
        (Coverage(0.0, 0.0), "A"),  # nobody speaks, nothing is written
        (Coverage(0.0, 0.0, suspect_s=2.0), "C"),  # nobody speaks, and yet there are words
        (Coverage(100.0, 99.0), "A"),
        (Coverage(100.0, 98.9), "B"),
        (Coverage(1000.0, 999.6, (SpeechSpan(7.0, 7.4),)), "B"),  # one word may be missing
        (Coverage(100.0, 100.0, suspect_s=0.5), "B"),
        (Coverage(100.0, 97.0, suspect_s=2.0), "B"),
        (Coverage(100.0, 97.0, suspect_s=2.1), "C"),
        (Coverage(100.0, 50.0, suspect_s=80.0), "C"),
    ],
)
def test_grades(coverage: Coverage, grade: str) -> None:
    assert coverage.grade == grade
    assert 0.0 <= coverage.trusted <= 1.0


def test_the_ledger_is_written_and_read_back_exactly() -> None:
    first = transcript(Coverage(1.0, 1.0)).segments
    readings = (
        DecodingAttempt("first", first, (LOOP,), -1.25),
        DecodingAttempt("shifted", (), (), 0.5),
    )
    read_twice = replace(window(LOOP), attempts=readings, chosen=1)
    made = transcript(
        Coverage(20.0, 19.0, (SpeechSpan(2.0, 3.0),), 1, 6.0), window(), window(LOOP), read_twice
    )
    assert json_document.from_document(json.loads(json_document.render(made))) == made


def test_a_transcript_of_an_older_version_is_read() -> None:
    document = json_document.to_document(transcript(Coverage(20.0, 19.0, (SpeechSpan(2.0, 3.0),))))
    del document["windows"], document["timing"]["repair_s"]
    for name in ("suspect_s", "trusted", "grade"):
        del document["coverage"][name]
    found = json_document.from_document(document)
    assert (found.windows, found.coverage.suspect_s, found.coverage.grade) == ((), 0.0, "B")


def test_uncertain_spans_are_listed_in_order_and_once() -> None:
    late = QualityFlag("logprob", 17.0, 25.0, -1.5, -1.0)
    found = transcript(Coverage(20.0, 19.0, (SpeechSpan(2.0, 3.0),)), window(late), window(LOOP))
    assert found.doubtful_spans == (SpeechSpan(2.0, 3.0), SpeechSpan(12.0, 25.0))


def test_an_item_is_held_below_the_setting_and_its_reason_is_reported() -> None:
    doubtful = transcript(Coverage(100.0, 97.0, suspect_s=6.0), window(LOOP))
    assert hold.decide(doubtful, 0.9).state == "done"
    outcome = hold.decide(doubtful, 0.95)
    assert outcome.state == "held"
    assert "Grade C" in outcome.reason
    assert "3.0 s" in outcome.reason
    assert "6.0 s" in outcome.reason
    assert "(the same words again and again)" in outcome.reason
    assert outcome.cause is not None
    assert outcome.cause.values["signs"] == "repeats"
    assert publish_record.facts_of(doubtful).grade == "C"


@pytest.mark.parametrize(
    ("share", "below", "from_share", "code"),
    [
        (None, 0.95, 0.2, ""),  # not measured
        (0.0, 0.95, 0.2, ""),
        (0.1999, 0.95, 0.2, ""),
        (0.2, 0.95, 0.2, "hold.wrong_words"),
        (0.24, 0.95, 0.2, "hold.wrong_words"),
        (0.7, 0.95, 0.2, "hold.most_words"),
        (0.7, 0.0, 0.2, ""),  # KB_HOLD_BELOW=0 holds nothing for doubt
        (0.7, 0.95, 1.0, ""),
        (1.0, 0.95, 1.0, ""),
        (0.06, 0.95, 0.05, "hold.wrong_words"),
        (0.24, 0.01, 0.2, "hold.wrong_words"),
    ],
)
def test_an_item_is_held_for_its_words(
    share: float | None, below: float, from_share: float, code: str
) -> None:
    errors = None if share is None else ExpectedErrors(share)
    made = replace(transcript(Coverage(100.0, 100.0)), expected_errors=errors)
    decision = hold.decide(made, below, hold_errors=from_share)
    assert decision.state == ("held" if code else "done")
    assert (decision.cause.code if decision.cause else "") == code
    if code == "hold.wrong_words" and share == 0.24:
        assert "about 1 word in 4" in decision.reason
        assert decision.cause is not None
        assert decision.cause.values["one_in"] == 4


def test_missing_speech_is_named_before_wrong_words() -> None:
    made = replace(transcript(Coverage(100.0, 80.0)), expected_errors=ExpectedErrors(0.5))
    cause = hold.decide(made, 0.95).cause
    assert cause is not None
    assert cause.code == "hold.missing"
    assert cause.values["grade"] == "C"


@pytest.mark.parametrize(("share", "shown"), [(None, None), (0.05, None), (0.06, 0.06), (0.4, 0.4)])
def test_documents_name_wrong_words_only_where_they_lower_the_grade(
    share: float | None, shown: float | None
) -> None:
    errors = None if share is None else ExpectedErrors(share)
    made = replace(transcript(Coverage(100.0, 100.0)), expected_errors=errors)
    facts = publish_record.facts_of(made)
    assert facts.expected_errors == shown
    assert facts.grade == made.grade


def test_a_truncated_medium_is_held_whatever_its_warnings_say() -> None:
    whole = replace(transcript(Coverage(100.0, 100.0)), warnings=("The word truncated.",))
    assert hold.decide(whole, 0.9).state == "done"
    decision = hold.decide(replace(whole, truncated=True), 0.9)
    assert (decision.state, decision.reason) == ("held", "The word truncated.")


def test_the_grade_stands_in_the_metadata_and_in_the_table(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.prepare()
    made = transcript(Coverage(100.0, 97.0))
    entry, outcome = stages.write(library, ITEM, made, 0.95)
    assert (outcome.state, entry.grade) == ("done", "B")
    catalogue = Database.open(Settings(home=tmp_path))
    store = ItemStore(catalogue)
    store.adopt([LibraryRow(ITEM, "done", grade=entry.grade)])
    assert [brief.grade for brief in store.summaries()] == ["B"]
    store.submit([ITEM], {}, lambda *_: None, again=True)
    row = store.read(ITEM.id)
    assert row is not None
    assert store.claim(ITEM.id, row.serial, "me") is not None
    assert store.finish(ITEM.id, row.serial, "me", "held", grade="C")
    assert [(brief.state, brief.grade) for brief in store.summaries()] == [("held", "C")]
    catalogue.close()


def test_a_database_of_an_older_version_gets_the_grade(tmp_path: Path) -> None:
    place = MIGRATIONS.index(next(m for m in MIGRATIONS if m.__name__ == "_grades"))
    settings = Settings(home=tmp_path)
    Database.open(settings).close()
    engine = sqlite_engine(tmp_path / "kb.sqlite")
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE kb_items DROP COLUMN grade"))
        connection.execute(sa.text(f"DELETE FROM kb_schema WHERE version > {place}"))
    engine.dispose()
    catalogue = Database.open(settings)
    store = ItemStore(catalogue)
    store.submit([ITEM], {}, lambda *_: None)
    assert [brief.grade for brief in store.summaries()] == [""]
    catalogue.close()


@pytest.mark.parametrize(
    ("extra", "warns"),
    [
        ({"declared_language": "de", "track_language": "en"}, True),
        ({"declared_language": "pt-BR", "track_language": "en-US"}, True),
        ({"track_language": "en"}, False),
        ({"declared_language": "de"}, False),
        ({}, False),
    ],
)
def test_a_dubbed_track_is_a_warning(tmp_path: Path, extra: dict[str, object], warns: bool) -> None:
    library = Library(tmp_path)
    library.prepare()
    made = replace(transcript(Coverage(100.0, 97.0)), warnings=("Another one.",))
    entry, outcome = stages.write(library, replace(ITEM, extra=extra), made, 0.9)
    assert outcome.state == "done"
    read = stages.read_transcript(library, entry)
    assert read.warnings[0] == "Another one."
    assert [w for w in read.warnings if "dubbed" in w] == list(read.warnings[1:])
    assert len(read.warnings) == 1 + warns
    assert all(str(value) in read.warnings[-1] for value in extra.values() if warns)
    assert entry.transcribed["warnings"] == list(read.warnings)
