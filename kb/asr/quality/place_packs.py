"""Packs: the sounds of several places, with silence between them, decoded as one window.

A recognizer of windows of 30 s needs about half the time of a whole window for one second of sound
(measured: 166 to 231 ms of 300 to 556 ms), because it fills it up with silence. Packed places cost
their length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kb.asr import SAMPLE_RATE
from kb.asr.engines.base import DecodingResult
from kb.asr.stitching import join_words
from kb.asr.windows.windowing import Window
from kb.types import Segment, SpeechSpan, Word

BETWEEN_S = 0.5  # silence between two sounds, besides what each has at its ends


@dataclass(frozen=True, slots=True)
class Pack:
    """A window with the sounds of several places; `starts_s` are their times in it."""

    window: Window
    parts: tuple[Window, ...]
    starts_s: tuple[float, ...]

    def unpack(self, decoded: DecodingResult) -> list[DecodingResult]:
        """Return the text of each place, with the times of its own sound.

        A word belongs to the place in which its middle is; words in the silence between two places
        belong to none.
        """
        words = [word for segment in decoded.segments for word in segment.words]
        return [
            _text_of(part, begin_s, words, decoded)
            for part, begin_s in zip(self.parts, self.starts_s, strict=True)
        ]


def packs(parts: Iterable[Window], limit_s: float) -> list[Pack]:
    """Return the parts, in order, in as few windows of at most `limit_s` seconds as needed."""
    found: list[Pack] = []
    row: list[Window] = []
    length_s = 0.0
    for part in parts:
        if row and length_s + BETWEEN_S + part.duration_s > limit_s:
            found.append(_pack(row))
            row, length_s = [], 0.0
        length_s += part.duration_s + (BETWEEN_S if row else 0.0)
        row.append(part)
    if row:
        found.append(_pack(row))
    return found


def _pack(parts: Sequence[Window]) -> Pack:
    between = np.zeros(round(BETWEEN_S * SAMPLE_RATE), np.float32)
    first_s = parts[0].start_s
    pieces: list[np.ndarray] = []
    starts_s: list[float] = []
    speech: list[SpeechSpan] = []
    samples = 0
    for part in parts:
        if pieces:
            pieces.append(between)
            samples += between.size
        begin_s = first_s + samples / SAMPLE_RATE
        starts_s.append(begin_s)
        by_s = begin_s - part.start_s
        speech += [SpeechSpan(s.start_s + by_s, s.end_s + by_s) for s in part.speech]
        pieces.append(part.audio)
        samples += part.audio.size
    audio = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    window = replace(parts[0], audio=audio, speech=tuple(speech), overlap_s=0.0, shared_s=0.0)
    return Pack(window, tuple(parts), tuple(starts_s))


def _text_of(
    part: Window, begin_s: float, words: Sequence[Word], decoded: DecodingResult
) -> DecodingResult:
    end_s, by_s = begin_s + part.duration_s, part.start_s - begin_s
    own = tuple(
        replace(
            word,
            start_s=max(word.start_s, begin_s) + by_s,
            end_s=min(word.end_s, end_s) + by_s,
        )
        for word in words
        if begin_s <= (word.start_s + word.end_s) / 2 <= end_s
    )
    if not own:
        return replace(decoded, segments=(), last_s=part.start_s)
    text = join_words(own, decoded.language)
    segment = Segment(own[0].start_s, own[-1].end_s, text, own, decoded.language)
    return replace(decoded, segments=(segment,), last_s=own[-1].end_s)
