"""Edits of a decoded text word by word: words of two texts compared, kept or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kb.asr.engines.base import DecodingResult
from kb.asr.stitching import normalize_word, segment_with
from kb.types import Word

SAME_S = 0.25  # two readings of a word begin and end at the same times


def texts(words: Sequence[Word]) -> list[str]:
    """Return the words without case and punctuation."""
    return [normalize_word(word.text) for word in words]


def same_times(one: Word, other: Word) -> bool:
    """Return whether two words begin and end at the same times, within `SAME_S`."""
    return abs(one.start_s - other.start_s) <= SAME_S and abs(one.end_s - other.end_s) <= SAME_S


def common_words(one: DecodingResult, other: DecodingResult) -> DecodingResult:
    """Return the first text with the words that the second has at the same times."""
    others = [word for segment in other.segments for word in segment.words]
    kept = [
        segment_with(
            segment,
            tuple(
                a
                for a in segment.words
                if any(texts([a]) == texts([b]) and same_times(a, b) for b in others)
            ),
        )
        for segment in one.segments
    ]
    return replace(one, segments=tuple(segment for segment in kept if segment))


def replace_words(
    decoded: DecodingResult, changes: Sequence[tuple[int, int, Sequence[Word]]]
) -> DecodingResult:
    """Return the text with other words in place of some.

    `changes`: the first and the last index (not included) among all words, and the new words. The
    new words join the segment of those that they replace, or of the nearest word.
    """
    words = [word for segment in decoded.segments for word in segment.words]
    homes = [index for index, s in enumerate(decoded.segments) for _ in s.words]
    for first, end, new in sorted(changes, key=lambda change: -change[0]):
        if first < end:
            home = homes[first]
        elif not words:
            continue
        else:
            before, after = max(0, first - 1), min(first, len(words) - 1)
            near = new[0].start_s - words[before].end_s <= words[after].start_s - new[-1].end_s
            home = homes[before if near else after]
        words[first:end] = new
        homes[first:end] = [home] * len(new)
    kept = [
        segment_with(
            segment, tuple(word for word, home in zip(words, homes, strict=True) if home == index)
        )
        for index, segment in enumerate(decoded.segments)
    ]
    return replace(decoded, segments=tuple(segment for segment in kept if segment))
