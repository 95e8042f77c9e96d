"""Alignment of recognized words with spoken words by text and time.

A plain alignment of texts may pair a doubled word with one that was lost elsewhere, so that
neither is counted. Here a pair costs more the farther apart its times are, and words too far apart
are never a pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kb.asr.stitching import normalize_word
from kb.types import Transcript, Word
from tests.support.speech import Truth

SAME_WORD_S = 2.0  # a word that covers a lost neighbour begins early, but not by more
OTHER_WORD_S = 1.0  # words of other text are the same spoken word only when they are this near
NEVER = 3.0  # more than a lost word (1) and an inserted one (1)
SHORTEST_SPOKEN_S = 0.06
LEAST_LETTERS = 4  # shorter words may be spoken in 60 ms
DOUBT_REACH_S = 0.1  # a span with a doubt reports a word that is this close to it


@dataclass(frozen=True)
class Alignment:
    """The pairs (spoken, recognized), and the words without a partner; all are indices."""

    pairs: tuple[tuple[int, int], ...]
    lost: tuple[int, ...]
    inserted: tuple[int, ...]


def align(truth: Truth, words: Sequence[Word]) -> Alignment:
    """Align the words by dynamic programming; equal texts at nearly equal times cost least.

    Row by row over the spoken words, each row as arrays: memory is one byte for each pair.
    """
    numbers: dict[str, int] = {}

    def code(text: str) -> int:
        return numbers.setdefault(normalize_word(text), len(numbers))

    said = [(code(text), (start_s + end_s) / 2) for text, start_s, end_s in truth]
    codes = np.array([code(word.text) for word in words], int)
    middles_s = np.array([(word.start_s + word.end_s) / 2 for word in words])
    columns = np.arange(len(words) + 1, dtype=float)
    steps = np.full((len(said) + 1, len(words) + 1), _LOST, np.int8)
    steps[0, 1:] = _INSERTED
    above = columns.copy()
    for row, (number, middle_s) in enumerate(said, 1):
        apart_s = np.abs(middles_s - middle_s)
        same = np.where(apart_s < SAME_WORD_S, 0.05 * apart_s, NEVER)
        other = np.where(apart_s < OTHER_WORD_S, 1.0 + 0.3 * apart_s, NEVER)
        paired = above[:-1] + np.where(codes == number, same, other)
        lost = above[1:] + 1.0
        best = np.concatenate([[float(row)], np.minimum(paired, lost)])
        # Insertions run along the row: the running minimum of (cost - column).
        cost = np.minimum.accumulate(best - columns) + columns
        steps[row, 1:] = np.where(
            cost[1:] < best[1:] - 1e-9, _INSERTED, np.where(paired <= lost, _PAIRED, _LOST)
        )
        above = cost
    return _trace(steps)


_PAIRED, _LOST, _INSERTED = range(3)


def _trace(steps: np.ndarray) -> Alignment:
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    pairs: list[tuple[int, int]] = []
    lost: list[int] = []
    inserted: list[int] = []
    while i or j:
        step = steps[i, j]
        if step == _PAIRED:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif step == _LOST:
            i -= 1
            lost.append(i)
        else:
            j -= 1
            inserted.append(j)
    return Alignment(tuple(pairs[::-1]), tuple(lost[::-1]), tuple(inserted[::-1]))


def reported(found: Transcript, start_s: float, end_s: float) -> bool:
    """Return True if a gap or a flag of the transcript is at the given time."""
    return any(
        span.start_s - DOUBT_REACH_S < end_s and start_s < span.end_s + DOUBT_REACH_S
        for span in found.doubtful_spans
    )


def invented(truth: Truth, words: Sequence[Word], found: Alignment) -> list[int]:
    """Return the inserted words that were not spoken.

    Those are the words that lie for more than half of their time where no word was spoken, and
    those that repeat a neighbour that was spoken once less. (An insertion over a spoken word is
    a word that was read as two.)
    """
    spoken = [(start_s, end_s) for _, start_s, end_s in truth]
    texts = [normalize_word(word.text) for word in words]
    return [
        index
        for index in found.inserted
        if texts[index] in (*texts[max(0, index - 1) : index], *texts[index + 1 : index + 2])
        or not _mostly_inside(words[index], spoken)
    ]


def _mostly_inside(word: Word, spoken: Sequence[tuple[float, float]]) -> bool:
    # A word without length has the place of 20 ms around it.
    start_s, end_s = word.start_s, word.end_s
    if end_s - start_s < 0.02:
        start_s, end_s = start_s - 0.01, end_s + 0.01
    inside_s = sum(max(0.0, min(end_s, b) - max(start_s, a)) for a, b in spoken)
    return inside_s >= (end_s - start_s) / 2


def too_short(words: Sequence[Word]) -> list[int]:
    """Return the words of at least four letters that last at most 60 ms."""
    return [
        index
        for index, word in enumerate(words)
        if word.end_s - word.start_s <= SHORTEST_SPOKEN_S + 1e-6
        and len(normalize_word(word.text)) >= LEAST_LETTERS
    ]
