"""Everything in a window that is not speech: noises, chords, hum, clicks, and worn audio paths.

All functions take and return float32 arrays of shape (samples,) at 16 kHz.
"""

from __future__ import annotations

import subprocess

import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt

from .speech import SAMPLE_RATE


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Stationary noise of a random colour (white to brown and beyond), RMS 1."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0)
    spectrum *= frequency ** -rng.uniform(-0.2, 1.1)
    if rng.random() < 0.3:  # a resonance, as a fan or a room has
        centre, width = np.exp(rng.uniform(np.log(80), np.log(5000))), rng.uniform(0.1, 1.0)
        spectrum *= 1 + 8 * np.exp(-((np.log(frequency / centre) / width) ** 2))
    out = np.fft.irfft(spectrum, count)
    if rng.random() < 0.4:  # swelling, as wind and traffic do
        out *= 1 + 0.8 * np.sin(
            _clock(count) * 2 * np.pi * rng.uniform(0.05, 3) + rng.uniform(0, 6)
        )
    return (out / np.sqrt(np.mean(out**2) + 1e-12)).astype(np.float32)


def chords(count: int, rng: np.random.Generator) -> np.ndarray:
    """Music-like: chords of decaying or held harmonic tones, RMS 1."""
    clock, out, at = _clock(count), np.zeros(count), 0
    harmonics = rng.integers(1, 6)
    while at < count:
        length = min(int(rng.uniform(0.15, 3.0) * SAMPLE_RATE), count - at)
        t = clock[:length]
        root = 55 * 2 ** (rng.integers(0, 36) / 12)
        for step in rng.choice([0, 3, 4, 5, 7, 9, 10, 12], rng.integers(1, 5), replace=False):
            for k in range(1, harmonics + 1):
                pitch = root * 2 ** (step / 12) * k
                if pitch < 7000:
                    out[at : at + length] += (
                        np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6)) / k**1.3
                    )
        shape = np.exp(-t * rng.uniform(0, 6)) * np.minimum(1, t / 0.01)
        out[at : at + length] *= shape * np.minimum(1, (t[-1] - t) / 0.01) * rng.uniform(0.3, 1)
        at += length + (int(rng.uniform(0, 1.5) * SAMPLE_RATE) if rng.random() < 0.2 else 0)
    return (out / np.sqrt(np.mean(out**2) + 1e-12)).astype(np.float32)


def hum(count: int, rng: np.random.Generator) -> np.ndarray:
    """Mains hum: 50 or 60 Hz with harmonics, RMS 1."""
    clock, base = _clock(count), rng.choice([50.0, 60.0])
    tones = [np.sin(2 * np.pi * base * k * clock + rng.uniform(0, 6)) / k for k in range(1, 9)]
    out = sum(tone * rng.uniform(0, 1) for tone in tones)
    return (out / np.sqrt(np.mean(out**2) + 1e-12)).astype(np.float32)


def clicks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Knocks and clicks: short filtered bursts at random times, peak 1."""
    out = np.zeros(count)
    for _ in range(rng.integers(1, 40)):
        length = int(rng.uniform(0.001, 0.06) * SAMPLE_RATE)
        at = rng.integers(0, max(1, count - length))
        burst = rng.standard_normal(length) * np.exp(-np.linspace(0, rng.uniform(2, 9), length))
        if rng.random() < 0.5:
            burst = np.cumsum(burst) / 8
        out[at : at + length] += (burst * rng.uniform(0.1, 1))[: count - at]
    return (out / (np.abs(out).max() + 1e-9)).astype(np.float32)


def band_limit(audio: np.ndarray, cutoff: float) -> np.ndarray:
    """Remove what lies above ``cutoff`` Hz, as telephones (about 3,600) and thrifty codecs do."""
    return sosfilt(butter(8, cutoff, fs=SAMPLE_RATE, output="sos"), audio).astype(np.float32)


def colour(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random equalisation of up to ±8 dB, as microphones and rooms make."""
    gains = rng.uniform(-8, 8, 6)
    spectrum = np.fft.rfft(audio)
    octave = np.log2(np.maximum(np.fft.rfftfreq(len(audio), 1 / SAMPLE_RATE), 60.0) / 60)
    curve = np.interp(octave, np.linspace(0, octave[-1], len(gains)), gains)
    return np.fft.irfft(spectrum * 10 ** (curve / 20), len(audio)).astype(np.float32)


def reverberate(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small room: an exponentially decaying tail of 50 to 250 ms, below the direct sound."""
    seconds = rng.uniform(0.05, 0.25)
    count = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= rng.uniform(0.1, 0.45) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    return fftconvolve(audio, tail)[: len(audio)].astype(np.float32)


def through_aac(audio: np.ndarray, ffmpeg: str, kilobits: int) -> np.ndarray:
    """Encode to AAC and back with the ffmpeg program, as audio in an mp4 file has been."""
    raw = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
    quiet = [ffmpeg, "-v", "error", "-threads", "1"]
    codec = ["-c:a", "aac", "-b:a", f"{kilobits}k", "-f", "matroska", "-"]
    encode = [*quiet, *raw, "-i", "-", *codec]
    packed = subprocess.run(encode, input=audio.tobytes(), capture_output=True, check=True).stdout
    back = subprocess.run(
        [*quiet, "-i", "-", *raw, "-"], input=packed, capture_output=True, check=True
    ).stdout
    out = np.zeros_like(audio)
    decoded = np.frombuffer(back, np.float32)[: len(audio)]
    out[: len(decoded)] = decoded
    return out


def _clock(count: int) -> np.ndarray:
    return np.arange(count) / SAMPLE_RATE
