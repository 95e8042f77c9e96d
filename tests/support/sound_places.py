"""The sound of a window, found again in the medium that it was cut from.

Second readings put sounds of several places into one window, with silence between them, so that a
window's start does not say which words are in it. The samples do: they are the medium's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kb.asr.audio.vad import Audio
from kb.asr.windows.windowing import Window
from tests.support.compose import SAMPLE_RATE

SILENCE = 320  # samples of digital silence between two runs of sound, 20 ms
NEEDLE = 400  # samples that are looked for before a whole run is compared


@dataclass(frozen=True)
class Piece:
    """Continuous sound of the medium in a window.

    `first`, `end`: its samples in the window; `medium`: its first sample in the medium.
    """

    first: int
    end: int
    medium: int

    def window_s(self, medium_s: float, window: Window) -> float:
        """Return the time in the window of a time in the medium."""
        return window.start_s + medium_s + (self.first - self.medium) / SAMPLE_RATE

    @property
    def span_s(self) -> tuple[float, float]:
        """Start and end in the medium, in seconds."""
        return (
            self.medium / SAMPLE_RATE,
            (self.medium + self.end - self.first) / SAMPLE_RATE,
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
            goes_on = last is not None and self._equal(
                window.audio[first:end], last.medium + first - last.first
            )
            if last is not None and goes_on:
                found[-1] = Piece(last.first, end, last.medium)
                continue
            places = list(self._places(window.audio[first:end]))
            if places:
                at = last.medium if last is not None else near
                medium = min(places, key=lambda place: abs(place - at))
                found.append(Piece(first, end, medium))
        return found

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
