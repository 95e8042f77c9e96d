"""Words that may be invented, beside others that are, or very near spoken ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import SpeechEvidence, SpokenLevel, SpokenSound
from kb.asr.audio.word_sound import WordSound
from kb.asr.quality.candidates import PLACES, SHIFTED, RepairCandidate
from kb.asr.quality.detected_speech import with_detection
from kb.asr.quality.rejected_words import hardly_spoken
from kb.asr.quality.window_context import Thresholds, WindowContext, is_misheard, make_flag
from kb.asr.quality.word_checks import ending
from kb.asr.quality.word_places import LONGEST_PLACE_S, Place, find_places
from kb.settings import Settings
from kb.types import SpeechSpan, Word
from tests.support.compose import compose
from tests.support.known_evidence import HUM, NOISE, PLAIN, SHORT_WORD, Scores
from tests.support.speech import bank, detector
from tests.support.window_texts import context, decoded, window, words

LIMITS = Thresholds.of(Settings())
LITTLE_MOVED = WordSound(PLAIN.voicing, 0.7 * PLAIN.movement)  # weak, but not beside a clear word


def with_chances(text: WindowContext, chances: Sequence[float]) -> WindowContext:
    """Return a window of one segment whose words have these probabilities."""
    (segment,) = text.decoded.segments
    own = tuple(
        replace(word, probability=chance)
        for word, chance in zip(segment.words, chances, strict=True)
    )
    return replace(text, decoded=replace(text.decoded, segments=(replace(segment, words=own),)))


@pytest.mark.parametrize(
    ("pause_s", "sure", "doubted"),
    [
        (0.1, (2.0, 2.4), True),
        (0.2, (2.0, 2.4), True),
        (0.25, (2.0, 2.4), False),  # not near
        (0.1, (2.0, 2.25), True),
        (0.1, (2.0, 2.15), False),  # less than half of it is surely speech
    ],
)
def test_a_likely_word_at_the_end_is_in_doubt_if_it_is_near_and_surely_speech(
    pause_s: float, sure: tuple[float, float], doubted: bool
) -> None:
    own = [
        Word(1.0, 2.0 - pause_s, "harbour", 0.99),
        Word(2.0, 2.4, "acht", 0.99),
    ]
    known: dict[str, Any] = {
        "sure": (SpeechSpan(1.0, 1.9), SpeechSpan(*sure)),
        "clear": (SpeechSpan(1.0, 1.9),),
        "evidence": Scores({2.0: 0.6}, {2.0: SHORT_WORD}),
        "spoken_sound": SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    }
    text = context("harbour@1.0-1.9 acht@2.0-2.4", ((0.9, 2.5),))
    segment = replace(text.decoded.segments[0], words=tuple(own))
    text = replace(text, decoded=replace(text.decoded, segments=(segment,)), **known)
    assert [flag.value == 0 for flag in ending(text, LIMITS)] == [doubted]


@pytest.mark.parametrize(
    ("sounds", "removed"),
    [
        # "it was a very nice" on a sound, of which "a very" have no evidence at all.
        ({1.1: LITTLE_MOVED, 1.5: LITTLE_MOVED}, ["it", "was", "a", "very"]),
        ({1.1: NOISE, 1.5: LITTLE_MOVED}, ["it", "was", "a", "very"]),
        ({1.5: LITTLE_MOVED}, ["a", "very"]),  # "it" has the sound of speech
        ({}, ["a", "very"]),
    ],
)
def test_weak_words_that_touch_invented_ones_are_of_their_sentence(
    sounds: dict[float, WordSound], removed: list[str]
) -> None:
    text = context("harbour@0.4-0.9 it@1.1-1.5 was@1.5-1.9 a@1.9-2.3 very@2.3-2.7", ((0.3, 2.8),))
    text = replace(
        text,
        clear=(SpeechSpan(0.3, 2.8),),
        evidence=Scores({1.1: 0.94, 1.5: 0.94, 1.9: 0.5, 2.3: 0.5}, sounds),
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    flags = [flag for flag in ending(text, LIMITS) if flag.value > 0]
    found = [w.text for w in text.words if any(f.start_s <= w.start_s < f.end_s for f in flags)]
    assert found == removed


@pytest.mark.parametrize(
    ("gap_s", "probability", "detected", "doubted"),
    [
        (0.5, 0.6, False, True),
        (0.25, 0.6, False, True),  # at the end of a stretch, but not near the word before it
        (0.15, 0.6, False, False),
        (0.5, 0.9, False, False),  # likely
        (0.5, 0.6, True, False),
    ],
)
def test_an_unlikely_word_alone_without_clear_detection_is_in_doubt(
    gap_s: float, probability: float, detected: bool, doubted: bool
) -> None:
    """Its sound has a voice, moves, and is speech by itself, as some laughter."""
    text = context(
        f"harbour@1.0-1.5 story@1.6-2.0 emperor@{2 + gap_s}-{2.5 + gap_s}", ((0.9, 4.0),)
    )
    text = replace(
        with_chances(text, (0.99, 0.99, probability)),
        clear=(SpeechSpan(0.9, 4.0 if detected else 2.0),),
        evidence=Scores({}),
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    assert [(flag.start_s, flag.value) for flag in ending(text, LIMITS)] == (
        [(2 + gap_s, 0.0)] if doubted else []
    )


WEAK = WordSound(PLAIN.voicing, 0.6 * PLAIN.movement)
EDGES = {
    # name: (text, probabilities, sounds, words in doubt)
    "a short last word behind a weak one": (
        "harbour@1.0-1.5 story@1.6-2.0 banana@2.0-2.2", (0.99, 0.9, 0.9), {1.6: WEAK},
        "story banana",
    ),
    "a short last word that is quite likely": (
        "harbour@1.0-1.5 story@1.6-2.0 banana@2.0-2.2", (0.99, 0.9, 0.99), {1.6: WEAK}, "",
    ),
    "a short last word behind a plain one": (
        "harbour@1.0-1.5 story@1.6-2.0 banana@2.0-2.2", (0.99, 0.9, 0.9), {}, "",
    ),
    "two short words behind a weak one": (
        "harbour@1.0-1.5 story@1.6-2.0 and@2.0-2.2 so@2.2-2.4", (0.99, 0.9, 0.9, 0.9), {1.6: WEAK},
        "story and so",
    ),
    "three short words are talk": (
        "harbour@1.0-1.5 story@1.6-2.0 and@2.0-2.2 so@2.2-2.4 on@2.4-2.6", (0.99, *(0.9,) * 4),
        {1.6: WEAK}, "",
    ),
    # A word of a script without spaces is a character: nearly all are short.
    "a short character behind a weak one": (
        "\u4eca@1.0-1.5 \u5929@1.6-2.0 \u6c14@2.0-2.2", (0.99, 0.9, 0.94), {1.6: WEAK}, "",
    ),
    "six short characters behind a weak one": (
        "\u4eca@1.0-1.5 \u5929@1.6-2.0 \u6c14@2.0-2.2 \u5f88@2.2-2.4 \u597d@2.4-2.6 "
        "\u6211@2.6-2.8 \u4eec@2.8-3.0 \u8d70@3.0-3.2",
        (0.99, 0.9, *(0.94,) * 6), {1.6: WEAK}, "",
    ),
    "a weak last character": (
        "\u5929@1.2-1.6 \u6c14@1.6-2.0", (0.99, 0.94), {1.6: WEAK}, "\u6c14",
    ),
    "an unlikely one that touches a weak one": (
        "story@1.6-2.0 purple@2.0-2.4", (0.6, 0.4), {1.6: WEAK}, "story purple",
    ),
    "a likely one that touches a weak one": (
        "story@1.6-2.0 purple@2.0-2.4", (0.6, 0.9), {1.6: WEAK}, "story",
    ),
    "an unlikely one with a gap before it": (
        "story@1.6-2.0 purple@2.1-2.5", (0.6, 0.4), {1.6: WEAK}, "story",
    ),
    "an unlikely piece of a word": (
        "harbour@1.0-1.6 cabbage@1.6-1.72", (0.9, 0.4), {}, "cabbage",
    ),
    "a likely piece": ("harbour@1.0-1.6 cabbage@1.6-1.72", (0.9, 0.6), {}, ""),
    "an unlikely word of some length": ("harbour@1.0-1.6 cabbage@1.6-2.0", (0.9, 0.4), {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", EDGES)
def test_words_at_an_edge_that_say_too_little_are_in_doubt_with_weak_ones(name: str) -> None:
    line, chances, sounds, doubted = EDGES[name]
    text = replace(
        with_chances(context(line, ((0.9, 4.0),)), chances),
        clear=(SpeechSpan(0.9, 4.0),),
        evidence=Scores({1.6: 0.94}, sounds),
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    flags = [flag for flag in ending(text, LIMITS) if flag.value == 0]
    spoken = text.decoded.segments[0].words
    found = [w.text for w in spoken if any(f.start_s <= w.start_s < f.end_s for f in flags)]
    assert " ".join(found) == doubted


def unlikely_row(size: int, chances: dict[int, float], weak: int, unclear: int) -> WindowContext:
    """Return words of 0.38 s in a row, with a weak one and one that detection hardly hears."""
    line = " ".join(f"story@{0.4 * n:.2f}-{0.4 * n + 0.38:.2f}" for n in range(size))
    text = with_chances(context(line), [chances.get(n, 0.99) for n in range(size)])
    own = text.decoded.segments[0].words
    spoken = (SpeechSpan(0.0, own[unclear].start_s), SpeechSpan(own[unclear].end_s, 20.0))
    return replace(
        text,
        speech=(SpeechSpan(0.0, own[-1].end_s),),
        clear=spoken,
        evidence=Scores(
            {own[weak].start_s: 0.94, own[unclear].start_s: 0.5},
            {own[weak].start_s: LITTLE_MOVED},
        ),
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )


def test_a_place_with_unlikely_words_before_a_weak_one_is_read_again() -> None:
    """They are in doubt as one place only as far as it is short enough for that."""
    last = 43
    chances = {**dict.fromkeys(range(last - 13, last), 0.45), last: 0.4}
    text = unlikely_row(last + 1, chances, weak=last - 1, unclear=last)
    assert not is_misheard(text.words)
    seen = RepairCandidate(window(), text, LIMITS)
    seen.remove_invented()
    assert len(seen.best_context.words) == last  # the invented one has left
    (place,) = find_places(seen.best_context.words, seen.flags, window())
    assert 3 * 0.4 < place.duration_s <= LONGEST_PLACE_S
    doubts = [flag for flag in ending(text, LIMITS) if flag.value == 0]
    assert [round(flag.end_s - flag.start_s, 2) for flag in doubts] == [1.58]  # four words


@pytest.mark.parametrize(("size", "doubted"), [(30, 1), (16, 2)])
def test_unlikely_words_are_in_doubt_beside_others_at_edges_alone(size: int, doubted: int) -> None:
    text = unlikely_row(size, {14: 0.4}, weak=0, unclear=13)
    (segment,) = text.decoded.segments
    # A gap before the word that detection hardly hears: it is uncertain.
    own = list(segment.words)
    own[12] = replace(own[12], end_s=own[13].start_s - 0.1)
    text = replace(
        text, decoded=replace(text.decoded, segments=(replace(segment, words=tuple(own)),))
    )
    flags = [flag for flag in ending(text, LIMITS) if flag.value == 0 and flag.start_s > 2]
    found = [n for n, w in enumerate(own) if any(f.start_s <= w.start_s < f.end_s for f in flags)]
    assert found == [13, 14][:doubted]


@pytest.mark.parametrize("text", ["mm", "\u00e4h", "\u3093", "\u55ef"])
@pytest.mark.parametrize("chance", [0.6, 0.9])
def test_a_short_steady_word_is_in_doubt_and_leaves_only_by_a_reading(
    text: str, chance: float
) -> None:
    """A hummed word is as steady as a note of music, and hardly speech by itself."""
    line = f"quiet@1.0-1.4 harbour@1.5-2.0 {text}@2.0-2.2"
    own = context(line, ((0.9, 2.3),))
    (segment,) = own.decoded.segments
    spoken = (*segment.words[:2], replace(segment.words[2], probability=chance))
    own = replace(
        own,
        decoded=replace(own.decoded, segments=(replace(segment, words=spoken),)),
        clear=(SpeechSpan(0.9, 2.3),),
        evidence=Scores({2.0: 0.7}, {2.0: HUM}),
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    seen = RepairCandidate(window(), own, LIMITS)
    seen.remove_invented()
    assert [word.text for word in seen.best_context.words] == ["quiet", "harbour", text]
    assert [(flag.start_s, flag.end_s, flag.value) for flag in seen.flags] == [(2.0, 2.2, 0.0)]
    (place,) = find_places(spoken, seen.flags, window())
    assert not place.removes(spoken[2])
    said, other = decoded(line), decoded("quiet@1.0-1.4 harbour@1.5-2.0")
    assert hardly_spoken(place, [other, other, other], own) == [spoken[2]]
    assert hardly_spoken(place, [said, said, other], own) == [spoken[2]]
    assert hardly_spoken(place, [said, said, said], own) == []


ALONE = "mountain@1.0-1.6 acht@1.8-2.2"
THREE = "mountain@1.0-1.6 acht@1.8-2.2 banana@2.2-2.6"
REJECTED = {
    # name: (text, doubted from, scores, readings, words)
    "in doubt, and in one reading": (ALONE, 1.8, {}, [ALONE, "harbour@1.8-2.2", ""], "acht"),
    "in doubt, and in two readings": (ALONE, 1.8, {}, [ALONE, ALONE, "harbour@1.8-2.2"], ""),
    "at another time": (ALONE, 1.8, {}, [ALONE, "acht@2.2-2.6", ""], "acht"),
    "at other times": (ALONE, 1.8, {}, ["acht@1.6-2.0", "acht@2.0-2.4"], "acht"),
    "without evidence, and in one": (ALONE, 9.0, {1.8: 0.5}, [ALONE, ALONE], "acht"),
    "with evidence in two": (ALONE, 9.0, {1.8: 0.5}, ["acht@1.82-2.2", "acht@1.84-2.2"], ""),
    "not in doubt": (ALONE, 9.0, {}, ["", "harbour@1.8-2.2", ""], ""),
    "with a word that touches it": (THREE, 9.0, {2.2: 0.5}, ["", "", ""], "acht banana"),
    "not one that is repeated": (THREE, 9.0, {2.2: 0.5}, [ALONE, ALONE, ""], "banana"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_words_about_which_readings_do_not_agree_are_hardly_spoken(name: str) -> None:
    text, doubted_s, scores, readings, expected = REJECTED[name]
    known = replace(
        context(text, ((0.9, 3.0),)),
        clear=(SpeechSpan(0.9, 1.7),),
        evidence=Scores(scores),  # type: ignore[arg-type]
        spoken_sound=SpokenSound(0.92, PLAIN.voicing, PLAIN.movement),
    )
    flags = [make_flag("uncovered", 2.7, 3.0, 0.3, 0.25)]
    if doubted_s < 9:
        flags.append(make_flag("ending", doubted_s, 2.2, 0.0, 0.0))
    place = Place(0.9, 3.0, 0, len(known.words), tuple(flags))
    found = hardly_spoken(place, [decoded(reading) for reading in readings], known)
    assert " ".join(word.text for word in found) == expected
    assert hardly_spoken(place, [decoded("")], replace(known, evidence=None)) == []


def test_a_text_without_rejected_words_is_chosen_and_their_place_is_told() -> None:
    own = replace(context(ALONE, ((0.9, 2.3),)), evidence=Scores({}))
    seen = RepairCandidate(window(), own, LIMITS)
    assert seen.flags == ()
    seen.reject(own.words[1:])
    seen.add_attempt(PLACES, decoded("mountain@1.0-1.6"))
    assert [word.text for word in seen.best_context.words] == ["mountain"]
    seen.add_attempt(SHIFTED, decoded(THREE))  # a later reading brings it back
    assert "acht" not in [word.text for word in seen.best_context.words]


def test_a_window_without_words_has_the_level_of_those_before() -> None:
    """Second readings may put words into it, which need evidence as others do."""
    said = compose(bank(), "harbour winter garden planet", rng=np.random.default_rng(3))
    chances = detector().probabilities(said.audio), 0.0
    evidence = SpeechEvidence(detector(), said.audio, 0.0, chances)
    level = SpokenLevel()
    spoken = [Word(start_s, end_s, text, 0.9) for text, start_s, end_s in said.words]
    level.of(spoken, evidence)
    hum = np.zeros(2 * SAMPLE_RATE, np.float32)
    silent = SpeechEvidence(detector(), hum, 0.0, (np.zeros(62, np.float32), 0.0))
    empty = replace(context("", ((0.5, 1.5),)), decoded=decoded(""))
    found = with_detection(empty, (np.zeros(62, np.float32), 0.0), silent, level)
    assert found.spoken_sound.score > 0.8
    assert found.has_evidence(words("home@0.5-1.0")) == [False]
