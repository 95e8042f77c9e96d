"""Finds detected speech without words, and cuts it into windows for another attempt.

Every engine sometimes loses speech: it stops before the end of a window, skips a phrase, or
returns no text for a window full of speech. The detected speech shows where words are missing;
these parts are queued again as windows of their own.
"""

from __future__ import annotations

import logging

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.audio.vad import Audio
from kb.asr.coverage import LONGEST_WORD_S
from kb.asr.engines.base import DecodingResult
from kb.asr.windows.windowing import Window
from kb.types import SpeechSpan
from kb.types.quality import LONGEST_UNCOVERED_S, REACH_S

log = logging.getLogger(__name__)

MOST_REPAIRS = 8  # most parts of one window that are decoded again
SHORTEST_PART_S = 0.4

# openai-whisper's values: both together mean no speech.
NO_SPEECH = 0.6
LOW_LOGPROB = -1.0

_HOP_S = 0.02  # resolution of the search for the quietest point


def is_silence(decoded: DecodingResult) -> bool:
    """Return whether the model itself marks its words as no speech.

    A high no-speech probability alone is not enough: words with high confidence outweigh it.
    """
    return decoded.no_speech > NO_SPEECH and decoded.avg_logprob < LOW_LOGPROB


def find_missing_speech(window: Window, decoded: DecodingResult, *, part: bool) -> list[Window]:
    """Return parts of a window to decode again: detected speech without words, in order.

    `part`: the window is itself such a part. A part whose attempt gave no words is not decoded
    again, so that the repetition ends.
    """
    # Of the overlap with the next window, the later half belongs to that window.
    own_end_s = window.end_s - window.shared_s / 2
    words = sorted((w for s in decoded.segments for w in s.words), key=lambda w: w.start_s)
    if not words:
        missing = _speech_between(window, window.start_s, own_end_s)
        if sum(span.duration_s for span in missing) <= LONGEST_UNCOVERED_S:
            return []
        if part or decoded.no_speech > NO_SPEECH:
            from_s, to_s = window.time_map.span(window.start_s, window.end_s)
            log.debug("No words in %.2f-%.2f s", from_s, to_s)
            return []
        return _halves(window)
    # Speech between two words counts as a whole, despite short dips in the detection.
    previous_ends_s = [window.start_s, *(w.end_s for w in words)]
    # A word that is stretched over missing speech has its true place at its end.
    next_starts_s = [*(max(w.start_s, w.end_s - LONGEST_WORD_S) for w in words), window.end_s]
    parts: list[Window] = []
    for place, (before_s, after_s) in enumerate(zip(previous_ends_s, next_starts_s, strict=True)):
        from_s = before_s + REACH_S if place else before_s
        to_s = after_s - REACH_S if place < len(words) else own_end_s
        missing = _speech_between(window, from_s, to_s)
        if sum(span.duration_s for span in missing) > LONGEST_UNCOVERED_S:
            begin_s = max(before_s, missing[0].start_s - REACH_S)
            end_s = min(after_s, missing[-1].end_s + REACH_S)
            parts.append(window.part(begin_s, end_s))
    return [p for p in parts if p.duration_s >= SHORTEST_PART_S]


def _speech_between(window: Window, from_s: float, to_s: float) -> list[SpeechSpan]:
    return [
        SpeechSpan(max(span.start_s, from_s), min(span.end_s, to_s))
        for span in window.speech
        if min(span.end_s, to_s) > max(span.start_s, from_s)
    ]


def _halves(window: Window) -> list[Window]:
    """Return a window's halves, cut at the quietest point between a third and two thirds."""
    if window.duration_s < 2 * LONGEST_UNCOVERED_S:
        return []
    at_s = window.start_s + quietest_s(
        window.audio, window.duration_s / 3, window.duration_s * 2 / 3
    )
    halves = [window.part(window.start_s, at_s), window.part(at_s, window.end_s)]
    return [half for half in halves if half.speech]


def quietest_s(audio: Audio, from_s: float, to_s: float) -> float:
    """Return the middle of the quietest 0.1 s of `audio` ([samples], 16 kHz) between two times."""
    hop = int(_HOP_S * SAMPLE_RATE)
    piece = audio[int(from_s * SAMPLE_RATE) : int(to_s * SAMPLE_RATE)]
    power = np.square(piece[: piece.size // hop * hop].reshape(-1, hop)).mean(axis=1)
    if power.size < 5:
        return (from_s + to_s) / 2
    level = np.convolve(power, np.ones(5), mode="valid")
    return from_s + (int(np.argmin(level)) + 2.5) * _HOP_S
