"""Words that may be invented, beside others that are, or very near spoken ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kb.asr import SAMPLE_RATE
from kb.asr.audio.speech_evidence import SpeechEvidence, SpokenLevel, SpokenSound
from kb.asr.audio.word_sound import WordSound
from kb.asr.quality.detected_speech import with_detection
from kb.asr.quality.window_context import Thresholds
from kb.asr.quality.word_checks import ending
from kb.settings import Settings
from kb.types import SpeechSpan, Word
from tests.support.compose import compose
from tests.support.known_evidence import NOISE, PLAIN, SHORT_WORD, Scores
from tests.support.speech import bank, detector
from tests.support.window_texts import context, decoded, words

LIMITS = Thresholds.of(Settings())
LITTLE_MOVED = WordSound(PLAIN.voicing, 0.7 * PLAIN.movement)  # weak, but not beside a clear word


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
