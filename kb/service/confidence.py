"""The recognizer's confidence in single words, as a page tints them."""

from __future__ import annotations

from dataclasses import dataclass

from kb.transcript.chunks import pieces
from kb.types import Segment, Transcript

UNSURE = 0.7  # probability below which a word is tinted
VERY_UNSURE = 0.4


@dataclass(frozen=True, slots=True)
class TextWord:
    """A word of a segment's text: its characters from `first` to before `end`, and its times."""

    first: int
    end: int
    start_s: float
    end_s: float
    probability: float


def text_words(segment: Segment) -> tuple[TextWord, ...]:
    """Return the words of a segment with their places in its text on one line.

    Empty if text and words differ in number, as after an import without times of words.
    """
    words = [word for word in segment.words if word.text.strip()]
    parts = pieces(segment)
    if len(parts) != len(words):
        return ()
    found = []
    at = 0
    for part, word in zip(parts, words, strict=True):
        if at and not part.glued:
            at += 1
        end = at + len(part.text)
        found.append(TextWord(at, end, part.start_s, part.end_s, word.probability))
        at = end
    return tuple(found)


def unsure_words(segment: Segment) -> tuple[TextWord, ...]:
    """Return the words of a segment whose probability is below `UNSURE`."""
    if all(word.probability >= UNSURE for word in segment.words):
        return ()
    return tuple(word for word in text_words(segment) if word.probability < UNSURE)


def mean_confidence(transcript: Transcript) -> float | None:
    """Return the mean probability of all words, 0..1; None without words that have one."""
    found = [word.probability for word in transcript.words]
    return sum(found) / len(found) if found else None
