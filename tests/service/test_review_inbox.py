"""The review inbox: passages in order, decisions that are kept, the release with the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kb.errors import UsageError
from kb.service import Service
from kb.service.confidence import mean_confidence, text_words, unsure_words
from kb.service.review_inbox import LONGEST_S, InboxPlace, passages
from kb.service.revisions import LineEdit
from kb.types import QualityFlag, Segment, SpeechSpan, Transcript, WindowReport, Word
from kb.types.quality import ExpectedErrors, UnsurePassage
from tests.support.library_pages import HARBOUR, add_item
from tests.support.page_library import home

__all__ = ["home"]

RAILWAY = HARBOUR.parent / "Midnight on the railway.mp4"


def flagged(*spans: tuple[float, float]) -> Callable[[Transcript], Transcript]:
    """Return a change that flags these spans of a transcript as doubtful."""
    flags = tuple(QualityFlag("repeats", start, end, 9.0, 4.0) for start, end in spans)

    def change(transcript: Transcript) -> Transcript:
        window = WindowReport(0.0, 30.0, 10.0, 8.0, (), flags)
        suspect_s = sum(end - start for start, end in spans)
        coverage = replace(transcript.coverage, suspect_s=suspect_s)
        return replace(transcript, windows=(window,), coverage=coverage)

    return change


@pytest.fixture
def service(home: Path) -> Iterator[Service]:
    found = Service()
    yield found
    found.close()


def walk(service: Service, act: str = "") -> list[tuple[str, float | None]]:
    """Return titles and starts of all places, accepting each one if `act` says so."""
    found = []
    place = service.inbox.next()
    while place is not None:
        span = place.passage
        found.append((place.entry.item.title, span.start_s if span else None))
        if act == "accept" and span:
            service.inbox.accept(place.entry.item.id, span.start_s, span.end_s)
        place = service.inbox.next(place.cursor)
    return found


def first(service: Service) -> InboxPlace:
    place = service.inbox.next()
    assert place is not None
    return place


def test_passages_of_all_items_are_heard_and_the_last_one_releases_an_item(
    service: Service,
) -> None:
    small = add_item(RAILWAY, change=flagged((2.0, 4.0), (20.0, 21.5)))
    held = add_item(covered_s=20.0, change=flagged((5.0, 7.0)))
    assert service.library.find(held).state == "held"  # type: ignore[union-attr]
    assert service.inbox.size().items == 2
    assert service.inbox.size().seconds == pytest.approx(35.5)
    titles = {held: "The harbour in winter", small: "Midnight on the railway"}
    # Held items first; a gap of 30 s is one passage.
    expected = [(titles[held], 5.0), (titles[held], 20.0)]
    expected += [(titles[small], 2.0), (titles[small], 20.0)]
    assert walk(service) == expected

    place = first(service)
    assert place.passage is not None
    assert (place.number, place.count, place.left) == (1, 2, 2)
    assert place.passage.reasons == ("repeats",)
    assert [line.inside for line in place.lines].count(False) <= 2
    decision = service.inbox.accept(held, 5.0, 7.0, by="Anna")
    assert not decision.accepted
    # What was heard is kept with the item, and is not asked again by another process.
    other = Service()
    assert walk(other) == expected[1:]
    other.close()
    assert service.library.find(held).record["checked"]["by"] == "Anna"  # type: ignore[union-attr]
    again = service.inbox.at(held, 5.0)
    assert again is not None and again.passage is not None and again.passage.checked

    assert service.inbox.accept(held, 20.0, 50.0).accepted
    entry = service.library.find(held)
    assert entry is not None and (entry.state, entry.accepted) == ("done", True)
    assert service.inbox.size().items == 1
    # Behind the last place of an item that is gone, the next item follows.
    later = service.inbox.next(again.cursor)
    assert later is not None and later.entry.item.id == small
    walk(service, "accept")
    assert service.inbox.next() is None and service.inbox.size().items == 0


def test_words_are_corrected_in_one_revision_and_the_earlier_ones_stay(service: Service) -> None:
    item_id = add_item(change=flagged((2.0, 9.0), (20.0, 21.5)))
    place = first(service)
    inside = [line for line in place.lines if line.inside]
    assert len(inside) > 1
    edits = [LineEdit(line.index, f"{line.segment.text} Ahab", line.segment.text)
             for line in inside]  # fmt: skip
    service.inbox.fix(item_id, 2.0, 9.0, edits, by="Anna")
    transcript = service.items.transcript(item_id)
    (revision,) = transcript.revisions
    assert [c.before.text for c in revision.changes if c.before] == [
        line.segment.text for line in inside
    ]
    assert all(transcript.segments[line.index].text.endswith(" Ahab") for line in inside)
    assert [each.start_s for each in service.search.run("Ahab").hits]
    assert walk(service) == [("The harbour in winter", 20.0)]

    # Of edits that cannot all be made, none is.
    number = inside[0].index
    wrong = [LineEdit(number, "other words"), LineEdit(number + 1, "more", "not what is there")]
    with pytest.raises(UsageError) as caught:
        service.inbox.fix(item_id, 20.0, 21.5, wrong)
    assert caught.value.code == "edit.changed"
    assert service.items.transcript(item_id) == transcript
    assert walk(service) == [("The harbour in winter", 20.0)]


def test_words_are_inserted_into_a_gap(service: Service) -> None:
    item_id = add_item(covered_s=20.0, change=_without_words)
    place = first(service)
    assert place.passage is not None and place.passage.reasons == ("no words",)
    assert not any(line.inside for line in place.lines) and len(place.lines) == 2
    span = place.passage
    decision = service.inbox.fix(item_id, span.start_s, span.end_s, [], inserted="call me Ishmael")
    assert decision.accepted
    assert "call me Ishmael" in service.items.transcript(item_id).text
    assert service.inbox.next() is None


def _without_words(transcript: Transcript) -> Transcript:
    kept = tuple(s for s in transcript.segments if s.end_s <= 20.0 or s.start_s >= 50.0)
    return replace(transcript, segments=kept)


def test_an_item_held_for_another_reason_stays_until_it_is_accepted_itself(
    service: Service,
) -> None:
    def cut_short(transcript: Transcript) -> Transcript:
        return replace(flagged((5.0, 7.0))(transcript), truncated=True, warnings=("Too short.",))

    item_id = add_item(change=cut_short)
    assert not service.inbox.accept(item_id, 5.0, 7.0).accepted
    place = first(service)
    assert place.passage is None and place.entry.problem is not None
    assert service.inbox.accept_all(item_id).accepted
    assert service.inbox.next() is None


def test_what_was_heard_is_of_its_transcript_alone(service: Service) -> None:
    item_id = add_item(change=flagged((5.0, 7.0), (20.0, 21.5)))
    service.inbox.accept(item_id, 5.0, 7.0)
    assert walk(service) == [("The harbour in winter", 20.0)]
    entry = service.library.find(item_id)
    assert entry is not None
    service.library.amend(item_id, {"transcribed": {**entry.transcribed, "run": 2}})
    assert [start for _, start in walk(service)] == [5.0, 20.0]


def test_an_item_in_the_queue_is_not_shown_and_not_changed(service: Service) -> None:
    item_id = add_item(change=flagged((5.0, 7.0)))
    service.review.retry(item_id, model="demo")
    assert service.inbox.next() is None
    with pytest.raises(UsageError):
        service.inbox.accept(item_id, 5.0, 7.0)


def test_long_passages_are_heard_in_parts(service: Service) -> None:
    segments = tuple(_said(4.0 * n) for n in range(30))
    item_id = add_item()
    whole = replace(
        service.items.transcript(item_id),
        segments=segments,
        expected_errors=ExpectedErrors(0.4, (UnsurePassage(0.0, 100.0, 0.5),)),
    )
    flags = (QualityFlag("rate", 90.0, 104.0, 1.0, 1.0),)
    coverage = replace(whole.coverage, gaps=(SpeechSpan(110.0, 111.0),))
    window = WindowReport(0.0, 30.0, 10.0, 8.0, (), flags)
    found = passages(replace(whole, coverage=coverage, windows=(window,)), [(0.0, 28.0)])
    spans = [(each.start_s, each.end_s) for each in found]
    assert spans == [(0.0, 28.0), (28.0, 56.0), (56.0, 84.0), (84.0, 104.0), (110.0, 111.0)]
    assert [each.checked for each in found] == [True, False, False, False, False]
    assert [each.share for each in found] == [0.5, 0.5, 0.5, 0.5, None]
    assert found[3].reasons == ("rate",) and found[4].reasons == ("no words",)
    # Without a segment to cut at, the time decides.
    alone = passages(replace(whole, segments=()))
    assert max(each.end_s - each.start_s for each in alone) == LONGEST_S


def _said(start_s: float) -> Segment:
    return Segment(start_s, start_s + 3, "one two", (
        Word(start_s, start_s + 1, "one", 0.9), Word(start_s + 1, start_s + 3, "two", 0.9),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words", "unsure"),
    [
        ("He said:  Ahab left.", [("He", 0.9), ("said:", 0.95), ("Ahab", 0.3), ("left.", 0.69)],
         ["Ahab", "left."]),
        ("日本語です", [("日本", 0.5), ("語", 0.99), ("です", 0.2)], ["日本", "です"]),
        ("no times of words", [], []),
        ("sure of all", [("sure", 0.9), ("of", 0.8), ("all", 0.7)], []),
    ],
)  # fmt: skip
def test_unsure_words_have_their_places_in_the_text(
    text: str, words: list[tuple[str, float]], unsure: list[str]
) -> None:
    made = tuple(Word(n, n + 1.0, word, chance) for n, (word, chance) in enumerate(words))
    segment = Segment(0.0, 9.0, text, made)
    line = " ".join(text.split())
    assert [line[word.first : word.end] for word in unsure_words(segment)] == unsure
    assert "".join(line[word.first : word.end] for word in text_words(segment)) == (
        line.replace(" ", "") if words else ""
    )


def test_the_mean_confidence_is_of_all_words(service: Service) -> None:
    item_id = add_item()
    assert mean_confidence(service.items.transcript(item_id)) == pytest.approx(0.9)
    nothing: Any = replace(service.items.transcript(item_id), segments=())
    assert mean_confidence(nothing) is None
