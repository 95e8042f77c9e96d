"""Measurement of the sound: likely causes of misheard words, and none where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from kb.asr.audio.sound_meter import SoundMeter
from kb.asr.audio.vad import Audio
from kb.types import SoundFacts, Word
from tests.support import sound_kinds
from tests.support.compose import (
    SAMPLE_RATE,
    Composition,
    compose,
    noise,
    random_plan,
    silence,
)
from tests.support.sound_kinds import Change, clipped, quieter, room, telephone, unchanged
from tests.support.speech import bank, blocks

VOICES = bank().voices("en")[1:3]  # one that the recognizer knows, and one that it does not


def measured(audio: Audio, size: int = 10 * SAMPLE_RATE, words: Sequence[Word] = ()) -> SoundFacts:
    meter = SoundMeter()
    for block in blocks(audio, size):
        meter.push(block)
    return meter.facts(words, audio.size / SAMPLE_RATE)


@cache
def spoken(voice: str) -> Composition:
    """Return about 25 s of speech."""
    rng = np.random.default_rng(4)
    return compose(bank(), random_plan(bank(), 45, rng), voice, rng)


def changed(change: Change, strength: float, voice: str) -> Audio:
    return change(spoken(voice), np.random.default_rng(5), strength).audio


@pytest.mark.slow
@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize(
    ("change", "strength", "cause"),
    [
        (unchanged, 0.0, None),
        (quieter, 0.05, None),
        (quieter, 0.002, "very_quiet"),
        (quieter, 0.0005, "very_quiet"),
        (telephone, 3400.0, "narrow_band"),
        (telephone, 3000.0, "narrow_band"),
        (telephone, 7000.0, None),
        (sound_kinds.noise, 20.0, None),
        (sound_kinds.noise, 5.0, None),
        (clipped, 0.1, "clipped"),
        (clipped, 0.3, "clipped"),
        (clipped, 0.95, None),
        (room, 0.5, "reverberant"),
        (room, 1.0, "reverberant"),
    ],
)
def test_the_cause_is_named_and_no_other(
    voice: str, change: Change, strength: float, cause: str | None
) -> None:
    found = measured(changed(change, strength, voice))
    assert found.causes == ((cause,) if cause else ()), found


@pytest.mark.parametrize(
    ("text", "words_a_second", "letters_per_s", "fast"),
    [
        ("harbour", 1.5, 10.5, False),
        ("harbour,", 2.3, 16.1, False),  # a comma is no letter
        ("harbour", 3.5, 24.5, True),
        ("we", 5.0, 10.0, False),  # many short words
        ("four", 4.8, 19.2, True),
        ("Straße", 3.3, 19.8, True),
        ("2026", 4.0, None, False),
        ("東京", 5.0, None, False),  # the letters of this script say nothing about the pace
    ],
)
def test_the_pace_is_that_of_the_letters(
    text: str, words_a_second: float, letters_per_s: float | None, fast: bool
) -> None:
    words = [Word(0.0, 0.1, text, 0.9)] * round(20 * words_a_second)
    found = measured(noise(20.0, np.random.default_rng(1)), words=words)
    assert found.letters_per_s == letters_per_s
    assert ("fast" in found.causes) is fast


@pytest.mark.slow
@pytest.mark.parametrize("size", [160, 1000, 2048, 4096, 77_777])
def test_the_figures_do_not_depend_on_the_blocks(size: int) -> None:
    audio = changed(room, 1.0, VOICES[0])
    assert measured(audio, size) == measured(audio)


@pytest.mark.parametrize(
    "audio",
    [silence(5.0), silence(0.0), silence(0.01), noise(8.0, np.random.default_rng(2), "white")],
)
def test_sound_without_speech_names_no_cause(audio: Audio) -> None:
    assert measured(audio).causes == ()
