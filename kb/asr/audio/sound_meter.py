"""Measures the sound of a medium for likely causes of misheard words, block by block.

The figures need no more than sums and histograms, whose size does not grow with the medium. The
limits of the causes were measured on speech through filters of known strength
(`benchmarks/support/trust_sound_kinds.py`); see docs/expected-errors.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.types import SoundFacts, Word
from kb.types.words import UNSPACED

HOP = 256  # samples of a frame of levels: 16 ms
FFT = 512  # samples of a spectrum
FFT_EVERY = 2048  # samples from one spectrum to the next: a quarter of the sound is enough
CHUNK = 16 * FFT_EVERY  # samples that are measured at once, whatever the size of the blocks
LEAST_DB = -120.0
STEP_DB = 0.25  # width of a bin of the histogram of samples
LOUD = 0.95  # quantile of the frames' levels that counts as the level of the loud parts
BAND_HZ = 250.0
BAND_DROP_DB = 50.0  # a band this far below the strongest one holds no speech
TAIL = 1e-4  # share of the loud samples above the level that counts as the recording's limit
NEAR_DB = 0.5  # samples this close below the limit count as clipped
LOUD_DB = 20.0  # samples this far below the limit or less count as loud
# The decay is the time of a fall by 20 dB, from 5 dB below a peak on, as for T20 in ISO 3382.
FROM_DB = 5.0
OVER_DB = 20.0
RISE_DB = 3.0  # a level so far above the lowest one is a new sound
QUIETEST = 0.05  # quantile of the levels that counts as the noise of the recording
ABOVE_NOISE_DB = 6.0  # a fall that ends nearer to the noise ends in it
DECAY_QUANTILE = 0.25  # in a reverberant room no sound dies away faster than the room lets it

NARROW_BAND_HZ = 4_200.0  # telephone: 300 to 3,400 Hz
CLIPPED = 0.02
VERY_QUIET_DB = -55.0  # peak
REVERBERANT_S = 0.3
# In detected speech. The voices of the measurement have 10 to 14 at their own pace; 16.5 is that of
# 240 words of four letters a minute.
FAST_LETTERS_PER_S = 16.5


class SoundMeter:
    """A running measurement of 16 kHz mono sound."""

    def __init__(self) -> None:
        self._rest: Audio = np.zeros(0, np.float32)
        self._next_fft = 0
        self._power = np.zeros(FFT // 2 + 1)
        self._window = np.hanning(FFT)
        self._levels = np.zeros(int(-LEAST_DB) + 1, np.int64)
        self._samples = np.zeros(int(-LEAST_DB / STEP_DB) + 1, np.int64)
        self._peak = 0.0
        self._run: list[float] = []  # levels from a peak on
        self._lowest = 0.0
        self._decays = np.zeros(400, np.int64)  # by hundredths of a second

    def push(self, block: Audio) -> None:
        """Add the next sound: float32 samples, 16 kHz mono."""
        sound = np.concatenate((self._rest, block)) if self._rest.size else block
        whole = sound.size // CHUNK * CHUNK
        for at in range(0, whole, CHUNK):
            self._add(sound[at : at + CHUNK])
        self._rest = sound[whole:].copy()

    def facts(self, words: Sequence[Word] = (), speech_s: float = 0.0) -> SoundFacts:
        """Return the figures of the sound so far, with the likely causes of misheard words.

        The letters of `words` in `speech_s` seconds of detected speech give the pace, in scripts
        with letters.
        """
        if self._rest.size >= FFT:
            self._add(self._rest)
            self._rest = self._rest[:0]
        letters = sum(map(str.isalpha, "".join(word.text for word in words)))
        unspaced = any(UNSPACED.search(word.text) for word in words)
        pace = round(letters / speech_s, 1) if speech_s > 0 and letters and not unspaced else None
        if self._peak <= 0:
            return SoundFacts(letters_per_s=pace)
        found = SoundFacts(
            peak_db=round(20 * math.log10(self._peak), 1),
            level_db=float(LEAST_DB + _quantile_bin(self._levels[1:], LOUD) + 1),
            bandwidth_hz=self._bandwidth_hz(),
            clipped=self._clipped(),
            decay_s=self._decay_s(),
            letters_per_s=pace,
        )
        return replace(found, causes=causes_of(found))

    def _add(self, sound: Audio) -> None:
        sizes = np.abs(sound)
        self._peak = max(self._peak, float(sizes.max()))
        levels = _decibels(
            np.sqrt(
                np.square(sound[: sound.size // HOP * HOP].reshape(-1, HOP)).mean(
                    axis=1, dtype=np.float64
                )
            )
        )
        _count(self._levels, levels - LEAST_DB)
        _count(self._samples, (_decibels(sizes) - LEAST_DB) / STEP_DB)
        for level in levels.tolist():
            self._follow_decay(level)
        if sound.size >= FFT:
            pieces = np.lib.stride_tricks.sliding_window_view(sound, FFT)[::FFT_EVERY]
            spectra = np.fft.rfft(pieces * self._window, axis=1)
            self._power += np.square(np.abs(spectra)).sum(axis=0)

    def _follow_decay(self, level: float) -> None:
        """Add a level to the run that falls from a peak, or count the run that it ends."""
        run = self._run
        if run and level > run[0]:
            run.clear()  # a higher peak
        elif run and level > self._lowest + RISE_DB:
            self._count_decay()
            run.clear()
        run.append(level)
        self._lowest = min(self._lowest, level) if len(run) > 1 else level
        if level <= run[0] - FROM_DB - OVER_DB:
            self._count_decay()
            run.clear()

    def _count_decay(self) -> None:
        """Count the time of the run's fall from 5 to 25 dB below its peak, for 60 dB."""
        run = self._run
        begin = next((n for n, level in enumerate(run) if level <= run[0] - FROM_DB), len(run))
        noise_db = LEAST_DB + _quantile_bin(self._levels, QUIETEST)
        end_db = run[0] - FROM_DB - OVER_DB
        if run[-1] <= end_db and end_db > noise_db + ABOVE_NOISE_DB:
            seconds = (len(run) - 1 - begin) * HOP / SAMPLE_RATE * 60.0 / OVER_DB
            self._decays[min(round(seconds * 100), self._decays.size - 1)] += 1

    def _bandwidth_hz(self) -> float:
        bins = round(BAND_HZ / (SAMPLE_RATE / FFT))
        bands = self._power[1 : (self._power.size - 1) // bins * bins + 1].reshape(-1, bins)
        power = bands.mean(axis=1)
        heard = np.flatnonzero(power >= power.max() * 10 ** (-BAND_DROP_DB / 10))
        return float((heard[-1] + 1) * BAND_HZ) if power.max() > 0 else 0.0

    def _clipped(self) -> float | None:
        """Return the share of the loud samples at the recording's limit."""
        counts = self._samples
        behind = np.cumsum(counts[::-1])[::-1]  # samples at least as loud as each bin
        highest = int(np.flatnonzero(counts)[-1])
        loud = int(behind[max(0, highest - round(LOUD_DB / STEP_DB))])
        limit = int(np.flatnonzero(behind >= max(1.0, TAIL * loud))[-1])
        near = int(behind[max(0, limit - round(NEAR_DB / STEP_DB))])
        return round(near / loud, 4) if loud else None

    def _decay_s(self) -> float | None:
        if int(self._decays.sum()) < 5:
            return None
        return round(_quantile_bin(self._decays, DECAY_QUANTILE) / 100, 2)


def causes_of(found: SoundFacts) -> tuple[str, ...]:
    """Return the likely causes of misheard words among the figures."""
    signs = (
        ("narrow_band", found.bandwidth_hz is not None and found.bandwidth_hz < NARROW_BAND_HZ),
        ("clipped", found.clipped is not None and found.clipped >= CLIPPED),
        ("very_quiet", found.peak_db is not None and found.peak_db < VERY_QUIET_DB),
        ("reverberant", found.decay_s is not None and found.decay_s >= REVERBERANT_S),
        ("fast", found.letters_per_s is not None and found.letters_per_s >= FAST_LETTERS_PER_S),
    )
    return tuple(name for name, true in signs if true)


def _decibels(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.asarray(20 * np.log10(np.maximum(values, 10 ** (LEAST_DB / 20))))


def _count(histogram: npt.NDArray[np.int64], places: npt.NDArray[np.float64]) -> None:
    inside = np.minimum(np.maximum(places, 0), histogram.size - 1).astype(np.int32)
    histogram += np.bincount(inside, minlength=histogram.size)


def _quantile_bin(counts: npt.NDArray[np.int64], share: float) -> int:
    """Return the bin below which this share of the counts is."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, share * total[-1])) if total[-1] else 0
