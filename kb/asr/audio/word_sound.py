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
    sound = np.asarray(audio, np.float32)
    return WordSound(_voicing(sound), _movement(sound))


def _frames(sound: Audio, size: int) -> Audio:
    padded = np.pad(sound, (0, max(0, size - sound.size)))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::STEP]


def _voicing(sound: Audio) -> float:
    frames = _frames(sound, VOICE_FRAME)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * _VOICE_WINDOW
    energy = np.einsum("ij,ij->i", frames, frames)
    loud = frames[energy > max(1e-9, LOUD_SHARE * energy.max())]
    if not len(loud):
        return 0.0
    power = _power(loud, CORRELATION_SIZE)
    peaks = (power @ _AT_PERIODS).max(axis=1) / (power @ _AT_ZERO)
    peaks = np.sort(np.minimum(peaks, 1.0))
    # The quantile by linear interpolation, as that of numpy, which takes longer than the rest.
    place = VOICED_QUANTILE * (len(peaks) - 1)
    below = int(place)
    above = min(below + 1, len(peaks) - 1)
    return float(peaks[below] + (place - below) * (peaks[above] - peaks[below]))


def _power(frames: Audio, size: int) -> Audio:
    spectrum = np.fft.rfft(frames, size)
    return np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


def _correlation_at(lags: np.ndarray) -> np.ndarray:
    """Return the matrix from a power spectrum to the autocorrelation at lags.

    It is the inverse Fourier transform of these lags alone, and faster than that of all.
    """
    bins = np.arange(CORRELATION_SIZE // 2 + 1)
    inner = (bins > 0) & (bins < CORRELATION_SIZE / 2)  # these stand for two bins
    cosines = np.cos(2 * np.pi * np.outer(bins, lags) / CORRELATION_SIZE)
    return cosines * np.where(inner, 2, 1)[:, None] / CORRELATION_SIZE


def _voice_matrices() -> tuple[Audio, Audio, Audio]:
    """Return the window of a frame, and the matrices to its correlation at periods and at zero."""
    window = np.hanning(VOICE_FRAME)
    power = np.abs(np.fft.rfft(window, CORRELATION_SIZE)) ** 2
    first, last = (SAMPLE_RATE // hertz for hertz in VOICE_HZ[::-1])
    periods, zero = _correlation_at(np.arange(first, last)), _correlation_at(np.zeros(1))
    share = (power @ periods) / (power @ zero)  # what the window alone takes of the correlation
    return (
        window.astype(np.float32),
        (periods / share).astype(np.float32),
        zero[:, 0].astype(np.float32),
    )


_VOICE_WINDOW, _AT_PERIODS, _AT_ZERO = _voice_matrices()
_SPECTRUM_WINDOW = np.hanning(SPECTRUM_FRAME).astype(np.float32)
_BAND_EDGES = np.unique(np.geomspace(LOWEST_BIN, 256, BANDS + 1).round().astype(int))[:-1]


def _movement(sound: Audio) -> float:
    power = _power(_frames(sound, SPECTRUM_FRAME) * _SPECTRUM_WINDOW, 512)
    bands = np.add.reduceat(power, _BAND_EDGES, axis=1)
    level = np.log(bands + FLOOR * bands.sum(axis=1).max() / BANDS + 1e-12)
    shape = level - level.mean(axis=1, keepdims=True)
    return float(shape.std(axis=0).mean())
