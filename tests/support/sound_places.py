"""The sound of a window, found again in the medium that it was cut from.

Second readings put sounds of several places into one window, with silence between them, so that a
window's start does not say which words are in it. The samples do: they are the medium's own, and so
are some samples of a sound that was made faster or slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from kb.asr.audio.vad import Audio
from kb.asr.quality.speed_readings import SPEEDS
from kb.asr.windows.windowing import Window
from tests.support.compose import SAMPLE_RATE

SILENCE = 320  # samples of digital silence between two runs of sound, 20 ms
NEEDLE = 400  # samples that are looked for before a whole run is compared
LEAST_ANCHORS = 20  # samples of a run at another speed that are the medium's own


@dataclass(frozen=True)
class Piece:
    """Continuous sound of the medium in a window.

    `first`, `end`: its samples in the window; `medium`: its first sample in the medium, between two
    samples at another `speed`.
    """

    first: int
    end: int
    medium: float
    speed: float = 1.0

    def window_s(self, medium_s: float, window: Window) -> float:
        """Return the time in the window of a time in the medium."""
        by_s = (self.first - self.medium / self.speed) / SAMPLE_RATE
        return window.start_s + medium_s / self.speed + by_s

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end in the medium, in seconds."""
        return (
            self.medium / SAMPLE_RATE,
            (self.medium + (self.end - self.first) * self.speed) / SAMPLE_RATE,
        )


class SoundPlaces:
    """A medium's sound ([samples], 16 kHz), in which the sound of windows is found."""

    def __init__(self, audio: Audio) -> None:
        self._audio = audio
        self._bytes = audio.tobytes()

    def pieces(self, window: Window) -> list[Piece]:
        """Return the pieces of the medium in a window, in order; other sound is left out."""
        near = round(window.time_map.start(window.start_s) * SAMPLE_RATE)
        found: list[Piece] = []
        for first, end in _runs(window.audio):
            last = found[-1] if found else None
            # Equal sound may be there several times: first of all where the last run continues.
            goes_on = (
                last is not None
                and last.speed == 1.0
                and self._equal(window.audio[first:end], int(last.medium) + first - last.first)
            )
            if last is not None and goes_on:
                found[-1] = replace(last, end=end)
                continue
            places = list(self._places(window.audio[first:end]))
            if places:
                at = last.medium if last is not None else near
                medium = min(places, key=lambda place: abs(place - at))
                found.append(Piece(first, end, medium))
            elif piece := self._at_speed(window.audio, first, end):
                begins = last.medium + (first - last.first) * last.speed if last else 0.0
                if last and last.speed == piece.speed and abs(begins - piece.medium) <= 1.0:
                    found[-1] = replace(last, end=end)
                else:
                    found.append(piece)
        return found

    def _at_speed(self, audio: Audio, first: int, end: int) -> Piece | None:
        """Return a run that was made faster or slower (`place_sounds.at_speed`); None if it is not.

        Of its samples, those that fall on one of the medium are found there.
        """
        for factor, rows in self._rows.items():
            step = factor.denominator
            for offset in range(step):
                anchors = audio[first + offset : end : step][: 2 * LEAST_ANCHORS]
                anchors = np.where(np.abs(anchors) < 1e-12, np.float32(0), anchors)  # rounding
                if anchors.size < LEAST_ANCHORS:
                    break
                needle = anchors.tobytes()
                for phase, row in enumerate(rows):
                    at = row.find(needle)
                    while at >= 0 and at % audio.itemsize:
                        at = row.find(needle, at + 1)
                    if at >= 0:
                        sample = phase + at // audio.itemsize * factor.numerator
                        speed = float(factor)
                        return Piece(first, end, sample - offset * speed, speed)
        return None

    @cached_property
    def _rows(self) -> dict[Fraction, list[bytes]]:
        """Each nth sample of the medium, for the speeds at which words are read again."""
        factors = [Fraction(speed).limit_denominator(100) for speed in SPEEDS]
        return {
            factor: [
                self._audio[phase :: factor.numerator].tobytes()
                for phase in range(factor.numerator)
            ]
            for factor in factors
        }

    def _places(self, run: Audio) -> Iterator[int]:
        needle = run[:NEEDLE].tobytes()
        at = self._bytes.find(needle)
        while at >= 0:
            if at % run.itemsize == 0 and self._equal(run, at // run.itemsize):
                yield at // run.itemsize
            at = self._bytes.find(needle, at + 1)

    def _equal(self, run: Audio, first: int) -> bool:
        own = self._audio[max(first, 0) : first + run.size]
        return first >= 0 and own.size == run.size and bool(np.array_equal(own, run))


def _runs(audio: Audio) -> Iterator[tuple[int, int]]:
    """Yield the runs of samples between silences, as (first, end)."""
    loud = np.flatnonzero(audio)
    if not loud.size:
        return
    breaks = np.flatnonzero(np.diff(loud) > SILENCE)
    firsts = [loud[0], *loud[breaks + 1]]
    ends = [*loud[breaks], loud[-1]]
    for first, end in zip(firsts, ends, strict=True):
        yield int(first), int(end) + 1
