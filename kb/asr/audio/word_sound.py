"""Two properties of the sound of a word: it has a voice, and it moves from one sound to another.

A word has a vowel, and several sounds follow each other in it. Breath, clicks and other noises have
no voice; a hum, a tone or laughter stays one sound, or repeats it. Neither figure depends on the
speech detector.

Voicing is the peak of the normalised autocorrelation at the periods of a voice (Boersma, "Accurate
short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound", 1993). Movement is the change of the spectrum's shape over time; the idea is that of the
long-term variability of Ghosh, Tsiartas and Narayanan ("Robust voice activity detection using
long-term signal variability", 2011), in octave-like bands and without the level, which is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio

STEP = SAMPLE_RATE // 100
VOICE_FRAME = SAMPLE_RATE // 25  # three periods of a low voice
VOICE_HZ = (70, 400)
CORRELATION_SIZE = 900  # at least a frame and the longest period; of small factors
VOICED_QUANTILE = 0.8  # a word has parts without voice
LOUD_SHARE = 0.05  # of the energy of the loudest frame; quieter frames have no voice to find
SPECTRUM_FRAME = SAMPLE_RATE // 40
BANDS = 20
LOWEST_BIN = 4  # of 31 Hz each
FLOOR = 1e-4  # of the loudest frame's energy


@dataclass(frozen=True, slots=True)
class WordSound:
    """`voicing`, 0..1, and `movement`, the mean deviation of the bands over time, in nepers."""

    voicing: float
    movement: float


def word_sound(audio: Audio) -> WordSound:
    """Return the two figures of a sound."""
    sound = np.asarray(audio, np.float64)
    return WordSound(_voicing(sound), _movement(sound))


def _frames(sound: np.ndarray, size: int) -> np.ndarray:
    padded = np.pad(sound, (0, max(0, size - sound.size)))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::STEP]


def _voicing(sound: np.ndarray) -> float:
    window = np.hanning(VOICE_FRAME)
    frames = _frames(sound, VOICE_FRAME)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * window
    energy = np.square(frames).sum(axis=1)
    loud = frames[energy > max(1e-9, LOUD_SHARE * energy.max())]
    if not len(loud):
        return 0.0
    found, own = _autocorrelation(loud), _autocorrelation(window[None])[0]
    first, last = (SAMPLE_RATE // hertz for hertz in VOICE_HZ[::-1])
    peaks = found[:, first:last] / found[:, :1] / (own[first:last] / own[0])
    return float(np.quantile(np.minimum(peaks.max(axis=1), 1.0), VOICED_QUANTILE))


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Return the autocorrelation of frames at lags up to the longest period of a voice."""
    spectrum = np.fft.rfft(frames, CORRELATION_SIZE)
    power = spectrum.real**2 + spectrum.imag**2
    return np.fft.irfft(power, CORRELATION_SIZE)


def _movement(sound: np.ndarray) -> float:
    frames = _frames(sound, SPECTRUM_FRAME) * np.hanning(SPECTRUM_FRAME)
    spectrum = np.fft.rfft(frames, 512)
    power = spectrum.real**2 + spectrum.imag**2
    edges = np.unique(np.geomspace(LOWEST_BIN, 256, BANDS + 1).round().astype(int))
    bands = np.add.reduceat(power, edges[:-1], axis=1)
    level = np.log(bands + FLOOR * bands.sum(axis=1).max() / BANDS + 1e-12)
    shape = level - level.mean(axis=1, keepdims=True)
    return float(shape.std(axis=0).mean())
