"""Turns a medium's blocks of sound into windows, with speech detection and trimmed pauses.

A block is freed as soon as its windows are cut, so that memory does not grow with the medium.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.pause_trimmer import PauseTrimmer
from kb.asr.audio.silero import FRAME
from kb.asr.audio.sound_meter import SoundMeter
from kb.asr.audio.time_map import TimestampMap
from kb.asr.audio.vad import (
    CUT_THRESHOLD,
    FRAME_S,
    LEDGER_THRESHOLD,
    Audio,
    SpeechDetector,
    SpeechRule,
    spans,
)
from kb.asr.windows.residual_speech import ResidualSpeech
from kb.asr.windows.windowing import PAD_S, Window, WindowCutter
from kb.types import SpeechLimits, SpeechSpan

EDGE_S = 2.0  # detection at a window's edge depends on the sound before it


class WindowSource:
    """The windows of one medium.

    `decode_s` and `vad_s` are the seconds spent so far on reading blocks and on detection;
    `samples` counts the sound, `meter` measures it. Windows have times of the trimmed sound;
    `time_map` maps them to those of the medium.
    """

    def __init__(
        self,
        detector: SpeechDetector | None,
        *,
        limit_s: float,
        overlap_s: float,
        longest_pause_s: float,
        residual_s: float | None,
        limits: SpeechLimits | None = None,
    ) -> None:
        """Initialise the source; without a `detector` all sound counts as speech.

        Windows are at most `limit_s` long and overlap by `overlap_s`; pauses are trimmed to
        `longest_pause_s`. `residual_s`: least seconds of speech between the windows that are kept
        as a window; with None no such speech is kept. With a threshold of the caller's `limits`
        nothing below it counts as speech.
        """
        self._detector = detector
        self._limit_s = limit_s
        self._overlap_s = overlap_s
        self._scan_residual = detector is not None and residual_s is not None
        self._residual_speech = ResidualSpeech(limit_s, residual_s or 0.0)
        self._cut_rule = SpeechRule.of(limits, CUT_THRESHOLD)
        self._ledger_rule = SpeechRule.of(limits, LEDGER_THRESHOLD)
        self._lead_s = PAD_S if limits is None or limits.lead_s is None else limits.lead_s
        self._pause_trimmer = PauseTrimmer(longest_pause_s, self._ledger_rule.low)
        self._probabilities: list[Audio] = []  # of the medium's sound, before pauses are trimmed
        self._trimmed_probabilities: list[Audio] = []
        self._frames = 0
        self.samples = 0
        self.meter = SoundMeter()
        self.decode_s = self.vad_s = 0.0

    @property
    def time_map(self) -> TimestampMap:
        """The map from times of the trimmed sound to those of the medium, as far as known."""
        return self._pause_trimmer.time_map

    @property
    def residual_windows(self) -> Sequence[Window]:
        """The windows of the speech between the windows that `windows` yielded."""
        return self._residual_speech.windows

    def windows(self, blocks: Iterable[Audio], check: Callable[[], None]) -> Iterator[Window]:
        """Yield the windows in order of time; `check` is called after each block and may raise."""
        cutter = WindowCutter(
            self._limit_s,
            overlap_s=min(self._overlap_s, self._limit_s / 3),
            detect=self._detector is not None,
            rule=self._cut_rule,
            lead_s=self._lead_s,
        )
        stream = self._detector.stream() if self._detector else None
        iterator = iter(blocks)
        while True:
            began = time.perf_counter()
            block = next(iterator, None)
            self.decode_s += time.perf_counter() - began
            check()
            if block is None:
                break
            self.samples += block.size
            began = time.perf_counter()
            self.meter.push(block)
            found = stream.push(block) if stream else self._all_speech(self.samples)
            self.vad_s += time.perf_counter() - began
            yield from self._cut(cutter, *self._pause_trimmer.push(block, self._record(found)))
        rest = stream.finish() if stream else self._all_speech(self.samples + FRAME - 1)
        yield from self._cut(cutter, *self._pause_trimmer.finish(self._record(rest)), final=True)

    def speech(self) -> list[SpeechSpan]:
        """Return the speech of the looser detection in the whole medium, in the medium's times.

        Empty without a detector.
        """
        if self._detector is None:
            return []
        audio_s = self.samples / SAMPLE_RATE
        found = spans(_joined(self._probabilities), self._ledger_rule)
        return [replace(s, end_s=min(s.end_s, audio_s)) for s in found if s.start_s < audio_s]

    def speech_near(self, from_s: float, to_s: float) -> tuple[SpeechSpan, ...]:
        """Return the speech of the looser detection around a span of the trimmed sound.

        It is computed from the probabilities known so far.
        """
        probabilities, first_s = self.probabilities_near(from_s, to_s)
        return tuple(spans(probabilities, self._ledger_rule, offset_s=first_s))

    def probabilities_near(self, from_s: float, to_s: float) -> tuple[Audio, float]:
        """Return the probabilities around a span of the trimmed sound, and the first one's time.

        They are those of the frames known so far.
        """
        first = max(0, round((from_s - EDGE_S) / FRAME_S))
        last = round((to_s + EDGE_S) / FRAME_S)
        pieces: list[Audio] = []
        at = 0
        for piece in self._trimmed_probabilities:
            if at < last and at + piece.size > first:
                pieces.append(piece[max(0, first - at) : last - at])
            at += piece.size
        return _joined(pieces), first * FRAME_S

    def _cut(
        self, cutter: WindowCutter, audio: Audio, probabilities: Audio, *, final: bool = False
    ) -> Iterator[Window]:
        """Yield the windows that are complete by now, and keep the speech between them."""
        self._trimmed_probabilities.append(probabilities)
        if self._scan_residual:
            self._residual_speech.push(audio)
        for window in cutter.push(audio, probabilities, final=final):
            self._residual_speech.exclude(window)
            yield window
        if self._scan_residual:
            self._residual_speech.scan(None if final else cutter.decided_s, self.speech_near)

    def _record(self, probabilities: Audio) -> Audio:
        self._probabilities.append(probabilities)
        self._frames += probabilities.size
        return probabilities

    def _all_speech(self, samples: int) -> Audio:
        """Return probabilities of 1 for the frames that `samples` more samples complete."""
        return np.ones(samples // FRAME - self._frames, np.float32)


def _joined(pieces: list[Audio]) -> Audio:
    return np.concatenate(pieces or [np.zeros(0, np.float32)])
