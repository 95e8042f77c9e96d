"""Mixing of channels to one, with a guard against signals that cancel each other.

A recording with one side wired the wrong way round becomes silence when both sides are added, and
nothing behind the mixdown can notice that. Therefore the power of a sum is compared with the power
of its parts; where the sum is far below, the louder part is taken instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.media import SAMPLE_RATE_HZ
from kb.media.damage import clock

Samples = NDArray[np.float32]

_HOPS_PER_S = 50  # the resolution of the comparison
_SMOOTHING_HOPS = 11  # 0.22 s, about a syllable

# Sides without relation to each other lose 3 dB in their average and a silent side 6 dB; sides
# with a correlation below -0.8 lose more than 10 dB.
_CANCELLED = 0.1
_AUDIBLE = 10 ** (-75 / 10)  # power; below it the sides are only compared noise
_MERGED_S = 3.0  # cancelled parts with shorter pauses between them are reported as one span


class Mixdown:
    """The mixdown of one medium, block by block; `spans` collects the cancelled parts.

    The weights are those of ffmpeg (ITU-R BS.775): stereo becomes the average of its sides, and
    surround keeps the loudness of speech in its centre.
    """

    def __init__(self, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Prepare for sound of this rate."""
        self._rate_hz = rate_hz
        self._hop = rate_hz // _HOPS_PER_S
        self._cancelled: list[tuple[int, int]] = []
        self._at = 0

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The parts in which signals cancel each other, (from, to) in seconds, in order."""
        merged: list[tuple[float, float]] = []
        for first, end in sorted(self._cancelled):
            start_s, end_s = first / self._rate_hz, end / self._rate_hz
            if merged and start_s - merged[-1][1] < _MERGED_S:
                merged[-1] = (merged[-1][0], max(end_s, merged[-1][1]))
            else:
                merged.append((start_s, end_s))
        return merged

    @property
    def cancelled_s(self) -> float:
        """Seconds of sound whose parts cancel each other."""
        return sum(end - first for first, end in self._cancelled) / self._rate_hz

    def mix_channels(self, channels: NDArray[np.float32]) -> Samples:
        """Return the mono sound of the next block, [samples, places] of the clocked reader."""
        channels = _finite(channels)
        if not any(channels[:, place].any() for place in (0, 1, 3, 4)):
            mono = channels[:, 2].copy()
        else:
            left, right, centre, back_left, back_right = np.ascontiguousarray(channels.T)
            front = self._average(left, right)
            if centre.any() or back_left.any() or back_right.any():
                # The layout may change inside a block: plain stereo keeps its level.
                has_more = self._surrounds(channels)
                front *= self._spread(np.where(has_more, np.sqrt(2), 1.0), len(front))
                back = self._average(back_left, back_right)
                mono = self._sum(self._sum(front, back), centre)
            else:
                mono = front
        self._at += len(mono)
        return np.asarray(mono, np.float32)

    def mix_sides(self, channels: NDArray[np.float32]) -> Samples:
        """Return the next block for two loudspeakers, [samples, 2].

        Stereo keeps its sides. Where they cancel each other, and for mono and surround, both sides
        get the mono sound.
        """
        channels = _finite(channels)
        begin, known = self._at, len(self._cancelled)
        mono = self.mix_channels(channels)
        is_mono = self._spread(self._surrounds(channels), len(mono))
        for first, end in self._cancelled[known:]:
            is_mono[first - begin : end - begin] = True
        return np.where(is_mono[:, None], mono[:, None], channels[:, :2])

    def add(self, first: Samples, second: Samples) -> Samples:
        """Return the sum of two sounds, [samples, sides], the louder where they cancel."""
        sides = [self._sum(*each) for each in zip(first.T, second.T, strict=True)]
        self._at += len(first)
        return np.stack(sides, axis=1)

    def _average(self, first: Samples, second: Samples) -> Samples:
        return self._guarded(first, second, 0.5)

    def _sum(self, first: Samples, second: Samples) -> Samples:
        return self._guarded(first, second, 1.0)

    def _guarded(self, first: Samples, second: Samples, weight: float) -> Samples:
        """Return the weighted sum of two parts, and the louder one where they cancel."""
        mixed: Samples = (first + second) * np.float32(weight)
        powers = [self._power(part) for part in (first, second, mixed)]
        louder = np.maximum(powers[0], powers[1])
        cancels = (powers[2] < _CANCELLED * (2 * weight) ** 2 * louder) & (louder > _AUDIBLE)
        if not cancels.any():
            return mixed
        reach = _SMOOTHING_HOPS // 2
        cancels = np.convolve(cancels, np.ones(2 * reach + 1), "same") > 0
        edges = np.flatnonzero(np.diff(cancels, prepend=False, append=False))
        side = np.empty_like(mixed)
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            is_first = powers[0][begin:end].sum() >= powers[1][begin:end].sum()
            span = slice(begin * self._hop, end * self._hop)
            side[span] = (first if is_first else second)[span]
            until = min(int(end) * self._hop, len(mixed))
            self._cancelled.append((self._at + int(begin) * self._hop, self._at + until))
        return np.where(self._spread(cancels, len(mixed)), side, mixed)

    def _surrounds(self, channels: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each hop whether another place than left and right has sound."""
        return np.asarray(self._rows(np.any(channels[:, 2:], axis=1)).any(axis=1), np.bool_)

    def _rows(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Return the samples by hops, [hops, samples]; zeros fill the last one."""
        return np.pad(samples, (0, -len(samples) % self._hop)).reshape(-1, self._hop)

    def _power(self, samples: Samples) -> NDArray[np.float64]:
        """Return the mean power of each hop, averaged over its neighbours."""
        rows = self._rows(samples)
        powers = np.asarray(np.einsum("ij,ij->i", rows, rows, dtype=np.float64)) / self._hop
        width = min(_SMOOTHING_HOPS, len(powers))
        return np.convolve(powers, np.ones(width) / width, "same")[: len(powers)]

    def _spread(self, values: NDArray[Any], length: int) -> NDArray[Any]:
        """Return a value of each hop as one of each sample."""
        return np.repeat(values, self._hop)[:length]


def cancelled_warnings(mixdown: Mixdown) -> list[str]:
    """Return a sentence if sides cancel each other for a second or more."""
    spans = mixdown.spans if mixdown.cancelled_s >= 1 else []
    if not spans:
        return []
    shown = ", ".join(f"{clock(start_s)} to {clock(end_s)}" for start_s, end_s in spans[:3])
    more = f" and {len(spans) - 3} more" if len(spans) > 3 else ""
    return [
        f"The sides of the sound cancel each other (is one wired the wrong way round?): {shown}"
        f"{more}. One side was read there."
    ]


def _finite(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    # Float media may contain NaN and infinities; one such sample makes the features of a whole
    # window invalid.
    if np.isfinite(channels).all():
        return channels
    return np.nan_to_num(channels, nan=0.0, posinf=1.0, neginf=-1.0)
