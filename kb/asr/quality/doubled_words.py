"""Words that a decoder writes twice, and words of an instant, without a sound of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from kb.asr.coverage import clip_spans
from kb.asr.quality.pace import Pace, letters
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.asr.quality.word_checks import (
    LEAST_LETTERS,
    LIKELY,
    TOUCHING_S,
    equal_words,
    is_instant,
)
from kb.asr.quality.word_edits import texts
from kb.types import Word

Change = tuple[int, int, tuple[Word, ...]]
"""The first and the last index (not included) of words, and those in their place."""

PIECE_SHARE = 1 / 3  # of the time that a word needs: a shorter one is a piece of its neighbour
BOTH_SHARE = 1.6  # both together have the sound of one
ONE_SHARE = 1.25  # of the time that a word needs: two were not spoken in it
LEAST_ROW = 3  # of two words in a row, less sound is one word
NEAR_S = 0.3  # a piece so far from its neighbour may be one of its own


def doubled(words: Sequence[Word], pace: Pace, stutter_s: float) -> list[Change]:
    """Return the changes that remove the words of an instant, and the pieces of a word.

    A piece equals a neighbour that it touches, and both together have the sound of one: the
    neighbour takes its time.
    """
    said = texts(words)
    found: list[Change] = []
    for place, word in enumerate(words):
        if letters(word) < LEAST_LETTERS or (found and found[-1][1] > place):
            continue
        length_s, needed_s = word.end_s - word.start_s, pace.expected_s([word])
        near = [n for n in (place - 1, place + 1) if 0 <= n < len(words) and said[n] == said[place]]
        if near and length_s <= stutter_s + 1e-6:
            found.append((place, place + 1, ()))
            continue
        for other in near:
            first, end = min(place, other), max(place, other) + 1
            gap_s = words[end - 1].start_s - words[first].end_s
            both_s = words[end - 1].end_s - words[first].start_s
            piece = length_s <= PIECE_SHARE * needed_s and both_s <= BOTH_SHARE * needed_s
            if piece and gap_s < TOUCHING_S and not (found and found[-1][1] > first):
                whole = replace(
                    words[other], start_s=words[first].start_s, end_s=words[end - 1].end_s
                )
                found.append((first, end, (whole,)))
                break
    return found


def misheard_twice(context: WindowContext) -> list[Change]:
    """Return the changes that make one word of two equal ones that were spoken once.

    A decoder that does not know the words of a sound writes one of them twice. They touch, and have
    the sound of one; or one of them is unlikely, and they have little more, or it is a piece. One
    that is unlikely, or a piece, without the sound of speech is the other's as well. Of more equal
    words with one unlikely, one is left out where they have no sound for all of them.
    """
    words, pace = context.words, context.pace
    said = texts(words)
    found: list[Change] = []
    for place in range(1, len(words)):
        one, other = words[place - 1 : place + 1]
        if said[place] != said[place - 1] or letters(one) < LEAST_LETTERS:
            continue
        if found and found[-1][1] >= place:
            continue
        unlikely = min(one.probability, other.probability) < LIKELY
        gap_s, needed_s = other.start_s - one.end_s, pace.expected_s([one])
        shorter, longer = sorted((one, other), key=lambda word: word.end_s - word.start_s)
        most_s = (BOTH_SHARE if unlikely else ONE_SHARE) * needed_s
        piece = shorter.end_s - shorter.start_s <= PIECE_SHARE * needed_s
        if gap_s < TOUCHING_S and other.end_s - one.start_s <= most_s:
            kept = replace(longer, start_s=one.start_s, end_s=other.end_s)
        elif unlikely and piece and gap_s <= NEAR_S:
            kept = longer
        elif gap_s < TOUCHING_S and piece and not _is_spoken(shorter, context):
            kept = replace(longer, start_s=one.start_s, end_s=other.end_s)
        elif gap_s < TOUCHING_S and unlikely and not _is_spoken(_less_likely(one, other), context):
            kept = one if _less_likely(one, other) is other else other
        else:
            continue
        found.append((place - 1, place + 1, (kept,)))
    taken = {n for first, end, _ in found for n in range(first, end)}
    return sorted([*found, *(c for c in _too_many(context) if taken.isdisjoint(range(*c[:2])))])


def _less_likely(one: Word, other: Word) -> Word:
    return min(one, other, key=lambda word: word.probability)


def _is_spoken(word: Word, context: WindowContext) -> bool:
    """Return whether the sound of a word is speech, or nothing is known about it."""
    return context.spoken_sound.score <= 0 or context.is_evident(word)


def _too_many(context: WindowContext) -> Iterator[Change]:
    """Yield the changes that make one word of two, in rows of three equal words or more.

    The words touch and one of them is unlikely; they are one more than they have sound for.
    """
    words = context.words
    for row in equal_words(words):
        own = [words[n] for n in row]
        touch = all(b.start_s - a.end_s < TOUCHING_S for a, b in pairwise(own))
        unlikely = min(word.probability for word in own) < LIKELY
        if len(own) < LEAST_ROW or letters(own[0]) < LEAST_LETTERS or not (touch and unlikely):
            continue
        sound_s = sum(word.end_s - word.start_s for word in own)
        if sound_s < (len(own) - 0.5) * context.pace.expected_s(own[:1]):
            first = min(row[:-1], key=lambda n: words[n + 1].end_s - words[n].start_s)
            whole = replace(words[first], end_s=words[first + 1].end_s)
            yield first, first + 2, (whole,)


def with_room(context: WindowContext, limits: Thresholds) -> list[Change]:
    """Return the changes that give words of an instant the sound around them, or remove them.

    The sound is that without a word before and behind it, or what a neighbour that touches it has
    too much of. Half of the time that the word needs is enough.
    """
    words, found = context.words, list[Change]()
    for place, word in enumerate(words):
        if not is_instant(word, limits) or (found and found[-1][1] > place):
            continue
        before = words[place - 1] if place else None
        after = words[place + 1] if place + 1 < len(words) else None
        from_s = before.end_s if before else context.start_s
        to_s = after.start_s if after else context.end_s
        needed_s = context.pace.expected_s([word])
        free = clip_spans(context.speech, min(from_s, word.start_s), max(to_s, word.end_s))
        own = max(free, key=lambda span: span.duration_s, default=None)
        if own and own.duration_s >= needed_s / 2:
            end_s = min(own.end_s, own.start_s + 2 * needed_s)
            found.append((place, place + 1, (replace(word, start_s=own.start_s, end_s=end_s),)))
        elif before and (cut_s := _spare_s(before, word, context.pace)) >= needed_s / 2:
            cut_s = before.end_s - min(cut_s, needed_s)
            if not (found and found[-1][1] > place - 1):
                pair = replace(before, end_s=cut_s), replace(word, start_s=cut_s)
                found.append((place - 1, place + 1, pair))
        elif after and (cut_s := _spare_s(after, word, context.pace)) >= needed_s / 2:
            cut_s = after.start_s + min(cut_s, needed_s)
            found.append(
                (place, place + 2, (replace(word, end_s=cut_s), replace(after, start_s=cut_s)))
            )
        else:
            found.append((place, place + 1, ()))
    return found


def _spare_s(neighbour: Word, word: Word, pace: Pace) -> float:
    """Return the seconds that a neighbour has too many, 0 for one that does not touch the word."""
    first, second = sorted((neighbour, word), key=lambda each: each.start_s)
    return pace.excess_s(neighbour) if second.start_s - first.end_s < TOUCHING_S else 0.0
