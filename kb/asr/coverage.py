"""Coverage: the share of the detected speech that has words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from kb.types import Coverage, SpeechSpan, Word

LONGEST_UNCOVERED_S = 0.8  # a shorter span without a word is breath, not lost speech
# After a loss a recognizer stretches the next word back over the lost speech; the word's true
# place is at its end. A word longer than any spoken one must not hide the loss.
LONGEST_WORD_S = 2.0
REACH_S = 0.3  # a word covers speech this close to it
PAUSE_S = 1.0  # speech on both sides of a longer pause is two spans


def coverage(speech: Sequence[SpeechSpan], words: Iterable[Word], repaired: int = 0) -> Coverage:
    """Return the coverage of one item: detected speech compared with words.

    Gaps are the result of `gaps`: more than 0.8 s of detected speech with no word within 0.3 s.
    """
    found = gaps(speech, words)
    total = sum(span.duration_s for span in speech)
    missing = sum(gap.duration_s for gap in found)
    rounded = tuple(SpeechSpan(round(g.start_s, 3), round(g.end_s, 3)) for g in found)
    return Coverage(round(total, 3), round(total - missing, 3), rounded, repaired)


def add_lost(found: Coverage, lost: Iterable[SpeechSpan]) -> Coverage:
    """Return the coverage with sound that the medium itself lost; see `Coverage.lost`."""
    spans = tuple(SpeechSpan(round(s.start_s, 3), round(s.end_s, 3)) for s in lost)
    ordered = sorted((*found.gaps, *spans), key=lambda gap: gap.start_s)
    speech_s = round(found.speech_s + sum(span.duration_s for span in spans), 3)
    return replace(found, speech_s=speech_s, gaps=tuple(ordered), lost=(*found.lost, *spans))


def gaps(
    speech: Sequence[SpeechSpan], words: Iterable[Word], longest_s: float = LONGEST_UNCOVERED_S
) -> list[SpeechSpan]:
    """Return the gaps: more than `longest_s` of detected speech and no word within 0.3 s.

    Short pauses do not end a gap: the single words of a lost phrase may each be shorter than the
    limit. The result holds the pieces of speech, without the pauses.
    """
    found: list[SpeechSpan] = []
    stretch: list[SpeechSpan] = []

    def close() -> None:
        if sum(piece.duration_s for piece in stretch) > longest_s:
            found.extend(stretch)
        stretch.clear()

    hole = -1
    for piece, number in _uncovered_pieces(speech, words):
        if number != hole or piece.start_s - stretch[-1].end_s > PAUSE_S:
            close()
        hole = number
        stretch.append(piece)
    close()
    return found


def _uncovered_pieces(
    speech: Sequence[SpeechSpan], words: Iterable[Word]
) -> Iterator[tuple[SpeechSpan, int]]:
    """Yield speech without words, each piece with the number of word spans before it."""
    covered = union(
        (max(w.start_s, w.end_s - LONGEST_WORD_S) - REACH_S, w.end_s + REACH_S) for w in words
    )
    place = 0
    for span in speech:
        while place < len(covered) and covered[place][1] <= span.start_s:
            place += 1
        at, index = span.start_s, place
        while index < len(covered) and covered[index][0] < span.end_s:
            begin, end = covered[index]
            if begin > at:
                yield SpeechSpan(at, begin), index
            at = max(at, end)
            index += 1
        if span.end_s > at:
            yield SpeechSpan(at, span.end_s), index


def clip_spans(spans: Iterable[SpeechSpan], from_s: float, to_s: float) -> tuple[SpeechSpan, ...]:
    """Return the parts of the spans between two times."""
    return tuple(
        SpeechSpan(max(span.start_s, from_s), min(span.end_s, to_s))
        for span in spans
        if min(span.end_s, to_s) > max(span.start_s, from_s)
    )


def union(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the intervals in order, with those that touch or overlap joined."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
