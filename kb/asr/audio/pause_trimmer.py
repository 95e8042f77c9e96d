"""Trims long pauses before the sound is cut into windows; times are mapped back afterwards.

A window holds at most 30 s, and one that is half pause costs as much as one full of speech. What
is taken out is only what even the looser detection hears nothing in, frame by frame; on both
sides of the cut a stretch of the pause stays, so that the recognizer still hears one. Everything
up to the finished text runs on the clock of what is left; `Clock` leads back to the medium's.
"""

from __future__ import annotations

import numpy as np

from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import FRAME, FRAME_S, HYSTERESIS, LEDGER_THRESHOLD, Audio

QUIET = LEDGER_THRESHOLD - HYSTERESIS  # below it, speech ends for the looser detection too
LEAST_CUT_S = 0.3  # not worth a cut


class PauseTrimmer:
    """Removes the middle of long pauses from a stream of sound; `time_map` has the cuts.

    `longest_s`: length kept of a longer pause, half of it on each side of the cut; infinite:
    nothing is removed. Held in memory: the sound that has no probability yet, and the last
    half of a pause's rest.
    """

    def __init__(self, longest_s: float) -> None:
        self.time_map = TimestampMap()
        # In frames from here on.
        self._side = round(min(longest_s, 1e6) / 2 / FRAME_S)
        self._least = round(LEAST_CUT_S / FRAME_S)
        self._audio = np.zeros(0, np.float32)
        self._probabilities = np.zeros(0, np.float32)
        self._passed = 0  # in all
        self._kept_of_pause = 0  # of the pause that the buffer begins in: passed on,
        self._removed = 0  # and left out

    def push(self, audio: Audio, probabilities: Audio) -> tuple[Audio, Audio]:
        """Take sound and the probabilities (one a FRAME) known by now; return the trimmed sound."""
        self._audio = np.concatenate([self._audio, audio])
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        return self._trim(final=False)

    def finish(self, probabilities: Audio) -> tuple[Audio, Audio]:
        """Take the last probabilities; return the rest."""
        self._probabilities = np.concatenate([self._probabilities, probabilities])
        return self._trim(final=True)

    def _trim(self, *, final: bool) -> tuple[Audio, Audio]:
        known = self._probabilities.size
        steps = np.flatnonzero(np.diff(self._probabilities < QUIET, prepend=False, append=False))
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
                # It may go on: what may be its last stretch waits until that is known.
                self._kept_of_pause, self._removed = kept_of_pause + head - first, removed
                known = at
        kept.append(slice(at, known))
        self._passed += sum(part.stop - part.start for part in kept)
        sound = [self._audio[part.start * FRAME : part.stop * FRAME] for part in kept]
        chances = [self._probabilities[part] for part in kept]
        self._audio = self._audio[known * FRAME :].copy()
        self._probabilities = self._probabilities[known:].copy()
        return np.concatenate(sound), np.concatenate(chances)
