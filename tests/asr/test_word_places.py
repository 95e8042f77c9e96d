"""Places of lost, doubled and invented words: where they are, what is read, which reading counts.

Each case is the first text of a window of 20 s, one place in it, and the second readings of the
place. A word is written as `text@start-end`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import SpokenSound
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.place_sounds import after_words, alone
from kb.asr.quality.word_edits import replace_words
from kb.asr.quality.word_places import (
    BEFORE_S,
    LONGEST_EMPTY_S,
    OpenPlace,
    Place,
    find_places,
    settle,
    with_places,
)
from kb.types import QualityFlag, Segment, SpeechSpan, Word
from tests.support.known_evidence import Scores
from tests.support.window_texts import FIRST, SPEECH, context, decoded, window, words

SPANS = tuple(SpeechSpan(*span) for span in SPEECH)


def flag(name: str, start_s: float, end_s: float) -> QualityFlag:
    return QualityFlag(name, start_s, end_s, end_s - start_s, 0.3)


def place_of(*flags: QualityFlag, text: str = FIRST) -> Place:
    (place,) = find_places(words(text), flags, window())
    return place


def texts(found: tuple[Word, ...] | None) -> str | None:
    return None if found is None else " ".join(word.text for word in found)


# Places


def test_a_hole_takes_the_word_before_it() -> None:
    place = place_of(flag("uncovered", 2.2, 3.0))
    assert (place.first, place.end) == (2, 3)
    assert (place.start_s, place.end_s) == pytest.approx((1.6, 3.1))


def test_a_hole_far_from_any_word_stands_alone() -> None:
    place = place_of(flag("uncovered", 2.7, 3.0))
    assert (place.first, place.end) == (3, 3)
    assert (place.start_s, place.end_s) == pytest.approx((2.6, 3.1))


def test_a_stretched_word_is_read_with_the_one_before_it() -> None:
    place = place_of(flag("stretched", 1.6, 2.1))
    assert (place.first, place.end) == (1, 3)


@pytest.mark.parametrize("end_s", [1.6, 1.62, 1.64])
def test_a_stutter_is_read_with_both_neighbours(end_s: float) -> None:
    text = f"quiet@1.2-1.6 harbour@1.6-{end_s} harbour@{end_s}-2.1"
    place = place_of(flag("stutter", 1.6, end_s), text=text)
    assert (place.first, place.end) == (0, 3)


def test_places_that_touch_are_one() -> None:
    place = place_of(flag("stretched", 1.6, 2.1), flag("uncovered", 2.2, 3.0))
    assert (place.first, place.end) == (1, 3)
    assert [f.name for f in place.flags] == ["stretched", "uncovered"]


def test_other_flags_are_no_places() -> None:
    assert find_places(words(FIRST), [flag("rate", 1.0, 2.0)], window()) == []


def test_a_place_stays_inside_the_window() -> None:
    place = place_of(flag("uncovered", 0.0, 0.6))
    assert place.start_s == 0.0
    (last,) = find_places((), [flag("uncovered", 19.4, 20.0)], window())
    assert last.end_s == 20.0


def test_the_readings_have_other_silence_at_their_ends() -> None:
    place = place_of(flag("uncovered", 2.2, 3.0))
    one = alone(window(), place)
    assert one.start_s == pytest.approx(place.start_s - 0.3)
    assert not one.audio[: round(0.3 * SAMPLE_RATE)].any()
    assert not one.audio[-round(0.2 * SAMPLE_RATE) :].any()
    assert one.duration_s == pytest.approx(place.duration_s + 0.5, abs=0.001)

    long = window()
    text = " ".join(f"word@{n / 2}-{n / 2 + 0.4}" for n in range(20))
    (late,) = find_places(words(text), [flag("uncovered", 10.1, 10.6)], long)
    before = after_words(long, late, words(text))
    assert BEFORE_S[0] <= late.start_s - before.start_s <= BEFORE_S[1] + 0.05
    assert not before.audio[-round(0.5 * SAMPLE_RATE) :].any()


# Which words count

HOLE = flag("uncovered", 2.2, 3.0)
TAIL = "harbour@1.65-2.1 winter@2.4-2.9"
SETTLED = {
    # name: (flags, readings, result)
    "both find the lost word": ([HOLE], [TAIL, "quiet@1.2-1.6 " + TAIL], "harbour winter"),
    "times within 0.25 s": (
        [HOLE],
        [TAIL, "harbour@1.6-2.2 winter@2.6-3.0"],
        "harbour winter",
    ),
    "the known word is misheard once": (
        [HOLE],
        [TAIL, "arbor@1.65-2.1 winter@2.4-2.9"],
        "harbour winter",
    ),
    "other texts of the new word": ([HOLE], [TAIL, "harbour@1.65-2.1 water@2.4-2.9"], None),
    "other times of the new word": ([HOLE], [TAIL, "harbour@1.65-2.1 winter@2.85-3.1"], None),
    "other number of words": ([HOLE], [TAIL, "harbour@1.65-2.1"], None),
    "the third reading decides": (
        [HOLE],
        ["harbour@1.65-2.1", TAIL, "harbour@1.6-2.1 winter@2.4-2.8"],
        "harbour winter",
    ),
    "both find only the known word": (
        [HOLE],
        ["harbour@1.65-2.1", "harbour@1.6-2.15"],
        "harbour",
    ),
    "the new word is outside of sure speech": (
        [HOLE],
        ["harbour@1.65-2.1 winter@3.05-3.1", "harbour@1.65-2.1 winter@3.05-3.1"],
        None,
    ),
    "more words than the sound has room for": (
        [HOLE],
        ["harbour@1.65-2.1 " + " ".join(["everlasting@2.4-2.9"] * 4)] * 2,
        None,
    ),
    "a stutter in place of a word": (
        [HOLE],
        ["harbour@1.65-2.1 harbour@2.40-2.44"] * 2,
        None,
    ),
    "a reading that the model marks as silence": ([HOLE], [TAIL, None], None),
    "empty where a word was": ([HOLE], ["", ""], None),
    "both lose one of three equal words": (
        [flag("stretched", 1.2, 2.1)],
        ["quiet@1.0-1.3 quiet@1.3-2.1"] * 2,
        None,
    ),
    "two equal words of the same length": (
        [flag("stretched", 1.2, 2.1)],
        ["quiet@1.1-1.5 quiet@1.5-2.1"] * 2,
        "the quiet harbour",
    ),
    "a reading that hears other words before": (
        [HOLE],
        [TAIL, "lorem@0.2-0.5 ipsum@0.6-0.9 " + TAIL],
        None,
    ),
}


@pytest.mark.parametrize("name", SETTLED)
def test_readings_of_a_place(name: str) -> None:
    flags, readings, expected = SETTLED[name]
    results = [
        decoded(TAIL, logprob=-2.0, no_speech=0.9) if text is None else decoded(text)
        for text in readings
    ]
    sure = window().speech
    assert texts(settle(place_of(*flags), results, context(), sure, 0.06)) == expected


@pytest.mark.parametrize(
    ("speech_s", "expected"),
    [(0.5, ""), (LONGEST_EMPTY_S - 0.05, ""), (LONGEST_EMPTY_S + 0.1, None)],
)
def test_two_empty_readings_answer_a_short_place(speech_s: float, expected: str | None) -> None:
    sure = (SpeechSpan(10.0, 10.0 + speech_s),)
    place = Place(9.9, 10.1 + speech_s, 4, 4, (flag("uncovered", 10.0, 10.0 + speech_s),))
    empty = [decoded(""), decoded("")]
    assert texts(settle(place, empty, context(), sure, 0.06)) == expected


def test_a_known_hallucination_alone_never_counts() -> None:
    sure = (SpeechSpan(10.0, 11.5),)
    place = Place(9.9, 11.6, 4, 4, (flag("uncovered", 10.0, 11.5),))
    both = [decoded("thank@10.1-10.5 you@10.5-10.8")] * 2
    known = context(speech=((0.9, 4.5), (10.0, 11.5)))
    assert settle(place, both, known, sure, 0.06) is None
    other = [decoded("green@10.1-10.5 river@10.5-10.9")] * 2
    assert texts(settle(place, other, known, sure, 0.06)) == "green river"


DOUBLED = "quiet@1.2-1.6 harbour@1.6-1.64 harbour@1.64-2.1 story@4.0-4.4"


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (["quiet@1.2-1.6 harbour@1.6-2.1"] * 2, "quiet harbour"),
        (["", ""], None),  # nothing was heard: that says nothing about one word
        (["quiet@1.2-1.6 harbour@1.6-2.1", ""], None),
        (["quiet@1.2-1.6 other@1.6-2.1"] * 2, None),  # fewer words, but others
        (["quiet@1.2-1.5 harbour@1.5-1.8 harbour@1.8-2.1"] * 2, "quiet harbour harbour"),
    ],
)
def test_a_doubled_word_falls_where_two_readings_have_it_once(
    readings: list[str], expected: str | None
) -> None:
    place = place_of(flag("stutter", 1.6, 1.64), text=DOUBLED)
    results = [decoded(text) for text in readings]
    found = settle(place, results, context(DOUBLED), window().speech, 0.06)
    assert texts(found) == expected


@pytest.mark.parametrize(
    ("text", "reading", "expected"),
    [
        (
            "river@1.0-1.6 bridge@1.8-1.84 village@1.84-2.2",
            "river@1.0-1.6 village@1.8-2.2",
            None,
        ),
        (
            "river@1.0-1.4 bridge@1.4-1.44 village@1.44-1.9",
            "river@1.0-1.4 village@1.4-1.9",
            "river village",
        ),
    ],
)
def test_a_word_of_an_instant_stays_open_where_its_sound_is_left(
    text: str, reading: str, expected: str | None
) -> None:
    place = place_of(flag("stutter", *_times(text, "bridge")), text=text)
    assert (place.first, place.end) == (0, 3)
    known = context(text, ((0.9, 3.0),))
    found = settle(place, [decoded(reading)] * 2, known, window().speech, 0.06)
    assert texts(found) == expected


def _times(text: str, name: str) -> tuple[float, float]:
    (word,) = (word for word in words(text) if word.text == name)
    return word.start_s, word.end_s


INVENTED = "harbour@1.6-2.1 winter@2.4-2.9 thanks@3.3-3.7 story@4.0-4.4"


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (["", ""], "winter"),
        (["winter@2.4-2.9", "winter@2.4-2.9"], "winter"),
        # The word was spoken, at another time than the first text says.
        (["winter@2.2-2.5 thanks@2.5-2.95"] * 2, "winter thanks"),
        # Both say it again where nothing is spoken.
        (["winter@2.4-2.9 thanks@3.3-3.7"] * 2, None),
        (["winter@2.4-2.9", "winter@2.4-2.9 thanks@2.7-3.0"], None),
    ],
)
def test_words_on_silence_fall_or_get_the_times_of_their_sound(
    readings: list[str], expected: str | None
) -> None:
    place = place_of(flag("silence", 3.3, 3.7), text=INVENTED)
    results = [decoded(text) for text in readings]
    found = settle(place, results, context(INVENTED), window().speech, 0.06)
    assert texts(found) == expected
    if expected == "winter thanks":
        assert found is not None
        assert found[-1].end_s == 2.95


# Insertion


@pytest.mark.parametrize(
    ("first", "end", "new", "expected"),
    [
        (2, 3, "harbour@1.6-2.1 winter@2.4-2.9", "the quiet harbour winter|story"),
        (3, 3, "winter@2.4-2.9", "the quiet harbour winter|story"),
        (3, 3, "winter@3.5-3.9", "the quiet harbour|winter story"),
        (0, 0, "so@0.5-0.8", "so the quiet harbour|story"),
        (4, 4, "again@5.0-5.4", "the quiet harbour|story again"),
        (3, 4, "", "the quiet harbour"),
    ],
)
def test_words_join_the_segment_of_their_place(
    first: int, end: int, new: str, expected: str
) -> None:
    own = words(FIRST)
    segments = (
        Segment(1.0, 2.1, "The quiet harbour.", own[:3], "en"),
        Segment(4.0, 4.4, "story", own[3:], "en"),
    )
    whole = DecodingResult(segments, "en", -0.1, 0.0, 4.4)
    found = replace_words(whole, [(first, end, words(new))])
    assert "|".join(" ".join(w.text for w in s.words) for s in found.segments) == expected
    for segment in found.segments:
        assert segment.start_s <= segment.words[0].start_s
        assert segment.end_s >= segment.words[-1].end_s
    unchanged = [s for s in found.segments if s.words in (own[:3], own[3:])]
    assert all(s in segments for s in unchanged)


def test_several_changes_keep_their_places() -> None:
    whole = decoded(FIRST)
    changes = [
        (0, 1, words("but@0.5-0.8 the@1.0-1.2")),
        (3, 4, words("winter@2.4-2.9 story@4.0-4.4")),
    ]
    found = replace_words(whole, changes)
    assert " ".join(w.text for s in found.segments for w in s.words) == (
        "but the quiet harbour winter story"
    )


# Later readings of the whole window

OPEN = OpenPlace(
    place_of(HOLE),
    words("harbour@1.6-2.1"),
    (decoded("harbour@1.6-2.1 water@2.4-2.9"), decoded("harbour@1.6-2.1 summer@2.4-2.9")),
)


@pytest.mark.parametrize(
    ("text", "against"),
    [
        ("harbour@1.6-2.1", False),  # the words that were there
        ("harbour@1.6-2.1 water@2.4-2.9", False),  # those of one reading
        ("harbour@1.6-2.1 water@2.7-3.0", True),  # at another time
        ("harbour@1.6-2.1 winter@2.4-2.9", True),
        ("harbour@1.6-2.1 winter@2.4-2.6 water@2.6-2.9", True),
    ],
)
def test_a_later_text_needs_a_reading_of_the_open_place(text: str, against: bool) -> None:
    assert OPEN.contradicts(context(text), window().speech, 0.06) is against


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (["winter@2.4-2.9 thanks@3.0-3.3", "winter@2.4-2.9", ""], "winter"),
        (["", "", ""], "winter"),
        (["winter@2.4-2.9 thanks@2.6-2.9", "winter@2.4-2.9 you@2.6-2.9", "what@2.4-2.9"], "winter"),
    ],
)
def test_words_without_sure_sound_fall_where_no_readings_agree(
    readings: list[str], expected: str
) -> None:
    text = "harbour@1.6-2.1 winter@2.4-2.9 thanks@3.3-3.7 story@4.0-4.4"
    place = place_of(flag("ending", 3.3, 3.7), text=text)
    results = [decoded(reading) for reading in readings]
    found = settle(place, results, context(text), window().speech, 0.06)
    assert texts(found) == expected


def test_unlikely_words_in_sure_speech_stay_in_doubt_where_no_readings_agree() -> None:
    text = "harbour@1.6-2.1 winter@2.4-2.9"
    place = place_of(flag("ending", 2.4, 2.9), text=text)
    results = [decoded(f"harbour@1.6-2.1 {other}@2.4-2.9") for other in ("sun", "moon", "sea")]
    assert settle(place, results, context(text), window().speech, 0.06) is None


def test_words_that_are_only_in_doubt_stay_where_readings_have_none() -> None:
    text = "harbour@1.6-2.1 winter@2.4-2.9"
    place = place_of(replace(flag("ending", 2.4, 2.9), value=0.0), text=text)
    results = [decoded("harbour@1.6-2.1")] * 3
    empty = [decoded("")] * 3
    for readings in (results, empty):
        assert settle(place, readings, context(text), window().speech, 0.06) is None


# The places that are reported


@pytest.mark.parametrize(
    ("score", "clear", "readings", "answered"),
    [
        (0.98, (0.9, 3.0), ("harbour@1.6-2.1", "harbour@1.6-2.1"), False),  # both lose a word
        (0.5, (0.9, 3.0), ("harbour@1.6-2.1", "harbour@1.6-2.1"), True),  # a noise
        (0.98, (0.9, 2.0), ("harbour@1.6-2.1", "harbour@1.6-2.1"), True),  # not surely detected
        (0.98, (0.9, 3.0), ("harbour@1.6-2.9", "harbour@1.6-2.9"), True),  # the known word is there
        (0.98, (0.9, 3.0), ("harbour@1.6-2.1", "story@1.6-2.1"), False),
        (None, (0.9, 3.0), ("harbour@1.6-2.1", "harbour@1.6-2.1"), True),  # nothing is known of it
    ],
)
def test_readings_that_lose_the_same_word_do_not_answer_its_sound(
    score: float | None, clear: tuple[float, float], readings: tuple[str, str], answered: bool
) -> None:
    place = place_of(flag("uncovered", 2.25, 2.95))
    heard = replace(
        context(),
        clear=(SpeechSpan(*clear),),
        evidence=None if score is None else Scores({2.25: score}),
        spoken_sound=SpokenSound(0.92),
    )
    sure = window().speech
    found = settle(place, [decoded(text) for text in readings], heard, sure, 0.06)
    assert (found is not None) == answered


def test_a_hole_alone_with_the_sound_of_speech_stays_open() -> None:
    place = place_of(flag("uncovered", 2.7, 3.0))
    nothing = [decoded(""), decoded("")]
    heard = replace(context(), clear=SPANS, spoken_sound=SpokenSound(0.92))
    for score, answered in ((0.98, False), (0.5, True)):
        found = settle(
            place, nothing, replace(heard, evidence=Scores({2.7: score})), window().speech, 0.06
        )
        assert (found == ()) == answered


@pytest.mark.parametrize(
    ("name", "span", "reported"),
    [
        ("stretched", (1.6, 2.1), (1.2, 2.2)),  # the lost word may be under the one before
        ("stretched", (4.0, 4.4), (3.9, 4.5)),  # behind a pause
        ("stretched", (1.0, 1.2), (0.9, 1.2)),
        ("stutter", (1.6, 2.1), (1.6, 2.1)),
        ("ending", (1.6, 2.1), (1.6, 2.1)),
    ],
)
def test_the_doubt_about_a_stretched_word_covers_its_place(
    name: str, span: tuple[float, float], reported: tuple[float, float]
) -> None:
    (found,) = with_places([flag(name, *span)], words(FIRST), window())
    assert (found.start_s, found.end_s) == pytest.approx(reported)
    assert (found.name, found.value) == (name, pytest.approx(span[1] - span[0]))
