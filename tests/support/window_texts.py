"""Texts of a window of 20 s, for checks and repair; a word is written as `text@start-end`."""

from __future__ import annotations

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.time_map import TimestampMap
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.pace import Line, Pace
from kb.asr.quality.window_context import WindowContext
from kb.asr.windows.windowing import Window
from kb.types import Segment, SpeechSpan, Word

PACE = Pace(Line(0.1, 0.05), Line(0.05, 0.2))
FIRST = "the@1.0-1.2 quiet@1.2-1.6 harbour@1.6-2.1 story@4.0-4.4"
SPEECH = ((0.9, 3.0), (3.9, 4.5))


def words(text: str) -> tuple[Word, ...]:
    found = []
    for part in text.split():
        spelt, times = part.split("@")
        start, end = times.split("-")
        found.append(Word(float(start), float(end), spelt, 0.9))
    return tuple(found)


def decoded(text: str, *, logprob: float = -0.2, no_speech: float = 0.0) -> DecodingResult:
    own = words(text)
    segments = ()
    if own:
        spelt = " ".join(word.text for word in own)
        segments = (Segment(own[0].start_s, own[-1].end_s, spelt, own, "en"),)
    return DecodingResult(segments, "en", logprob, no_speech, own[-1].end_s if own else 0.0)


def window(seconds: float = 20.0) -> Window:
    audio = np.ones(round(seconds * SAMPLE_RATE), np.float32)
    return Window(
        index=0,
        start_s=0.0,
        overlap_s=0.0,
        shared_s=0.0,
        audio=audio,
        speech=tuple(SpeechSpan(*span) for span in SPEECH),
        time_map=TimestampMap(),
    )


def context(text: str = FIRST, speech: tuple[tuple[float, float], ...] = SPEECH) -> WindowContext:
    spans = tuple(SpeechSpan(*span) for span in speech)
    return WindowContext(0.0, 20.0, 0.0, 20.0, decoded(text), spans, pace=PACE)
