"""Changing words by hand: what stays keeps its time, what is new gets one, nothing is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kb.errors import UsageError
from kb.jobs.queue.item_states import LibraryRow
from kb.pipeline import stages
from kb.service import Service
from kb.settings import Settings
from kb.transcript.editing import correct, edit_segment, edit_span, replace_text, update_coverage
from kb.transcript.formats import json_document
from kb.types import (
    Coverage,
    MediaItem,
    MediaRef,
    Segment,
    SpeechSpan,
    Timing,
    Transcript,
    Word,
)
from tests.support.raising import raises

ITEM = MediaItem("file:0123456789ab", "file", "", "Talk", "2026-01-02", channel="Talks")


def segment(start_s: float, text: str, each_s: float = 0.5) -> Segment:
    """One word every `each_s` seconds, without pauses."""
    words = [
        Word(start_s + n * each_s, start_s + (n + 1) * each_s, word, 0.75)
        for n, word in enumerate(text.split())
    ]
    return Segment(start_s, words[-1].end_s, text, tuple(words), "en")


def times(found: Segment) -> list[tuple[str, float, float, float]]:
    return [(w.text, w.start_s, w.end_s, w.probability) for w in found.words]


def test_words_that_stay_keep_their_times() -> None:
    found = replace_text(segment(10.0, "the harbor in winter"), "the  harbour in the winter")
    assert found.text == "the harbour in the winter"
    assert times(found) == [
        ("the", 10.0, 10.5, 0.75),
        ("harbour", 10.5, 11.0, 1.0),
        ("in", 11.0, 11.5, 0.75),
        ("the", 11.5, 11.5, 1.0),  # put in where there is no pause
        ("winter", 11.5, 12.0, 0.75),
    ]


def test_punctuation_of_the_text_stays_with_its_word() -> None:
    spoken = replace(segment(0.0, "well yes no"), text="well, yes — no!")
    found = replace_text(spoken, "well, yes, no!")
    assert [w.text for w in found.words] == ["well,", "yes,", "no!"]
    assert [w.start_s for w in found.words] == [0.0, 0.5, 1.0]


def test_a_segment_without_word_times_gets_them_by_length() -> None:
    found = replace_text(Segment(2.0, 4.0, "aa bb", ()), "aa cc")
    assert times(found) == [("aa", 2.0, 3.0, 1.0), ("cc", 3.0, 4.0, 1.0)]


def test_an_emptied_segment_is_taken_out_and_the_same_text_changes_nothing() -> None:
    both = [segment(0.0, "one two"), segment(5.0, "three")]
    left, (change,) = edit_segment(both, 1, " ")
    assert left == both[:1]
    assert (change.segment, change.before, change.after) == (1, both[1], None)
    assert edit_segment(both, 0, "one  two") == (both, ())


def test_a_stretch_is_replaced_across_segments() -> None:
    both = [segment(0.0, "one two three"), segment(2.0, "four five")]
    found, changes = edit_span(both, 1.0, 2.5, "drei vier")
    assert [s.text for s in found] == ["one two drei vier", "five"]
    assert [c.segment for c in changes] == [0, 1]
    assert found[0].words[:2] == both[0].words[:2]
    assert (found[0].words[2].start_s, found[0].words[3].end_s) == (1.0, 2.5)
    assert found[0].end_s == 2.5


def test_text_is_put_into_a_gap_in_order_of_time() -> None:
    both = [segment(0.0, "one"), segment(9.0, "two")]
    found, (change,) = edit_span(both, 4.0, 6.0, "in between")
    assert [s.text for s in found] == ["one", "in between", "two"]
    assert (change.segment, change.before) == (1, None)
    assert edit_span([], 1.0, 2.0, "all there is")[0][0].text == "all there is"
    assert edit_span(both, 4.0, 6.0, "") == (both, ())


@pytest.mark.parametrize(
    ("text", "wrong", "right", "after"),
    [
        ("Zwingly, said Zwingly's friend", "zwingly", "Zwingli", "Zwingli, said Zwingli's friend"),
        ("an odin and a Rodin", "odin", "ODIN", "an ODIN and a Rodin"),
        ("in the new york times", "New York", "New York City", "in the New York City times"),
        ("東京都に行く", "東京都", "京都", "京都に行く"),
        (r"a (c) b", "(c)", r"\1", r"a \1 b"),
    ],
)
def test_corrections_take_whole_words(text: str, wrong: str, right: str, after: str) -> None:
    found, (change,) = correct([segment(0.0, text)], wrong, right)
    assert found[0].text == after
    assert change.after == found[0]
    assert correct(found, "nothing of it", right) == (found, ())


def test_what_is_right_already_is_no_change() -> None:
    one = [segment(0.0, "ODIN is right")]
    assert correct(one, "odin", "ODIN") == (one, ())


def test_gaps_shrink_where_words_are_put() -> None:
    before = Coverage(20.0, 14.0, (SpeechSpan(2.0, 4.0), SpeechSpan(10.0, 14.0)), suspect_s=1.0)
    filled = update_coverage(before, [Word(2.1, 3.9, "a", 1.0), Word(10.0, 11.0, "b", 1.0)])
    assert filled.gaps == (SpeechSpan(11.1, 14.0),)
    assert filled.covered_s == pytest.approx(17.1)
    assert filled.suspect_s == 1.0
    assert update_coverage(before, []) == before


def sure(one: Segment) -> Segment:
    """Return the segment with words that lower no grade."""
    return replace(one, words=tuple(replace(word, probability=0.99) for word in one.words))


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A library with one finished item, known to queue and index."""
    made = Service(Settings(home=tmp_path / "home", folder_sink=str(tmp_path / "notes")))
    made.library.prepare()
    transcript = Transcript(
        MediaRef("talk.wav", "0" * 64, 30.0),
        (sure(segment(1.0, "the harbor freezes")), sure(segment(8.0, "nobody sails"))),
        "en", "whisper", "demo", "optimiert",
        Coverage(8.0, 6.0, (SpeechSpan(4.0, 6.0),)), Timing(),
    )  # fmt: skip
    entry, _ = stages.write(made.library, ITEM, transcript, 0.0)
    stages.publish(made.library, made.settings, entry, transcript, "local")
    made.queue.items.adopt([LibraryRow(ITEM, "done", grade="C")])
    return made


