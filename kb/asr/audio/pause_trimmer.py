"""Trims long pauses before the sound is cut into windows; times are mapped back afterwards.

A window holds at most 30 s, and a window that is half pause costs as much as one full of speech.
Only frames in which even the looser detection finds no speech are removed. A part of the pause
stays on both sides of the cut, so that the recognizer still receives a pause. All later steps,
up to the finished text, use the times of the trimmed sound; `TimestampMap` maps them to the
times of the medium.
"""

from __future__ import annotations

import numpy as np

from kb.asr.audio.silero import FRAME
from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import FRAME_S, HYSTERESIS, LEDGER_THRESHOLD, Audio

QUIET = LEDGER_THRESHOLD - HYSTERESIS  # below it, speech ends for the looser detection as well
LEAST_CUT_S = 0.3  # a shorter cut is not worthwhile


class PauseTrimmer:
    """A filter that shortens long pauses in a stream of sound; `time_map` holds the cuts.

    `longest_s`: length to which a longer pause is shortened, half of it on each side of the cut;
    with infinity nothing is removed. Sound that reaches `quiet` is no pause. The trimmer holds in
    memory the sound that has no probability yet, and the last part of an open pause, at most half
    of `longest_s`.
    """

    def __init__(self, longest_s: float, quiet: float = QUIET) -> None:
        self.time_map = TimestampMap()
        self._quiet = min(quiet, QUIET)
        # The following counts are in frames.
        self._side = round(min(longest_s, 1e6) / 2 / FRAME_S)
        self._least = round(LEAST_CUT_S / FRAME_S)
        self._audio = np.zeros(0, np.float32)
        self._probabilities = np.zeros(0, np.float32)
        self._passed = 0  # frames returned so far
        self._kept_of_pause = 0  # of the pause at the beginning of the buffer: frames returned
        self._removed = 0  # of the same pause: frames removed

    def push(self, audio: Audio, probabilities: Audio) -> tuple[Audio, Audio]:
        """Add sound and the probabilities known by now, one a FRAME; return the trimmed sound."""
        self._audio = np.concatenate([self._audio, audio])
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        return self._trim(final=False)

    def finish(self, probabilities: Audio) -> tuple[Audio, Audio]:
        """Add the last probabilities; return the remaining trimmed sound."""
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        return self._trim(final=True)

    def _trim(self, *, final: bool) -> tuple[Audio, Audio]:
        known = self._probabilities.size
        steps = np.flatnonzero(
            np.diff(self._probabilities < self._quiet, prepend=False, append=False)
        )
        kept: list[slice] = []
        at = 0
        kept_of_pause, removed = self._kept_of_pause, self._removed
        self._kept_of_pause = self._removed = 0
        for first, end in zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True):
            if first > 0:
                kept_of_pause = removed = 0
            head = min(end, first + max(0, self._side - kept_of_pause))
            tail = max(head, end - self._side)
            kept.append(slice(at, head))
            at = head
            if tail - head >= (1 if removed else self._least):
                passed = self._passed + sum(part.stop - part.start for part in kept)
                self.time_map.cut(passed * FRAME_S, (tail - head) * FRAME_S)
                removed += tail - head
                at = tail
            if end == known and not final:
                # The pause may continue: its possible last part stays in the buffer until its end
                # is known.
                self._kept_of_pause, self._removed = kept_of_pause + head - first, removed
                known = at
        kept.append(slice(at, known))
        self._passed += sum(part.stop - part.start for part in kept)
        sound = [self._audio[part.start * FRAME : part.stop * FRAME] for part in kept]
        chances = [self._probabilities[part] for part in kept]
        self._audio = self._audio[known * FRAME :].copy()
        self._probabilities = self._probabilities[known:].copy()
        return np.concatenate(sound), np.concatenate(chances)
