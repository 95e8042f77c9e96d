"""`verbose_json` of OpenAI's transcription service, with the words of Whisper's own JSON.

Source of the form: the `TranscriptionVerbose` object of OpenAI's API reference. It has the words of
the whole text in `words`; Whisper's JSON has them in each segment, so that readers of either find
them. The service's figures of a segment are always there: `avg_logprob` is computed from the
words' probabilities, `compression_ratio` from the text (both as in openai-whisper); `seek`,
`tokens`, `temperature` and `no_speech_prob` are not kept in a transcript and have the values of a
plain decoding.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import Any

from kb.library.languages import language_name
from kb.transcript.chunks import collapse_whitespace, pieces
from kb.types import MediaItem, Segment, Transcript, Word

MIME_TYPE = "application/json"
SUFFIX = "verbose.json"
GROUP = "programs"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the document on one line; times are in seconds with 3 decimals."""
    segments = [segment for segment in transcript.segments if segment.text.strip()]
    last_s = max((segment.end_s for segment in segments), default=0.0)
    document = {
        "task": "transcribe",
        "language": language_name(transcript.language),
        "duration": round(transcript.media.duration_s or last_s, 3),
        "text": " ".join(collapse_whitespace(segment.text) for segment in segments),
        "segments": [_segment(number, segment) for number, segment in enumerate(segments)],
        "words": [
            {"word": word.text, **_times(word)} for segment in segments for word in segment.words
        ],
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _times(part: Segment | Word) -> dict[str, float]:
    return {"start": round(part.start_s, 3), "end": round(part.end_s, 3)}


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    text = collapse_whitespace(segment.text)
    data = text.encode("utf-8", "backslashreplace")
    return {
        "id": number,
        "seek": 0,
        **_times(segment),
        "text": f" {text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": _average_logprob(segment),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 4),
        "no_speech_prob": 0.0,
        "words": [
            {"word": text, **_times(word), "probability": round(word.probability, 4)}
            for text, word in _spoken(segment)
        ],
    }


def _spoken(segment: Segment) -> list[tuple[str, Word]]:
    """Return each word as Whisper writes it: with its punctuation and the space before it."""
    words = [word for word in segment.words if word.text.strip()]
    parts = pieces(segment)
    if len(parts) != len(words):
        return [(f" {word.text}", word) for word in words]
    return [
        (part.text if part.glued else f" {part.text}", word)
        for part, word in zip(parts, words, strict=True)
    ]


def _average_logprob(segment: Segment) -> float:
    """Return the mean logarithm of the words' probabilities; 0 without words."""
    logs = [math.log(min(1.0, max(word.probability, 1e-10))) for word in segment.words]
    return round(sum(logs) / len(logs), 4) if logs else 0.0
