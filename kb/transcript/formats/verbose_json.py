"""`verbose_json` of OpenAI's transcription service, with the words of Whisper's own JSON.

Source of the form: the `TranscriptionVerbose` object of OpenAI's API reference. It has the words of
the whole text in `words`; Whisper's JSON has them in each segment, so that readers of either find
them. The service's figures of a segment are always there: `avg_logprob` is computed from the
words' probabilities, `compression_ratio` from the text (both as in openai-whisper). `seek` (the
start of the window, in frames of 10 ms), `tokens`, `temperature` and `no_speech_prob` are those of
the decoding. A stored transcript has window and temperature, in its reports; `tokens` are empty
there and `no_speech_prob` is 0. A segment whose speaker is known has `speaker`, as whisperX writes
it.
"""

from __future__ import annotations

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from kb.library.languages import language_name
from kb.transcript.chunks import collapse_whitespace, pieces
from kb.types import MediaItem, Segment, SegmentDecoding, Transcript, Word

MIME_TYPE = "application/json"
SUFFIX = "verbose.json"
GROUP = "programs"

FRAMES_A_SECOND = 100
SLACK_S = 0.05  # times of windows and segments are rounded


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the document on one line; times are in seconds with 3 decimals."""
    segments = [segment for segment in transcript.segments if segment.text.strip()]
    last_s = max((segment.end_s for segment in segments), default=0.0)
    words: list[dict[str, Any]] = []
    document = {
        "task": "transcribe",
        "language": language_name(transcript.language),
        "duration": round(transcript.media.duration_s or last_s, 3),
        "text": " ".join([collapse_whitespace(segment.text) for segment in segments]),
        "segments": [
            _segment(number, segment, _decoding(transcript, segment), words)
            for number, segment in enumerate(segments)
        ],
        "words": words,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _decoding(transcript: Transcript, segment: Segment) -> SegmentDecoding:
    """Return the figures of a segment's decoding, else what the report on its window has."""
    if segment.decoding is not None:
        return segment.decoding
    windows = transcript.windows
    place = bisect_right(windows, segment.start_s + SLACK_S, key=lambda each: each.start_s) - 1
    if place < 0:
        return SegmentDecoding(0.0, (), 0.0, 0.0)
    window = windows[place]
    method = window.attempts[window.chosen].method if window.attempts else ""
    name, _, value = method.partition(" ")
    temperature = float(value) if name == "temperature" else 0.0
    return SegmentDecoding(window.start_s, (), temperature, 0.0)


def _segment(
    number: int, segment: Segment, decoding: SegmentDecoding, words: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return a segment, and add its words to those of the whole text."""
    text = collapse_whitespace(segment.text)
    data = text.encode("utf-8", "backslashreplace")
    found = [
        {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
        for word in segment.words
    ]
    words += found
    return {
        "id": number,
        "seek": round(decoding.window_s * FRAMES_A_SECOND),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": f" {text}",
        "tokens": list(decoding.tokens),
        "temperature": decoding.temperature,
        "avg_logprob": _average_logprob(segment),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
        "no_speech_prob": float(f"{decoding.no_speech:.6g}"),
        "words": [
            {**timed, "word": text, "probability": round(word.probability, 4)}
            for text, word, timed in _spoken(segment, found)
        ],
        **({"speaker": segment.speaker} if segment.speaker else {}),
    }


def _spoken(
    segment: Segment, found: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, Word, dict[str, Any]]]:
    """Yield each word as Whisper writes it: with its punctuation and the space before it."""
    spoken = [
        (word, timed)
        for word, timed in zip(segment.words, found, strict=True)
        if word.text and not word.text.isspace()
    ]
    parts = pieces(segment)
    if len(parts) != len(spoken):
        for word, timed in spoken:
            yield f" {word.text}", word, timed
        return
    for part, (word, timed) in zip(parts, spoken, strict=True):
        yield part.text if part.glued else f" {part.text}", word, timed


def _average_logprob(segment: Segment) -> float:
    """Return the mean logarithm of the words' probabilities; 0 without words."""
    chances = [word.probability for word in segment.words]
    logs = [math.log(p if 1e-10 < p < 1.0 else min(1.0, max(p, 1e-10))) for p in chances]
    return round(sum(logs) / len(logs), 4) if logs else 0.0
