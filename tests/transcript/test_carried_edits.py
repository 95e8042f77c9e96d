"""Corrections by hand survive a new transcription where their words are found again."""

from __future__ import annotations

import pytest

from kb.transcript.carried_edits import Carried, carry_over
from kb.transcript.editing import correct, edit_segment, edit_span
from kb.types import Revision, Segment, TextChange, Word

Edit = tuple[str, object, str]


def segments(*lines: str, shift_s: float = 0.0, words: bool = True) -> list[Segment]:
    """Return one segment for each line, ten seconds apart; one word each second."""
    made = []
    for number, line in enumerate(lines):
        start = 10.0 * number + shift_s
        spoken = tuple(
            Word(start + n, start + n + 0.8, word, 0.9) for n, word in enumerate(line.split())
        )
        made.append(Segment(start, start + 9.0, line, spoken if words else ()))
    return made


def edited(present: list[Segment], *edits: Edit) -> tuple[Revision, ...]:
    revisions = []
    for kind, where, text in edits:
        if kind == "line":
            present, changes = edit_segment(present, int(str(where)), text)
        elif kind == "span":
            start, end = where  # type: ignore[misc]
            present, changes = edit_span(present, start, end, text)
        else:
            present, changes = correct(present, str(where), text)
        revisions.append(Revision("2026-01-01T00:00:00Z", "anna", kind, changes, "", 1))
    return tuple(revisions)


def lines(found: Carried) -> list[str]:
    return [segment.text for segment in found.segments]


OLD = ("we saw captain Ahap there", "the harbour was quiet", "nothing else")
FIX: Edit = ("line", 0, "we saw captain Ahab there")

KEPT = {
    "the same text": (OLD, [FIX], ["we saw captain Ahab there", *OLD[1:]]),
    "punctuation and case": (
        ("We saw Captain Ahap there.", *OLD[1:]), [FIX],
        ["We saw Captain Ahab there.", *OLD[1:]],
    ),
    "another word elsewhere": (
        ("they saw captain Ahap there", *OLD[1:]), [FIX],
        ["they saw captain Ahab there", *OLD[1:]],
    ),
    "read right now": (
        ("we saw captain Ahab there", *OLD[1:]), [FIX], ["we saw captain Ahab there", *OLD[1:]],
    ),
    "an added word": (
        OLD, [("line", 1, "the old harbour was quiet")], [OLD[0], "the old harbour was quiet",
                                                          OLD[2]],
    ),
    "a removed word": (OLD, [("line", 1, "the harbour quiet")], [OLD[0], "the harbour quiet",
                                                                  OLD[2]]),
    "a removed line": (OLD, [("line", 2, "")], list(OLD[:2])),
    "two in one line": (
        OLD, [("line", 0, "we met captain Ahab there")], ["we met captain Ahab there", *OLD[1:]],
    ),
    "one after the other": (
        OLD, [FIX, ("line", 0, "we saw captain Ahab here")],
        ["we saw captain Ahab here", *OLD[1:]],
    ),
    "one taken back": (OLD, [FIX, ("line", 0, OLD[0])], list(OLD)),
    "over a channel": (
        OLD, [("correct", "harbour", "port")], [OLD[0], "the port was quiet", OLD[2]],
    ),
    "a stretch": (
        OLD, [("span", (3.0, 4.0), "Ahab")], ["we saw captain Ahab there", *OLD[1:]],
    ),
    "words in a silence": (
        OLD, [("span", (6.0, 8.0), "by night")], None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
@pytest.mark.parametrize("shift_s", [0.0, 0.7])
def test_kept(case: str, shift_s: float) -> None:
    new, edits, expected = KEPT[case]
    found = carry_over(segments(*new, shift_s=shift_s), edited(segments(*OLD), *edits), 2)
    assert found.lost == 0 and found.kept >= 1
    assert {revision.run for revision in found.revisions} == {2}
    assert {revision.by for revision in found.revisions} == {"anna"}
    if expected is not None:
        assert lines(found) == expected
    else:
        assert "by night" in " ".join(lines(found))


def test_kept_where_segments_are_cut_otherwise() -> None:
    new = segments("we saw captain Ahap there the harbour", "was quiet nothing else")
    joined = [Segment(0.0, 19.0, " ".join(s.text for s in new), ())]
    revisions = edited(segments(*OLD, words=False), FIX)
    for present in (new, joined):
        found = carry_over(present, revisions, 2)
        assert found.kept == 1 and "captain Ahab there" in " ".join(lines(found))


LOST = {
    "other words": ("no one was there at all", *OLD[1:]),
    "too far away": ("", "", "", "we saw captain Ahap there"),
    "no words": (),
    "another neighbour": ("we saw old Ahap now", *OLD[1:]),
}


@pytest.mark.parametrize("case", LOST)
def test_lost_and_said(case: str) -> None:
    new = segments(*LOST[case])
    found = carry_over(new, edited(segments(*OLD), FIX), 2)
    assert (found.kept, found.lost) == (0, 1)
    assert list(found.segments) == new
    (revision,) = found.revisions
    assert revision.run == 1 and revision.changes[0].after is not None


def test_a_partly_lost_correction_is_split() -> None:
    revisions = edited(
        segments("a harbour here", "a harbour there"), ("correct", "harbour", "port")
    )
    found = carry_over(segments("a harbour here", "something else"), revisions, 2)
    assert (found.kept, found.lost) == (1, 1)
    assert [(r.run, len(r.changes)) for r in found.revisions] == [(1, 1), (2, 1)]
    assert lines(found) == ["a port here", "something else"]


def test_silence_that_has_words_now_is_not_overwritten() -> None:
    change = TextChange(0, None, Segment(6.0, 8.0, "by night", ()))
    revision = Revision("2026-01-01T00:00:00Z", "", "edit", (change,), "", 1)
    new = segments("one two three four five six seven eight")
    assert carry_over(new, (revision,), 2).lost == 1
    same = [*segments("a b c"), Segment(6.0, 8.0, "by night", ())]
    assert carry_over(same, (revision,), 2).kept == 1


def test_the_next_transcription_keeps_them_too() -> None:
    first = carry_over(segments(*OLD), edited(segments(*OLD), FIX), 2)
    second = carry_over(segments(*OLD), first.revisions, 3)
    assert lines(second)[0] == "we saw captain Ahab there" and second.lost == 0
