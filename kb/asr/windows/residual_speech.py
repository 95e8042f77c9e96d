"""Speech outside of all windows: the speech that only the looser detection marks.

Windows are cut from the speech of the stricter detection; the coverage ledger uses the looser one.
The difference, soft or noisy speech, is cut here into windows of its own, which repair may decode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.asr.coverage import PAUSE_S
from kb.asr.windows.windowing import PAD_S, Window
from kb.types import SpeechSpan

MOST_KEPT = 16  # their sound is in memory until the item is finished; the longest are kept

Speech = Callable[[float, float], Sequence[SpeechSpan]]
"""Returns the speech of the looser detection between two times of the medium."""


@dataclass(slots=True)
class ResidualSpeech:
    """A collector of the speech outside of all other windows; `windows` holds it.

    `limit_s`: the longest window; `least_s`: least seconds of speech of a window. The object holds
    in memory the sound that is not yet decided, one open stretch of speech, and the windows found.
    """

    limit_s: float
    least_s: float
    windows: list[Window] = field(default_factory=list)
    _audio: Audio = field(default_factory=lambda: np.zeros(0, np.float32))
    _base: int = 0  # index of the first sample held
    _at_s: float = 0.0  # scanned up to this time
    _excluded: list[tuple[float, float]] = field(default_factory=list)

    def push(self, block: Audio) -> None:
        """Add the next sound."""
        self._audio = np.concatenate([self._audio, block])

    def exclude(self, window: Window) -> None:
        """Exclude the sound of a window that was cut."""
        self._excluded.append((window.start_s, window.end_s))

    def scan(self, until_s: float | None, speech: Speech) -> None:
        """Scan up to `until_s`, before which no more windows begin; None: up to the end."""
        known_s = (self._base + self._audio.size) / SAMPLE_RATE
        final = until_s is None
        until_s = known_s if until_s is None else min(until_s, known_s)
        if until_s <= self._at_s:
            return
        rows = self._rows(self._uncovered(speech(self._at_s, until_s), until_s))
        next_s = until_s
        for row in rows:
            # The last stretch may continue.
            open_ = row is rows[-1] and until_s - row[-1].end_s < PAUSE_S and not final
            if open_ and until_s - row[0].start_s < self.limit_s / 2:
                next_s = row[0].start_s
                break
            self._add_window(row, until_s)
        self._at_s = max(self._at_s, next_s)
        drop = int((self._at_s - PAD_S) * SAMPLE_RATE) - self._base
        if drop > 0:
            self._audio = self._audio[drop:].copy()
            self._base += drop

    def _uncovered(self, spans: Sequence[SpeechSpan], until_s: float) -> list[SpeechSpan]:
        """Return the parts of spans that are in no window."""
        free: list[SpeechSpan] = []
        for span in spans:
            at_s, end_s = max(span.start_s, self._at_s), min(span.end_s, until_s)
            for begin, end in self._excluded:
                if end <= at_s or begin >= end_s:
                    continue
                if begin > at_s:
                    free.append(SpeechSpan(at_s, begin))
                at_s = max(at_s, end)
            if end_s > at_s:
                free.append(SpeechSpan(at_s, end_s))
        return free

    def _rows(self, spans: Sequence[SpeechSpan]) -> list[list[SpeechSpan]]:
        """Join spans over short pauses, but not over a window or beyond the limit."""
        most_s = self.limit_s - 2 * PAD_S
        pieces = [
            SpeechSpan(begin, min(begin + most_s, span.end_s))
            for span in spans
            for begin in np.arange(span.start_s, span.end_s, most_s).tolist()
        ]
        rows: list[list[SpeechSpan]] = []
        for piece in pieces:
            last = rows[-1] if rows else None
            if (
                last is not None
                and piece.start_s - last[-1].end_s <= PAUSE_S
                and piece.end_s - last[0].start_s <= most_s
                and not any(last[-1].end_s <= begin < piece.end_s for begin, _ in self._excluded)
            ):
                last.append(piece)
            else:
                rows.append([piece])
        return rows

    def _add_window(self, row: Sequence[SpeechSpan], until_s: float) -> None:
        if sum(piece.duration_s for piece in row) <= self.least_s:
            return
        # The window must not overlap another one, whose text has those words.
        before_s = max((end for _, end in self._excluded if end <= row[0].start_s), default=0.0)
        after_s = min((b for b, _ in self._excluded if b >= row[-1].end_s), default=until_s)
        begin_s = max(before_s, row[0].start_s - PAD_S, self._base / SAMPLE_RATE)
        end_s = min(after_s, row[-1].end_s + PAD_S)
        first, last = (round(at_s * SAMPLE_RATE) - self._base for at_s in (begin_s, end_s))
        # Its text is inserted after that of the window before it (-1: there is none).
        index = sum(begin <= begin_s for begin, _ in self._excluded) - 1
        audio = self._audio[first:last].copy()
        self.windows.append(Window(index, begin_s, audio, tuple(row)))
        if len(self.windows) > MOST_KEPT:
            self.windows.remove(min(self.windows, key=lambda window: window.duration_s))
