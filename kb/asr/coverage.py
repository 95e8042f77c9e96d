"""Coverage: the share of the detected speech that has words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from kb.types import Coverage, SpeechSpan, Word
from kb.types.quality import LONGEST_UNCOVERED_S, REACH_S

# After a loss a recognizer stretches the next word back over the lost speech; the word's true
# place is at its end. A word longer than any spoken one must not hide the loss.
LONGEST_WORD_S = 2.0
INSIDE_SHARE = 0.8  # of the limit, for speech between two words: both reach into it
LEAST_SPEECH_S = 5.0  # less of it may be a noise, which has no words
PAUSE_S = 1.0  # speech on both sides of a longer pause is two spans
CLOSURE_S = 0.15  # a shorter silence is inside of speech: the closure of a plosive


def coverage(
    speech: Sequence[SpeechSpan],
    words: Iterable[Word],
    repaired: int = 0,
    answered: Sequence[SpeechSpan] = (),
) -> Coverage:
    """Return the coverage of one item: detected speech compared with words.

    Gaps are the result of `gaps`, without the spans in `answered`: second readings found there
    that no word is missing.
    """
    found = without(gaps(speech, words), answered)
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
    """Return the gaps: more than `longest_s` of detected speech and no word within `REACH_S`.

    Between two words without a pause, `INSIDE_SHARE` of the limit counts. Short pauses do not
    end a gap: the single words of a lost phrase may each be shorter than the
    limit. The result holds the pieces of speech, without the pauses.
    """
    found: list[SpeechSpan] = []
    stretch: list[SpeechSpan] = []
    begins = ends = False

    def close() -> None:
        inside = (
            begins
            and ends
            and all(
                after.start_s - before.end_s <= CLOSURE_S for before, after in pairwise(stretch)
            )
        )
        limit_s = longest_s * INSIDE_SHARE if inside else longest_s
        if sum(piece.duration_s for piece in stretch) > limit_s + 1e-6:  # rounding
            found.extend(stretch)
        stretch.clear()

    hole = -1
    for piece, number, behind, before in _uncovered_pieces(speech, words):
        if number != hole or piece.start_s - stretch[-1].end_s > PAUSE_S:
            close()
            begins = behind
        hole, ends = number, before
        stretch.append(piece)
    close()
    return found


def _uncovered_pieces(
    speech: Sequence[SpeechSpan], words: Iterable[Word]
) -> Iterator[tuple[SpeechSpan, int, bool, bool]]:
    """Yield speech without words: pieces, the word spans before each, and the sides with a word."""
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
                yield SpeechSpan(at, begin), index, at > span.start_s, True
            at = max(at, end)
            index += 1
        if span.end_s > at:
            yield SpeechSpan(at, span.end_s), index, at > span.start_s, False


def clip_spans(spans: Iterable[SpeechSpan], from_s: float, to_s: float) -> tuple[SpeechSpan, ...]:
    """Return the parts of the spans between two times."""
    return tuple(
        SpeechSpan(max(span.start_s, from_s), min(span.end_s, to_s))
        for span in spans
        if min(span.end_s, to_s) > max(span.start_s, from_s)
    )


def without(spans: Sequence[SpeechSpan], other: Sequence[SpeechSpan]) -> list[SpeechSpan]:
    """Return the parts of the spans that are in none of the others."""
    kept = list(spans)
    for cut in other:
        kept = [
            piece
            for span in kept
            for piece in (
                SpeechSpan(span.start_s, min(span.end_s, cut.start_s)),
                SpeechSpan(max(span.start_s, cut.end_s), span.end_s),
            )
            if piece.duration_s > 0
        ]
    return kept


def union(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the intervals in order, with those that touch or overlap joined."""
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def without_words(found: Coverage, model: str) -> str:
    """Return the warning of a transcript without words: no speech, or a model that wrote none."""
    if found.speech_s < LEAST_SPEECH_S:
        return "No speech was found in this medium."
    return f"The model {model} wrote no word for {found.speech_s:.0f} s of detected speech."
