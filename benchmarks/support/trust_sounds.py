"""The composed audio of `trust.py`, in which every word is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.support.compose import (
    Composition,
    add_noise,
    chords,
    compose,
    continuous_speech,
    join,
    random_plan,
    without_speech,
)
from tests.support.speech import bank

WORDS_A_SECOND = 1.6


def talk(
    seconds: float, rng: np.random.Generator, language: str = "en", **options: Any
) -> Composition:
    """Return random speech in phrases, by known voices."""
    voice = {code: str(rng.choice(bank().voices(code, known=True))) for code in ("en", "de")}
    plan = random_plan(bank(), max(4, round(seconds * WORDS_A_SECOND)), rng, language)
    return compose(bank(), plan, voice, rng, **options)


def noisy_items(seconds: float) -> list[Composition]:
    """Return items with so much noise that their text must not be trusted."""
    rng = np.random.default_rng(13)
    return [talk(seconds, rng, noise_db=level_db) for level_db in (-3.0, -6.0)]


def sounds(seconds: float) -> dict[str, list[Composition]]:
    """Return the conditions without faults, about `seconds` of audio each plus long pauses."""
    rng = np.random.default_rng(7)
    half = seconds / 2
    parts = [talk(half / 3, rng) for _ in range(3)]
    interludes = [without_speech(chords(20.0, rng)) for _ in parts]
    under = talk(half, rng)
    return {
        "clean": [talk(half, rng) for _ in range(2)],
        "noise, 20 dB": [talk(half, rng, noise_db=20.0) for _ in range(2)],
        "noise, 10 dB": [talk(half, rng, noise_db=10.0) for _ in range(2)],
        "noise, 5 dB": [talk(half, rng, noise_db=5.0) for _ in range(2)],
        "music under and between": [
            replace(under, audio=add_noise(under.audio, 15.0, rng, "chords")),
            join(*(sound for pair in zip(parts, interludes, strict=True) for sound in pair)),
        ],
        "40 s without a pause": [
            join(talk(10, rng), continuous_speech(bank(), 40.0, rng), talk(10, rng))
            for _ in range(max(1, round(seconds / 60)))
        ],
        "pauses of 5 s to 5 min": [
            join(join(talk(15, rng), talk(15, rng), pause=pause_s), talk(15, rng), pause=5.0)
            for _ in range(max(1, round(seconds / 300)))
            for pause_s in (5.0, 30.0, 300.0)
        ],
        "two languages": [talk(half, rng, "mixed"), join(talk(half / 2, rng, "en"),
                                                        talk(half / 2, rng, "de"))],
    }  # fmt: skip
