"""Recorded voices with their true turns, and the diarization error rate of a result."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kb.enrich.speakers import weights
from kb.enrich.speakers.diarization import Turn
from kb.media.decode import decode

VOICES = Path(__file__).resolve().parents[1] / "data" / "voices"
STEP_S = 0.01
RATE_HZ = 16_000
BEGIN_S = 33.5  # the first part of flite2: six turns of its two voices


@dataclass(frozen=True, slots=True)
class TrueTurn:
    """A span of one voice, in seconds."""

    start_s: float
    end_s: float
    voice: str


def require_weights() -> Path:
    """Return the speaker model; skip the test without it, except in CI, where setup brings it."""
    found = weights.find()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("make setup did not bring the speaker model: kb models add speakers")
        pytest.skip("no speaker model: kb models add speakers")
    return found


def true_turns(name: str) -> list[TrueTurn]:
    document = json.loads((VOICES / f"{name}.json").read_text("utf-8"))
    return [TrueTurn(t["start_s"], t["end_s"], t["speaker"]) for t in document["turns"]]


def sound(name: str) -> np.ndarray:
    """Return the samples of a recording, at 16 kHz."""
    with decode(VOICES / f"{name}.opus") as stream:
        return np.concatenate(list(stream))


def two_voices(folder: Path) -> Path:
    """Write the first part of flite2, with six turns of two voices; return the file.

    For tests of what is done with two speakers. That the whole recording has them apart is tested
    once (`tests/enrich/test_speakers.py`).
    """
    path = folder / "two voices.flac"
    soundfile.write(path, sound("flite2")[: round(BEGIN_S * RATE_HZ)], RATE_HZ)
    return path


def error_rate(true: Sequence[TrueTurn], found: Sequence[Turn], collar_s: float = 0.25) -> float:
    """Return the diarization error rate: missed, invented and confused speech by all speech.

    The speakers are matched so that it is the least; `collar_s` before and after each true border
    is not counted (NIST's rule).
    """
    frames = round((max(turn.end_s for turn in true) + 5.0) / STEP_S)
    counted = np.ones(frames, bool)
    said: dict[str, np.ndarray] = {}
    heard: dict[str, np.ndarray] = {}

    def at(time_s: float) -> int:
        return max(0, round(time_s / STEP_S))

    for turn in true:
        said.setdefault(turn.voice, np.zeros(frames, bool))[at(turn.start_s) : at(turn.end_s)] = (
            True
        )
        for border in (turn.start_s, turn.end_s):
            counted[at(border - collar_s) : at(border + collar_s)] = False
    for each in found:
        mask = heard.setdefault(str(each.speaker), np.zeros(frames, bool))
        mask[at(each.start_s) : at(each.end_s)] = True
    spoken, guesses = list(said.values()), list(heard.values())
    guesses += [np.zeros(frames, bool)] * max(0, len(spoken) - len(guesses))
    shared = np.array([[(s & g & counted).sum() for g in guesses] for s in spoken])
    right = max(
        sum(shared[row, column] for row, column in enumerate(order))
        for order in itertools.permutations(range(len(guesses)), len(spoken))
    )
    total = sum((mask & counted).sum() for mask in spoken)
    both = np.maximum(np.sum(spoken, axis=0), np.sum(guesses, axis=0))
    return float(((both * counted).sum() - right) / total)
