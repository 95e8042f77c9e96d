"""Words without a sound of their own: pieces of a word, and words of an instant.

A word is written as `text@start-end`; the item's pace is 0.1 s and 0.05 s a letter.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.asr.audio.speech_evidence import SpokenSound
from kb.asr.quality.candidates import RepairCandidate
from kb.asr.quality.doubled_words import (
    Change,
    doubled,
    leaves_room,
    misheard_twice,
    with_room,
)
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.settings import Settings
from kb.types import Segment, Word
from tests.support.known_evidence import Scores
from tests.support.window_texts import PACE, context, decoded, window, words

LIMITS = Thresholds.of(Settings())


def changed(text: str, changes: list[Change]) -> str:
    """Return the words after the changes, written as they are given."""
    own: list[Word] = list(words(text))
    for first, end, new in reversed(changes):
        own[first:end] = new
    return " ".join(f"{w.text}@{round(w.start_s, 3)}-{round(w.end_s, 3)}" for w in own)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # "harbour" needs 0.45 s.
        ("harbour@1.0-1.4 harbour@1.4-1.5", "harbour@1.0-1.5"),
        ("harbour@1.0-1.1 harbour@1.12-1.5", "harbour@1.0-1.5"),
        ("harbour@1.0-1.4 harbour@1.4-1.44", "harbour@1.0-1.4"),  # an instant
        ("harbour@1.0-1.4 harbour@1.41-1.8", None),  # said twice
        ("harbour@1.0-1.4 harbour@1.6-1.7", None),  # a sound of its own
        ("harbour@1.0-1.7 harbour@1.7-1.8", None),  # the sound of two
        ("harbour@1.0-1.4 weather@1.4-1.5", None),
        ("harbour@1.0-1.4 harbour@1.4-1.6", None),  # long enough for a fast one
        ("no@1.0-1.2 no@1.2-1.25", None),  # a short word may be spoken in an instant
        (
            "harbour@1.0-1.4 harbour@1.4-1.5 story@1.6-1.9 story@1.9-2.0",
            "harbour@1.0-1.5 story@1.6-2.0",
        ),
        (
            "harbour@1.0-1.4 harbour@1.4-1.5 harbour@1.5-1.6",
            "harbour@1.0-1.5 harbour@1.5-1.6",  # a change for each word at most
        ),
        ("", None),
    ],
)
def test_pieces_of_a_word_join_it(text: str, expected: str | None) -> None:
    found = changed(text, doubled(words(text), PACE, 0.06))
    assert found == changed(text if expected is None else expected, [])


@pytest.mark.parametrize(
    ("text", "chances", "expected"),
    [
        # "harbour" needs 0.45 s.
        ("harbour@1.0-1.3 harbour@1.3-1.7", (0.4, 0.9), "harbour@1.0-1.7"),
        ("harbour@1.0-1.5 harbour@1.52-1.7", (0.9, 0.4), "harbour@1.0-1.7"),
        ("harbour@1.0-1.3 harbour@1.3-1.7", (0.5, 0.9), None),  # one is likely
        # Neither is likely, and the border between them may be wrong.
        ("harbour@1.0-1.3 harbour@1.36-1.7", (0.8, 0.6), "harbour@1.0-1.7"),
        ("harbour@1.0-1.3 harbour@1.36-1.7", (0.9, 0.6), None),
        ("harbour@1.0-1.3 harbour@1.42-1.7", (0.8, 0.6), None),
        ("harbour@1.0-1.3 harbour@1.36-1.8", (0.8, 0.6), None),  # more than 1.65 times of one
        # A short gap inside of the time of one word.
        ("harbour@1.0-1.15 harbour@1.28-1.48", (0.9, 0.9), "harbour@1.0-1.48"),
        ("harbour@1.0-1.15 harbour@1.32-1.48", (0.9, 0.9), None),
        ("harbour@1.0-1.15 harbour@1.28-1.52", (0.9, 0.9), None),
        # Words of a row of four tell the time of the last two, those of a row of three do not.
        ("harbour@1.0-1.5 harbour@1.6-2.1 harbour@2.2-2.5 harbour@2.5-2.85", (0.99,) * 4,
         "harbour@1.0-1.5 harbour@1.6-2.1 harbour@2.2-2.85"),
        ("harbour@1.0-1.45 harbour@1.5-1.95 harbour@2.2-2.5 harbour@2.5-2.85", (0.99,) * 4, None),
        ("harbour@1.6-2.1 harbour@2.2-2.5 harbour@2.5-2.85", (0.99,) * 3, None),
        # The long ones may each lie over a lost word.
        ("harbour@1.0-1.9 harbour@2.0-2.9 harbour@3.0-3.35 harbour@3.35-3.72", (0.99,) * 4, None),
        # The third one lies over its neighbour: "weather" needs 0.45 s.
        ("harbour@1.0-1.4 harbour@1.5-1.9 weather@1.9-2.0", (0.9,) * 3,
         "harbour@1.0-1.4 weather@1.5-2.0"),
        ("weather@1.0-1.1 harbour@1.1-1.5 harbour@1.6-2.0", (0.9,) * 3,
         "weather@1.0-1.5 harbour@1.6-2.0"),
        ("harbour@1.0-1.4 harbour@1.5-1.95 weather@1.95-2.1", (0.9,) * 3, None),  # too long
        ("harbour@1.0-1.4 harbour@1.5-1.9 weather@1.9-2.1", (0.9,) * 3, None),  # no piece
        ("harbour@1.0-1.4 harbour@1.5-1.84 weather@1.9-2.0", (0.9,) * 3, None),  # a gap
        ("morning@1.0-1.4 harbour@1.5-1.9 weather@1.9-2.0", (0.9,) * 3, None),
        ("harbour@1.0-1.4 harbour@1.4-1.8", (0.4, 0.4), None),  # the sound of two
        ("harbour@1.0-1.3 harbour@1.42-1.72", (0.4, 0.4), None),  # a pause between them
        ("harbour@1.0-1.1 harbour@1.4-2.0", (0.9, 0.4), "harbour@1.4-2.0"),  # a piece
        ("harbour@1.0-1.5 harbour@1.7-1.82", (0.9, 0.4), "harbour@1.0-1.5"),
        ("harbour@1.0-1.1 harbour@1.5-2.0", (0.9, 0.4), None),  # too far away
        # The end of "weather" was read as the word behind it, which needs 0.45 s.
        ("weather@0.4-1.2 harbour@1.2-1.34 harbour@1.6-2.0", (0.6, 0.7, 0.9),
         "weather@0.4-1.2 harbour@1.6-2.0"),
        ("weather@0.4-1.2 harbour@1.2-1.34 harbour@1.6-2.0", (0.6, 0.9, 0.9), None),  # likely
        ("weather@0.8-1.2 harbour@1.2-1.34 harbour@1.6-2.0", (0.6, 0.7, 0.9), None),  # not long
        ("weather@0.4-1.1 harbour@1.2-1.34 harbour@1.6-2.0", (0.6, 0.7, 0.9), None),  # a gap
        ("weather@0.4-1.2 harbour@1.2-1.4 harbour@1.6-2.0", (0.6, 0.7, 0.9), None),  # no piece
        ("harbour@1.0-1.3 harbour@1.32-1.56", (0.9, 0.9), "harbour@1.0-1.56"),  # one sound
        ("harbour@1.0-1.3 harbour@1.32-1.58", (0.9, 0.9), None),
        ("harbour@1.0-1.2 harbour@1.25-1.5", (0.9, 0.9), None),
        ("harbour@1.0-1.4 weather@1.4-2.0", (0.4, 0.4), None),
        ("no@1.0-1.1 no@1.1-1.3", (0.4, 0.4), None),  # short words are often said twice
        ("harbour@1.0-1.3 harbour@1.3-1.6 harbour@1.6-1.9", (0.4,) * 3,
         "harbour@1.0-1.6 harbour@1.6-1.9"),
        ("harbour@1.0-1.4", (0.4,), None),
    ],
)  # fmt: skip
def test_one_of_two_equal_words_that_are_misheard_is_left(
    text: str, chances: tuple[float, ...], expected: str | None
) -> None:
    own = [replace(w, probability=p) for w, p in zip(words(text), chances, strict=True)]
    found = changed(text, misheard_twice(said(own)))
    assert found == changed(text if expected is None else expected, [])


@pytest.mark.parametrize(
    ("text", "chances", "expected"),
    [
        ("harbour@1.0-1.45 harbour@1.45-1.9", (0.4, 0.9), "harbour@1.0-1.9"),  # 2 times of one
        ("harbour@1.0-1.45 harbour@1.53-1.94", (0.4, 0.3), "harbour@1.0-1.94"),
        ("harbour@1.0-1.45 harbour@1.55-1.94", (0.4, 0.3), None),  # a gap
        ("harbour@1.0-1.5 harbour@1.5-2.0", (0.4, 0.9), None),  # more than 2.1 times of one
        ("harbour@1.0-1.45 harbour@1.45-1.9", (0.6, 0.9), None),  # neither is unlikely
        ("harbour@1.0-1.3 harbour@1.36-1.7", (0.9, 0.9), "harbour@1.0-1.7"),  # as not likely
        ("harbour@1.0-1.45 weather@1.45-1.9", (0.4, 0.3), None),
    ],
)
def test_two_equal_words_of_a_misheard_window_are_one(
    text: str, chances: tuple[float, ...], expected: str | None
) -> None:
    row = " ".join(f"story@{at}-{at + 0.3}" for at in range(3, 13))
    row = " ".join(each.replace("story", f"story{n}") for n, each in enumerate(row.split()))
    own = [replace(w, probability=p) for w, p in zip(words(text), chances, strict=True)]
    others = [replace(w, probability=0.2) for w in words(row)]
    found = changed(f"{text} {row}", misheard_twice(said([*own, *others])))
    assert found == changed(f"{text if expected is None else expected} {row}", [])


@pytest.mark.parametrize(
    ("text", "chances", "unheard", "expected"),
    [
        # Unlikely and without the sound of speech, beside a longer one.
        ("harbour@1.0-1.7 harbour@1.7-2.1", (0.4, 0.2), 1.7, "harbour@1.0-1.7"),
        ("harbour@1.0-1.7 harbour@1.7-2.1", (0.2, 0.4), 1.0, "harbour@1.7-2.1"),
        ("harbour@1.0-1.7 harbour@1.7-2.1", (0.4, 0.2), 1.0, None),  # the other one
        ("harbour@1.0-1.7 harbour@1.7-2.1", (0.4, 0.2), 9.0, None),  # both are speech
        ("harbour@1.0-1.7 harbour@1.7-2.1", (0.9, 0.9), 1.7, None),  # both are likely
        ("harbour@1.0-1.7 harbour@1.8-2.2", (0.4, 0.2), 1.8, None),  # a pause between them
        # A piece without the sound of speech, beside a word that is long enough for two.
        ("harbour@1.0-1.1 harbour@1.1-2.1", (0.9, 0.9), 1.0, "harbour@1.0-2.1"),
        ("harbour@1.0-1.1 harbour@1.1-2.1", (0.9, 0.9), 9.0, None),
        ("harbour@1.0-1.2 harbour@1.2-2.1", (0.9, 0.9), 1.0, None),  # no piece
        # Three with the sound of less than two and a half.
        (
            "harbour@1.0-1.4 harbour@1.4-1.72 harbour@1.72-2.1",
            (0.9, 0.9, 0.2), 9.0, "harbour@1.0-1.4 harbour@1.4-2.1",
        ),
        ("harbour@1.0-1.4 harbour@1.4-1.8 harbour@1.8-2.2", (0.9, 0.9, 0.2), 9.0, None),
        ("harbour@1.0-1.4 harbour@1.4-1.72 harbour@1.72-2.1", (0.9, 0.9, 0.9), 9.0, None),
    ],
)  # fmt: skip
def test_one_of_equal_words_without_a_sound_of_its_own_is_left_out(
    text: str, chances: tuple[float, ...], unheard: float, expected: str | None
) -> None:
    own = [replace(w, probability=p) for w, p in zip(words(text), chances, strict=True)]
    known = replace(
        said(own),
        evidence=Scores({unheard: 0.5}),  # type: ignore[arg-type]
        spoken_sound=SpokenSound(0.92),
    )
    found = changed(text, misheard_twice(known))
    assert found == changed(text if expected is None else expected, [])


@pytest.mark.parametrize(
    ("old", "found", "expected"),
    [
        # "bridge" needs 0.4 s, "river" 0.35 s and "village" 0.45 s.
        ("river@1.0-1.6 bridge@1.8-1.82 village@1.82-2.2", "river@1.0-1.6 village@1.8-2.2", True),
        ("river@1.0-1.4 bridge@1.4-1.42 village@1.42-1.9", "river@1.0-1.4 village@1.4-1.9", False),
        ("river@1.0-1.6 bridge@1.7-2.1 village@2.1-2.5", "river@1.0-1.9 village@1.9-2.5", False),
        # A doubled word leaves no sound of its own, whatever its neighbours have.
        ("river@1.0-1.6 river@1.8-1.82 village@1.82-2.2", "river@1.0-1.6 village@1.8-2.2", False),
        ("river@1.0-1.6 bridge@1.8-1.82 bridge@1.82-2.2", "river@1.0-1.6 bridge@1.8-2.2", False),
        ("river@1.0-1.6 village@1.8-2.2", "river@1.0-1.6 village@1.8-2.2", False),
    ],
)
def test_readings_without_a_word_leave_the_sound_that_it_needs(
    old: str, found: str, expected: bool
) -> None:
    known = context(old, ((0.9, 2.6),))
    assert leaves_room(words(old), words(found), known, LIMITS.stutter_s) == expected


def said(own: list[Word]) -> WindowContext:
    """Return a window with the words."""
    segment = Segment(own[0].start_s, own[-1].end_s, "", tuple(own), "en")
    return replace(context(""), decoded=replace(decoded(""), segments=(segment,)))


@pytest.mark.parametrize(
    ("text", "speech", "expected"),
    [
        # The sound before it, behind it, and none.
        ("the@1.0-1.2 harbour@1.9-1.92 story@2.0-2.3", (1.0, 2.4), "1.2-2.0"),
        ("the@1.0-1.2 harbour@1.2-1.22 story@1.8-2.1", (1.0, 2.4), "1.2-1.8"),
        ("the@1.0-1.2 harbour@1.5-1.52 story@1.8-2.1", (2.9, 3.0), None),
        # Sound of 0.1 s is too little; so much may be the border of the words around.
        ("the@1.0-1.2 harbour@1.2-1.22 story@1.3-1.6", (1.0, 2.4), None),
        # A neighbour that touches it has too much: "story" needs 0.35 s.
        ("story@1.0-1.8 harbour@1.8-1.82 the@1.9-2.1", (1.0, 2.4), "1.35-1.82"),
        ("the@1.0-1.2 harbour@1.2-1.22 story@1.22-2.0", (1.0, 2.4), "1.2-1.65"),
        ("story@1.0-1.3 harbour@1.3-1.32 story@1.32-1.6", (1.0, 2.4), None),
        # More sound than a word needs is not all its own.
        ("the@1.0-1.2 harbour@1.2-1.22 story@8.0-8.3", (1.0, 8.4), "1.2-2.1"),
        ("harbour@1.0-1.02", (0.8, 1.4), "0.8-1.4"),  # the only word
        ("of@1.0-1.02 story@1.1-1.4", (1.0, 1.4), "unchanged"),  # it may be spoken
    ],
)
def test_a_word_of_an_instant_gets_the_sound_around_it_or_is_removed(
    text: str, speech: tuple[float, float], expected: str | None
) -> None:
    own = context(text, (speech,))
    found = changed(text, with_room(own, LIMITS))
    if expected == "unchanged":
        assert found == changed(text, [])
    elif expected is None:
        assert "harbour" not in found
        assert len(found.split()) == len(text.split()) - 1
    else:
        assert f"harbour@{expected}" in found.split()
        times = [float(at) for part in found.split() for at in part.split("@")[1].split("-")]
        assert times == sorted(times)


def test_the_place_of_a_word_that_was_misheard_twice_stays_in_doubt() -> None:
    one, other = words("harbour@1.0-1.3 harbour@1.3-1.6")
    own = replace(one, probability=0.3), other
    text = Segment(1.0, 1.6, "harbour harbour", own, "en")
    read = replace(decoded("harbour@1.0-1.4"), segments=(text,))
    before = replace(context("", ((1.0, 1.6),)), decoded=read)
    candidate = RepairCandidate(window(), before, LIMITS)
    candidate.give_room()
    assert [w.text for w in candidate.best_context.words] == ["harbour"]
    assert any(f.start_s <= 1.0 and f.end_s >= 1.6 for f in candidate.result().flags)


def test_the_place_of_a_word_of_an_instant_stays_in_doubt() -> None:
    text = "the@1.0-1.2 harbour@1.9-1.92 story@2.0-2.3"
    candidate = RepairCandidate(window(), context(text, ((1.0, 2.4),)), LIMITS)
    candidate.give_room()
    assert [w.text for w in candidate.best_context.words] == ["the", "harbour", "story"]
    assert min(w.end_s - w.start_s for w in candidate.best_context.words) > 0.06
    result = candidate.result()
    assert any(f.start_s <= 1.9 and f.end_s >= 1.92 for f in result.flags)
    assert result.attempts[result.chosen].method == "places"
