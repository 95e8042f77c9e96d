"""Changes of composed speech: the kinds of sound in which words are misheard.

Each function returns the composition through one change of a given strength; the words keep their
truth, and their times where the pace changes.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kb.media.ffmpeg import binary
from tests.support.compose import SAMPLE_RATE, Composition, add_noise

Change = Callable[[Composition, np.random.Generator, float], Composition]
_RAW = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1"]


def unchanged(said: Composition, _rng: np.random.Generator, _strength: float) -> Composition:
    """Return the speech as it is."""
    return said


def quieter(said: Composition, _rng: np.random.Generator, strength: float) -> Composition:
    """Return the speech `strength` times as loud."""
    return replace(said, audio=(said.audio * strength).astype(np.float32))


def telephone(said: Composition, _rng: np.random.Generator, highest_hz: float) -> Composition:
    """Return the frequencies from 300 Hz to `highest_hz`."""
    spectrum = np.fft.rfft(said.audio)
    hertz = np.fft.rfftfreq(said.audio.size, 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > highest_hz)] = 0
    return replace(said, audio=np.fft.irfft(spectrum, said.audio.size).astype(np.float32))


def mp3(said: Composition, _rng: np.random.Generator, kilobits: float) -> Composition:
    """Return the speech from an MP3 file of so many kbit/s."""
    with tempfile.TemporaryDirectory() as folder:
        packed = str(Path(folder, "sound.mp3"))
        _ffmpeg([*_RAW, "-i", "-", "-b:a", f"{kilobits:.0f}k", packed], said.audio.tobytes())
        audio = _samples(_ffmpeg(["-i", packed, *_RAW, "-"]))
    return replace(said, audio=fitted(audio, said.audio.size))


def tempo(said: Composition, _rng: np.random.Generator, factor: float) -> Composition:
    """Return the speech `factor` times as fast, at the same pitch."""
    audio = _samples(
        _ffmpeg([*_RAW, "-i", "-", "-af", f"atempo={factor}", *_RAW, "-"], said.audio.tobytes())
    )
    words = [(text, start / factor, end / factor) for text, start, end in said.words]
    return replace(said, audio=audio, words=words)


def noise(said: Composition, rng: np.random.Generator, level_db: float) -> Composition:
    """Return the speech with pink noise, `level_db` below it."""
    return replace(said, audio=add_noise(said.audio, level_db, rng))


def room(said: Composition, rng: np.random.Generator, decay_s: float) -> Composition:
    """Add the echo of a room: noise that dies away by 60 dB in `decay_s`, 2 dB below the voice."""
    clock = np.arange(round(decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    echo = rng.standard_normal(clock.size) * 10 ** (-3 * clock / decay_s)
    echo[: round(0.005 * SAMPLE_RATE)] = 0
    echo *= 10 ** (-2 / 20) / np.sqrt(np.sum(echo**2))
    echo[0] = 1.0
    size = said.audio.size + echo.size - 1
    audio = np.fft.irfft(np.fft.rfft(said.audio, size) * np.fft.rfft(echo, size), size)
    audio = audio[: said.audio.size] * (0.5 / np.abs(audio).max())
    return replace(said, audio=audio.astype(np.float32))


def clipped(said: Composition, _rng: np.random.Generator, share: float) -> Composition:
    """Return the speech cut off at a share of its peak."""
    limit = share * float(np.abs(said.audio).max())
    return replace(said, audio=np.clip(said.audio, -limit, limit))


def _ffmpeg(arguments: Sequence[str], data: bytes = b"") -> bytes:
    command = [binary(), "-v", "error", "-y", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def _samples(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.float32).copy()


def fitted(audio: np.ndarray, size: int) -> np.ndarray:
    """Return the sound cut or filled up with silence to `size` samples."""
    return np.pad(audio, (0, max(0, size - audio.size)))[:size]
