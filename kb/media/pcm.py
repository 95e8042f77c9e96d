"""Spoken sound in memory: one channel of 16 bits, as the engines of voices give it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

_SILENT = 10 ** (-45 / 20)  # of the loudest sample
_HEAD_BYTES = 8  # of a chunk: its name and its size
_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(frozen=True, slots=True)
class Pcm:
    """Samples of one channel at a rate."""

    rate_hz: int
    samples: Samples

    @property
    def length_s(self) -> float:
        return self.samples.size / self.rate_hz


def trimmed(sound: Pcm) -> Pcm:
    """Return the sound without the silence before and after it."""
    if not sound.samples.size:
        return sound
    levels = np.abs(sound.samples.astype(np.float32))
    loud = np.flatnonzero(levels > levels.max() * _SILENT)
    if not loud.size:
        return Pcm(sound.rate_hz, sound.samples[:0])
    return Pcm(sound.rate_hz, sound.samples[loud[0] : loud[-1] + 1])


def read_wav(data: bytes) -> Pcm:
    """Return the sound of a WAV of 16 bits, its channels mixed. Raises ValueError.

    The sizes in its head may be wrong: a program that writes to a pipe does not know them.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it is no WAV")
    at, rate_hz, channels = 12, 0, 0
    while at + _HEAD_BYTES <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        at += _HEAD_BYTES
        if name == b"fmt " and at + 16 <= len(data):
            kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", data, at)
            if kind not in (_PCM, _EXTENSIBLE) or bits != 16:
                raise ValueError("it is no WAV of 16 bits")
        elif name == b"data":
            if not (1000 <= rate_hz <= 400_000 and 1 <= channels <= 8):
                raise ValueError("its head names no rate")
            width = 2 * channels
            body = data[at : at + size]
            whole = np.frombuffer(body[: len(body) // width * width], "<i2")
            mixed = whole.reshape(-1, channels).mean(axis=1) if channels > 1 else whole
            return Pcm(rate_hz, mixed.astype(np.int16))
        at += size + size % 2
    raise ValueError("it holds no sound")