def test_an_edit_reaches_files_index_and_grade(service: Service) -> None:
    revision = service.revisions.edit(
        service.items.entry("0123").item.id, 0, "the harbour freezes", expected="the harbor freezes"
    )
    assert revision is not None
    (change,) = revision.changes
    assert change.before is not None and change.before.text == "the harbor freezes"
    entry = service.items.entry(ITEM.id)
    assert entry.text_path is not None
    assert "[00:01 - 00:09] the harbour freezes" in entry.text_path.read_text(encoding="utf-8")
    found = service.items.transcript(ITEM.id)
    assert found.revisions == (revision,)
    assert json_document.from_document(json.loads(json_document.render(found))) == found
    assert [hit.item_id for hit in service.search.run("harbour").hits] == [ITEM.id]
    assert service.search.run("harbor").hits == ()
    assert entry.transcribed["revised"] == {
        "at": revision.at, "by": revision.by, "times": 1,
    }  # fmt: skip
    # Words in the gap: it is gone, and the grade follows everywhere.
    service.revisions.edit_span(ITEM.id, 4.0, 6.0, "the boats lie still")
    found = service.items.transcript(ITEM.id)
    assert [s.text for s in found.segments][1] == "the boats lie still"
    assert (found.coverage.gaps, found.coverage.grade) == ((), "A")
    assert service.items.status(ITEM.id).grade == "A"
    assert service.items.entry(ITEM.id).grade == "A"


def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(service: Service) -> None:
    before = service.items.transcript(ITEM.id)
    with raises(UsageError, "edit.no_segment", item_id=ITEM.id, number=7):
        service.revisions.edit(ITEM.id, 7, "x")
    with raises(UsageError, "edit.changed", item_id=ITEM.id, number=0):
        service.revisions.edit(ITEM.id, 0, "x", expected="what stood here yesterday")
    with raises(UsageError, "edit.times_reversed", start_s=5.0, end_s=5.0):
        service.revisions.edit_span(ITEM.id, 5.0, 5.0, "x")
    assert service.revisions.edit(ITEM.id, 0, " the harbor  freezes ") is None
    service.queue.items.submit([ITEM], {}, lambda *_: None, again=True)
    with raises(UsageError, "edit.active", item_id=ITEM.id, state="queued"):
        service.revisions.edit(ITEM.id, 0, "x")
    assert service.items.transcript(ITEM.id) == before


def test_a_new_transcript_keeps_the_history(service: Service) -> None:
    revision = service.revisions.edit(ITEM.id, 0, "the harbour freezes")
    fresh = replace(
        service.items.transcript(ITEM.id), revisions=(), segments=(segment(1.0, "anew"),)
    )
    stages.write(service.library, ITEM, fresh, 0.0, run=2)
    found = service.items.transcript(ITEM.id)
    assert (found.text, found.revisions) == ("anew", (revision,))
    assert service.revisions.edit(ITEM.id, 0, "once more").run == 2  # type: ignore[union-attr]
