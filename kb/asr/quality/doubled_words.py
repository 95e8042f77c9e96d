"""Words that a decoder writes twice, and words of an instant, without a sound of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from kb.asr.coverage import clip_spans
from kb.asr.quality.pace import Pace, letters
from kb.asr.quality.window_context import Thresholds, WindowContext, is_misheard
from kb.asr.quality.word_checks import (
    LEAST_LETTERS,
    LIKELY,
    PIECE_SHARE,
    TOUCHING_S,
    UNSURE,
    equal_words,
    is_instant,
)
from kb.asr.quality.word_edits import texts
from kb.types import Word

Change = tuple[int, int, tuple[Word, ...]]
"""The first and the last index (not included) of words, and those in their place."""

BOTH_SHARE = 1.65  # both together have the sound of one
NOISE_SHARE = 2.1  # the same in a window that is misheard, where one of both is unlikely
ONE_SHARE = 1.25  # of the time that a word needs: two were not spoken in it
ROW_SHARE = 1.36  # the same for words in a row of three or more, which tell their own time
PARTED_SHARE = 1.1  # the same with a gap between both, as of the closure inside a word
SQUEEZED_SHARE = 1.3  # of the time that a word needs: it and a doubled neighbour have its sound
MOST_OWN_SHARE = 1.15  # the other words of a row may each lie over a lost one
LEAST_ROW = 3  # of two words in a row, less sound is one word
NEAR_S = 0.3  # a piece so far from its neighbour may be one of its own
CLOSE_S = 0.1  # two words of which neither is likely, with a wrong border between them
PARTED_S = 0.15
LEFT_SHARE = 0.5  # of the time of a word of an instant: so much sound is left where it is missing


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
    the sound of one; or one of them is unlikely, or neither is likely, and they have little more,
    or it is a piece. One that is unlikely, or a piece, without the sound of speech is the other's
    as well. Of more equal words with one unlikely, one is left out where they have no sound for all
    of them; and the last of equal words is left out that lies over its neighbour.

    Measured in 5,116 words of talk, 3,054 of them with repeats, by which the figures were chosen:
    of 1,027 pairs of equal words, 17 have so little time, and one word was spoken in 16 of them.
    In a window that is misheard, two that touch are one if one of them is unlikely: in 10,150
    words of talk in noise without repeats, 5 of 10 doubled words are such, and no other pair.
    """
    words, pace = context.words, context.pace
    said, own_s = texts(words), _own_seconds(context)
    misheard = is_misheard(words)
    found: list[Change] = []
    for place in range(1, len(words)):
        one, other = words[place - 1 : place + 1]
        if said[place] != said[place - 1] or letters(one) < LEAST_LETTERS:
            continue
        if found and found[-1][1] >= place:
            continue
        unlikely = min(one.probability, other.probability) < LIKELY
        unsure = unlikely or misheard or max(one.probability, other.probability) < UNSURE
        gap_s, needed_s = other.start_s - one.end_s, pace.expected_s([one])
        shorter, longer = sorted((one, other), key=lambda word: word.end_s - word.start_s)
        piece = shorter.end_s - shorter.start_s <= PIECE_SHARE * needed_s
        most_s = _most_of_one_s(gap_s, needed_s, own_s[place], unsure)
        if misheard and unlikely and gap_s < CLOSE_S:
            most_s = max(most_s, NOISE_SHARE * needed_s)
        if other.end_s - one.start_s <= most_s:
            kept = replace(longer, start_s=one.start_s, end_s=other.end_s)
        elif (
            piece
            and gap_s <= NEAR_S
            and (unlikely or _is_part_of_another(place - (shorter is one), context))
        ):
            kept = longer
        elif gap_s < TOUCHING_S and piece and not _is_spoken(shorter, context):
            kept = replace(longer, start_s=one.start_s, end_s=other.end_s)
        elif gap_s < TOUCHING_S and unlikely and not _is_spoken(_less_likely(one, other), context):
            kept = one if _less_likely(one, other) is other else other
        else:
            continue
        found.append((place - 1, place + 1, (kept,)))
    for change in (*_too_many(context), *_squeezed(context)):
        taken = {n for first, end, _ in found for n in range(first, end)}
        if taken.isdisjoint(range(*change[:2])):
            found.append(change)
    return sorted(found)


