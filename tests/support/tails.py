"""Sounds without a word that speech detection marks as speech, behind talk whose words are known.

All of them are synthetic: noise, pulses and tones through the resonances of a vocal tract. Audio is
float32, mono, 16 kHz; times are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kb.asr.audio.vad import LEDGER_THRESHOLD, SpeechRule, spans
from kb.asr.coverage import clip_spans
from tests.support.compose import (
    SAMPLE_RATE,
    Composition,
    chords,
    compose,
    join,
    silence,
    without_speech,
)
from tests.support.speech import bank, detector

LEAST_MARKED_S = 0.3  # more speech without a word than the ledger lets pass
TRIES = 30  # sounds of one kind until detection marks one
Peaks = Sequence[tuple[float, float, float]]  # Hz, width in Hz, gain
OPEN: Peaks = ((700, 120, 1.0), (1200, 160, 0.6), (2600, 220, 0.3))  # an open mouth
CLOSED: Peaks = ((250, 90, 1.0), (1000, 200, 0.12), (2200, 300, 0.06))  # a closed mouth
BREATH: Peaks = ((600, 250, 1.0), (1600, 400, 0.7), (2700, 600, 0.4))


@dataclass(frozen=True)
class Tail:
    """A sound without a word; `marked_s`: seconds of it that detection marks as speech."""

    kind: str
    start_s: float
    end_s: float
    marked_s: float = 0.0


@dataclass(frozen=True)
class TailItem:
    """Talk with tails behind its phrases."""

    said: Composition
    tails: tuple[Tail, ...]


# The sounds


def _shaped(sound: np.ndarray, peaks: Peaks) -> np.ndarray:
    """Return the sound with the resonances `peaks`."""
    hertz = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    gain = sum(g / (1 + ((hertz - at) / width) ** 2) for at, width, g in peaks)
    return np.fft.irfft(np.fft.rfft(sound) * gain, len(sound))


def _moved(peaks: Peaks, rng: np.random.Generator) -> Peaks:
    """Return the resonances of another mouth."""
    factor = rng.uniform(0.85, 1.2)
    return [(at * factor, width * rng.uniform(0.8, 1.3), gain) for at, width, gain in peaks]


def _noise(seconds: float, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(round(seconds * SAMPLE_RATE))


def _pulses(pitch: np.ndarray) -> np.ndarray:
    """Return the pulses of a voice; `pitch`: Hz for each sample."""
    return 1.0 - 2.0 * (np.cumsum(pitch) / SAMPLE_RATE % 1.0) ** 0.3


def _hill(count: int, rise: float = 0.2) -> np.ndarray:
    """Return an envelope that rises in the given share of its length and then falls."""
    at = np.linspace(0, 1, count)
    return np.minimum(at / rise, 1.0) * np.minimum((1 - at) / (1 - rise), 1.0)


def breath(rng: np.random.Generator) -> np.ndarray:
    """Breath, without voice or as a sigh with a little of it."""
    parts = []
    for _ in range(int(rng.integers(1, 3))):
        count = round(rng.uniform(0.5, 1.2) * SAMPLE_RATE)
        sigh = np.linspace(1.1, 0.8, count) * rng.uniform(100, 220)
        voiced = rng.choice([0.0, 0.5, 1.0]) * _pulses(sigh)
        sound = _shaped(rng.standard_normal(count) + voiced, _moved(BREATH, rng))
        parts += [sound * _hill(count, rng.uniform(0.2, 0.6)), silence(rng.uniform(0.05, 0.2))]
    return np.concatenate(parts)


def laughter(rng: np.random.Generator) -> np.ndarray:
    top, mouth = rng.uniform(170, 380), _moved(OPEN, rng)
    parts = []
    for number in range(int(rng.integers(4, 10))):
        count = round(rng.uniform(0.08, 0.15) * SAMPLE_RATE)
        pitch = np.linspace(1.05, 0.85, count) * top * 0.96**number
        voiced = _pulses(pitch) + 0.15 * rng.standard_normal(count)
        puff = _shaped(_noise(rng.uniform(0.04, 0.1), rng), _moved(BREATH, rng))
        parts += [_shaped(voiced, mouth) * _hill(count), 0.2 * puff]
    return np.concatenate(parts)


def clicks(rng: np.random.Generator) -> np.ndarray:
    out = np.zeros(round(rng.uniform(0.7, 2.0) * SAMPLE_RATE))
    at = 0
    rate = rng.uniform(8, 60)
    while at < len(out):
        clock = np.arange(min(round(0.06 * SAMPLE_RATE), len(out) - at)) / SAMPLE_RATE
        for hertz in rng.uniform(300, 3000, 3):
            decay = rng.uniform(60, 300)
            out[at : at + len(clock)] += np.exp(-decay * clock) * np.sin(2 * np.pi * hertz * clock)
        at += max(1, round(rng.uniform(0.5, 1.5) / rate * SAMPLE_RATE))
    return out


def music(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.3:
        return chords(rng.uniform(0.8, 2.5), rng).astype(float)
    parts = []
    base, mouth = rng.uniform(120, 300), _moved(OPEN, rng)
    for _ in range(int(rng.integers(2, 5))):
        count = round(rng.uniform(0.25, 0.7) * SAMPLE_RATE)
        clock = np.arange(count) / SAMPLE_RATE
        wave = 1 + 0.02 * np.sin(2 * np.pi * 5.5 * clock)
        pitch = base * 2 ** (rng.integers(0, 8) / 12) * wave
        parts.append(_shaped(_pulses(pitch), mouth) * _hill(count, 0.1))
    return np.concatenate(parts)


def cough(rng: np.random.Generator) -> np.ndarray:
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        burst = _shaped(_noise(rng.uniform(0.03, 0.07), rng), _moved(BREATH, rng))
        count = round(rng.uniform(0.2, 0.45) * SAMPLE_RATE)
        rough = rng.uniform(110, 260) * np.linspace(1.1, 0.8, count)
        voiced = _pulses(rough) + rng.uniform(0.05, 0.4) * rng.standard_normal(count)
        parts += [burst, 2 * _shaped(voiced, _moved(OPEN, rng)) * _hill(count, 0.15)]
        parts.append(silence(rng.uniform(0.02, 0.1)))
    return np.concatenate(parts)


def hum(rng: np.random.Generator) -> np.ndarray:
    count = round(rng.uniform(0.6, 2.0) * SAMPLE_RATE)
    clock = np.arange(count) / SAMPLE_RATE
    drift = 1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * clock + rng.uniform(0, 6))
    return _shaped(_pulses(rng.uniform(90, 240) * drift), _moved(CLOSED, rng)) * _hill(count, 0.1)


def shaped_noise(rng: np.random.Generator) -> np.ndarray:
    """Noise with the spectrum of speech and the rhythm of syllables."""
    voice = str(rng.choice(bank().voices("en")))
    clip = bank().clip(str(rng.choice(bank().words("en"))), voice)
    count = round(rng.uniform(0.7, 2.0) * SAMPLE_RATE)
    phases = np.exp(2j * np.pi * rng.random(count // 2 + 1))
    sound = np.fft.irfft(np.abs(np.fft.rfft(clip, count)) * phases, count)
    clock = np.arange(count) / SAMPLE_RATE
    beat = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(3, 5) * clock + rng.uniform(0, 6))
    return sound * beat * _hill(count, 0.1)


def synthetic(rng: np.random.Generator) -> np.ndarray:
    """Gliding tones with moving resonances, as of an alarm or a toy."""
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        count = round(rng.uniform(0.15, 0.5) * SAMPLE_RATE)
        pitch = np.linspace(*rng.uniform(100, 420, 2), count)
        parts.append(_shaped(_pulses(pitch), _moved(OPEN, rng)) * _hill(count, 0.15))
    return np.concatenate(parts)


SOUNDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "breath": breath,
    "laughter": laughter,
    "clicks": clicks,
    "music": music,
    "cough": cough,
    "hum": hum,
    "shaped noise": shaped_noise,
    "synthetic": synthetic,
}


# Talk with tails


def tail_items(count: int, seed: int = 0, *, each: int = 6) -> list[TailItem]:
    """Return items with `count` tails together, `each` per item, all marked as speech.

    A tail is marked if the looser detection finds at least `LEAST_MARKED_S` of speech in it, in
    the whole item. A sound that is not marked is drawn again, up to `TRIES` times; then another
    kind takes its place.
    """
    rng = np.random.default_rng([seed, 300])
    items: list[TailItem] = []
    left = count
    turn = 0
    while left > 0:
        parts: list[Composition] = []
        tails: list[Tail] = []
        at_s = 0.0
        for _ in range(min(each, left)):
            kind, part, tail = _phrase(turn, rng)
            tails.append(Tail(kind, at_s + tail[0], at_s + tail[1]))
            parts.append(part)
            at_s += part.seconds
            turn += 1
        said = join(*parts, pause=0.0)
        marked = _with_marks(tails, said)
        if all(tail.marked_s >= LEAST_MARKED_S for tail in marked):
            items.append(TailItem(said, tuple(marked)))
            left -= len(marked)
        else:
            turn -= len(marked)  # the same kinds again
    return items


def _phrase(turn: int, rng: np.random.Generator) -> tuple[str, Composition, tuple[float, float]]:
    """Return a kind, a phrase with a tail of this kind behind it, and the tail's place."""
    voice = str(rng.choice(bank().voices("en")))
    names = list(SOUNDS)
    while True:
        kind = names[turn % len(names)]
        for _ in range(TRIES):
            plan = [str(w) for w in rng.choice(bank().words("en"), int(rng.integers(3, 8)))]
            gap_s = float(rng.uniform(0.05, 0.6))
            phrase = compose(bank(), plan, voice, rng, lead=0.3, trail=gap_s)
            sound = SOUNDS[kind](rng)
            sound = sound * (rng.uniform(0.15, 0.5) / np.abs(sound).max())
            tail = without_speech(np.asarray(sound, np.float32))
            end = without_speech(silence(float(rng.uniform(0.8, 2.5))))
            part = join(phrase, tail, end, pause=0.0)
            place = phrase.seconds, phrase.seconds + tail.seconds
            # The detector's state depends on what came before: a margin for the whole item.
            if _with_marks([Tail(kind, *place)], part)[0].marked_s >= 1.25 * LEAST_MARKED_S:
                return kind, part, place
        turn += 1


def _with_marks(tails: Sequence[Tail], said: Composition) -> list[Tail]:
    stream = detector().stream()
    chances = np.concatenate([stream.push(said.audio), stream.finish()])
    speech = spans(chances, SpeechRule(LEDGER_THRESHOLD))
    return [
        replace(
            tail, marked_s=sum(s.duration_s for s in clip_spans(speech, tail.start_s, tail.end_s))
        )
        for tail in tails
    ]
