"""The pace of an item's speech: the seconds of sound that a word of some length takes.

A word that takes much longer than the item's own pace lies over lost words: a recognizer that
drops a word lets the next one begin where the lost one began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kb.asr.stitching import normalize_word
from kb.types import Word
from kb.types.words import UNSPACED

LEAST_WORDS = 5  # fewer words give no line
SLOPE_WORDS = 20  # fewer words give the base of the line only
SLOPES = {False: 0.055, True: 0.2}  # seconds a letter, where there are fewer
MOST_WORDS = 200  # the line follows the last words of the item
LEAST_PROBABILITY = 0.5  # words that are likely wrong say nothing about the pace


@dataclass(frozen=True, slots=True)
class Line:
    """Expected seconds of a word: `base_s + letter_s * letters`."""

    base_s: float
    letter_s: float

    def expected_s(self, letters: int) -> float:
        """Return the expected seconds of a word with so many letters."""
        return self.base_s + self.letter_s * letters


# For items with few words: slow read speech, so that only long losses are found there.
DEFAULT = {False: Line(0.25, 0.07), True: Line(0.15, 0.25)}


@dataclass(frozen=True, slots=True)
class Pace:
    """The lines of an item, for scripts with spaces and for scripts without them."""

    spaced: Line = DEFAULT[False]
    unspaced: Line = DEFAULT[True]

    def excess_s(self, word: Word) -> float:
        """Return the seconds that a word is longer than expected (negative: shorter)."""
        line = self.unspaced if UNSPACED.search(word.text) else self.spaced
        return word.end_s - word.start_s - line.expected_s(letters(word))

    def expected_s(self, words: Iterable[Word]) -> float:
        """Return the expected seconds of several words."""
        return sum(word.end_s - word.start_s - self.excess_s(word) for word in words)


def letters(word: Word) -> int:
    """Return the number of letters and digits of a word (characters, where it has no spaces)."""
    return len(normalize_word(word.text))


class PaceEstimate:
    """The pace of an item, from the words read so far."""

    def __init__(self) -> None:
        self._words: dict[bool, deque[tuple[int, float]]] = {
            unspaced: deque(maxlen=MOST_WORDS) for unspaced in (False, True)
        }

    def add(self, words: Iterable[Word]) -> Pace:
        """Add a window's words and return the pace of the item so far."""
        for word in words:
            if word.probability >= LEAST_PROBABILITY and letters(word):
                found = self._words[bool(UNSPACED.search(word.text))]
                found.append((letters(word), word.end_s - word.start_s))
        return Pace(
            *(fit(rows, SLOPES[kind]) or DEFAULT[kind] for kind, rows in self._words.items())
        )


def fit(
    rows: Sequence[tuple[int, float]] | deque[tuple[int, float]], usual_slope: float = 0.0
) -> Line | None:
    """Return the line through (letters, seconds), None for fewer than `LEAST_WORDS`.

    The median of the slopes of all pairs (Theil 1950; Sen 1968), which up to 29 % of wrong words
    do not move; the base is the median of what the slope leaves. Fewer than `SLOPE_WORDS` words
    have the usual slope.
    """
    if len(rows) < LEAST_WORDS:
        return None
    count, seconds = (np.array(column, float) for column in zip(*rows, strict=True))
    one, other = np.triu_indices(count.size, 1)
    differ = count[one] != count[other]
    slope = usual_slope
    if differ.any() and count.size >= SLOPE_WORDS:
        one, other = one[differ], other[differ]
        slopes = (seconds[one] - seconds[other]) / (count[one] - count[other])
        slope = max(0.0, float(np.median(slopes)))
    return Line(float(np.median(seconds - slope * count)), slope)
