"""Talks composed of recorded voices: three of four, one, twenty, two at once, and music alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kb.enrich.speakers.diarization import Turn
from tests.support.voices import TrueTurn, sound, true_turns

RATE_HZ = 16_000
PAUSE_S = 0.4
# Voices beside the recorded ones are these, higher and lower by the speed of the tape.
SPEEDS = (1.0, 0.8, 0.88, 1.14, 1.26)

Samples = npt.NDArray[np.float32]
Talk = tuple[Samples, list[TrueTurn]]


def pieces() -> dict[str, list[Samples]]:
    """Return what each of the four voices says, by its name."""
    samples, found = sound("flite4"), dict[str, list[Samples]]()
    for turn in true_turns("flite4"):
        piece = samples[round(turn.start_s * RATE_HZ) : round(turn.end_s * RATE_HZ)]
        found.setdefault(turn.voice, []).append(piece)
    return found


def talk(voices: dict[str, list[Samples]], turns: int) -> Talk:
    """Return a talk in which the voices take turns."""
    said: list[Samples] = []
    true: list[TrueTurn] = []
    at, names = 0, list(voices)
    for number in range(turns):
        name = names[number % len(names)]
        own = voices[name]
        piece = own[number // len(names) % len(own)]
        true.append(TrueTurn(at / RATE_HZ, (at + piece.size) / RATE_HZ, name))
        pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
        said += [piece, pause]
        at += piece.size + pause.size
    return np.concatenate(said), true


def many(count: int) -> dict[str, list[Samples]]:
    """Return so many voices, at most 20: the recorded ones at several speeds."""
    found: dict[str, list[Samples]] = {}
    for speed in SPEEDS:
        for name, own in pieces().items():
            if len(found) < count:
                found[f"{name} {speed}"] = [_at_speed(piece, speed) for piece in own]
    return found


def mixed_share(true: Sequence[TrueTurn], found: Sequence[Turn]) -> float:
    """Return the share of speech that was given to a speaker who mostly is another recorded voice.

    A voice at two speeds counts as one: a voice print takes neighbouring speeds for one person.
    """
    seconds: dict[int, dict[str, float]] = {}
    for turn in found:
        own = seconds.setdefault(turn.speaker, {})
        for each in true:
            both_s = min(turn.end_s, each.end_s) - max(turn.start_s, each.start_s)
            if both_s > 0:
                name = each.voice.partition(" ")[0]
                own[name] = own.get(name, 0.0) + both_s
    total = sum(sum(own.values()) for own in seconds.values())
    return 1.0 - sum(max(own.values(), default=0.0) for own in seconds.values()) / max(total, 1.0)


def at_once(overlap_s: float = 1.0, turns: int = 24) -> Talk:
    """Return a talk of two voices in which each begins before the other one ends."""
    voices = dict(list(pieces().items())[:2])
    samples = np.zeros(RATE_HZ * 30 * turns, np.float32)
    true: list[TrueTurn] = []
    at, names = 0, list(voices)
    for number in range(turns):
        name = names[number % 2]
        piece = voices[name][number // 2 % len(voices[name])]
        samples[at : at + piece.size] += piece
        true.append(TrueTurn(at / RATE_HZ, (at + piece.size) / RATE_HZ, name))
        at += max(RATE_HZ, piece.size - round(overlap_s * RATE_HZ))
    return samples[: at + 2 * RATE_HZ], true


def music(seconds: float = 60.0) -> Samples:
    """Return chords that change each second."""
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = 220.0 * 2.0 ** (np.array([0, 5, 7, 3])[time_s.astype(int) % 4] / 12)
    fade = np.exp(-2.0 * (time_s % 1.0))
    chord = sum(np.sin(2 * np.pi * roots * part * time_s) for part in (1.0, 1.26, 1.5, 2.0))
    return np.asarray(0.15 * fade * chord, np.float32)


def _at_speed(piece: Samples, speed: float) -> Samples:
    places = np.arange(0, piece.size - 1, speed)
    return np.interp(places, np.arange(piece.size), piece).astype(np.float32)