def _own_seconds(context: WindowContext) -> dict[int, float]:
    """Return the time that words of rows of three or more need, by the others of their row.

    The place is that of the second word of a pair, whose own time and that of the first say
    nothing. Two words at least must tell it; it is between the expected time and a little more.
    """
    words, found = context.words, dict.fromkeys(range(len(context.words)), 0.0)
    for row in equal_words(words):
        needed_s = context.pace.expected_s([words[row[0]]])
        for place in row[1:] if len(row) >= LEAST_ROW else ():
            others = [words[n].end_s - words[n].start_s for n in row if n not in (place - 1, place)]
            told_s = median(others) if len(others) > 1 else 0.0
            found[place] = max(needed_s, min(told_s, MOST_OWN_SHARE * needed_s))
    return found


def _most_of_one_s(gap_s: float, needed_s: float, own_s: float, unsure: bool) -> float:
    """Return the most seconds of two equal words that were spoken once.

    `own_s`: what a word of their row needs, 0 for two alone; `unsure`: they may be misheard.
    """
    if gap_s > PARTED_S:
        return 0.0
    most = [PARTED_SHARE * needed_s]
    if gap_s < TOUCHING_S:
        most += [ONE_SHARE * needed_s, ROW_SHARE * own_s]
    if unsure and gap_s < CLOSE_S:
        most.append(BOTH_SHARE * needed_s)
    return max(most)


def _squeezed(context: WindowContext) -> Iterator[Change]:
    """Yield the changes that give a squeezed word the sound of a doubled word beside it.

    The word has a piece of the time that it needs; with the one that it touches, which equals the
    next neighbour, it has the sound of one word.
    """
    words, said = context.words, texts(context.words)
    for place, word in enumerate(words):
        needed_s = context.pace.expected_s([word])
        if letters(word) < LEAST_LETTERS or word.end_s - word.start_s > PIECE_SHARE * needed_s:
            continue
        for step in (-1, 1):
            near, beyond = place + step, place + 2 * step
            if min(near, beyond) < 0 or max(near, beyond) >= len(words):
                continue
            first, last = sorted((place, near))
            touches = words[last].start_s - words[first].end_s < TOUCHING_S
            both_s = words[last].end_s - words[first].start_s
            doubles = said[near] == said[beyond] != said[place]
            if doubles and touches and both_s <= SQUEEZED_SHARE * needed_s:
                whole = replace(word, start_s=words[first].start_s, end_s=words[last].end_s)
                yield first, last + 1, (whole,)
                break


def _is_part_of_another(place: int, context: WindowContext) -> bool:
    """Return whether a piece that is not likely may be the end of the word before it.

    It touches that word, which is not its equal and lasts longer than its letters.
    """
    piece, before = context.words[place], context.words[place - 1 : place]
    return (
        piece.probability < UNSURE
        and bool(before)
        and texts(before) != texts([piece])
        and piece.start_s - before[0].end_s < TOUCHING_S
        and context.pace.excess_s(before[0]) > 0
    )


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


def leaves_room(
    old: Sequence[Word], found: Sequence[Word], context: WindowContext, stutter_s: float
) -> bool:
    """Return whether readings without a word of an instant leave the sound that it needs.

    Then it was spoken, and they lose it under its neighbours as well. One that equals another word
    of the place is a doubled one.
    """
    said = texts(old)
    lost = [
        word
        for place, word in enumerate(old)
        if word.end_s - word.start_s <= stutter_s + 1e-6
        and said[place] not in (*texts(found), *said[:place], *said[place + 1 :])
    ]
    if not lost:
        return False
    both = (*old, *found)
    start_s, end_s = min(w.start_s for w in both), max(w.end_s for w in both)
    sound_s = sum(span.duration_s for span in clip_spans(context.speech, start_s, end_s))
    left_s = sound_s - context.pace.expected_s(found)
    return left_s >= LEFT_SHARE * context.pace.expected_s(lost)


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
