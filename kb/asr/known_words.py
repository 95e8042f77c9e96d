"""Words that are known before recognition, because another transcript has the same sound."""

from __future__ import annotations

import math
from concurrent.futures import Future
from dataclasses import dataclass, replace

from kb.asr.audio.time_map import TimestampMap
from kb.asr.batching.window_queue import BatchedWindow
from kb.asr.engines.base import DecodingResult
from kb.asr.stitching import keep_words
from kb.asr.windows.windowing import Window
from kb.errors import TranscriptionError
from kb.types import Segment, Word

_BESIDE_S = 0.1  # of sound on both sides of a window's speech, which must be known as well
_LEAST_PROBABILITY = 1e-3


@dataclass(frozen=True, slots=True)
class KnownSpan:
    """A span of the medium whose words are known, and their language.

    `segments` have times of the medium; `language` is that of segments that name none.
    """

    start_s: float
    end_s: float
    segments: tuple[Segment, ...]
    language: str


@dataclass(frozen=True, slots=True)
class KnownWords:
    """The spans of one medium whose words are known.

    `track` is the number of the sound track that they are of, None for the only one.
    """

    spans: tuple[KnownSpan, ...]
    track: int | None = None

    def read(self, window: Window) -> DecodingResult | None:
        """Return a window's text, None if not all of its speech is in one of the spans.

        None, too, without a word: what the other transcript lacks may be missing there.
        """
        times = window.time_map
        if window.speech:
            first, last = window.speech[0].start_s, window.speech[-1].end_s
        else:
            first, last = window.start_s, window.end_s
        start_s, end_s = times.start(first) - _BESIDE_S, times.end(last) + _BESIDE_S
        start_s = max(0.0, start_s)
        for span in self.spans:
            if span.start_s <= start_s and end_s <= span.end_s:
                decoded = self._decoded(window, span)
                return decoded if decoded.segments else None
        return None

    def submit(self, window: Window) -> Future[BatchedWindow] | None:
        """Return the result of a window as that of a queue, None if it must be decoded."""
        known = self.read(window)
        if known is None:
            return None
        done: Future[BatchedWindow] = Future()
        done.set_result(BatchedWindow(known, 0.0, 0.0, _explain))
        return done

    def _decoded(self, window: Window, span: KnownSpan) -> DecodingResult:
        times = window.time_map
        from_s, before_s = times.start(window.start_s), times.end(window.end_s)
        near = [s for s in span.segments if s.end_s >= from_s and s.start_s <= before_s]
        kept = keep_words(near, from_s=from_s, before_s=before_s)
        times = times.between(window.start_s, window.end_s)
        segments = tuple(_trimmed(each, times, window) for each in kept)
        words = [word for segment in segments for word in segment.words]
        logprobs = [math.log(max(word.probability, _LEAST_PROBABILITY)) for word in words]
        return DecodingResult(
            segments,
            next((each.language for each in segments if each.language), span.language),
            sum(logprobs) / len(logprobs) if logprobs else 0.0,
            0.0,
            max((word.end_s for word in words), default=window.start_s),
        )


def _trimmed(segment: Segment, times: TimestampMap, window: Window) -> Segment:
    """Return a segment in times of the trimmed sound, inside of its window."""

    def moved(word: Word) -> Word:
        start_s = min(max(times.trimmed(word.start_s), window.start_s), window.end_s)
        end_s = min(max(times.trimmed(word.end_s), start_s), window.end_s)
        return replace(word, start_s=start_s, end_s=end_s)

    words = tuple(moved(word) for word in segment.words)
    return replace(
        segment, start_s=words[0].start_s, end_s=max(word.end_s for word in words), words=words
    )


def _explain(error: Exception) -> TranscriptionError:
    return TranscriptionError(
        "transcript.known_words",
        "The words of the other transcript cannot be used: {cause}.",
        hint="Transcribe it without them: kb ingest … --again",
        cause=error,
    )
