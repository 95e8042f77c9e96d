"""Checks of single words: lost under a neighbour, doubled, or invented at the end of a stretch.

They are checks as those of `kb.asr.quality.checks`; lost words without a neighbour over them are
found there by `uncovered`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile

import numpy as np

from kb.asr.audio.speech_evidence import BESIDE_SHARE, LEAST_SOUND_S
from kb.asr.quality.pace import letters
from kb.asr.quality.window_context import (
    CLEAR_PROBABILITY,
    Thresholds,
    WindowContext,
    inside_s,
    is_misheard,
    make_flag,
)
from kb.asr.stitching import normalize_word
from kb.types import QualityFlag, SpeechSpan, Word
from kb.types.words import UNSPACED

TOUCHING_S = 0.05  # words this near share a border that may be in the wrong place
EQUAL_SHARE = 0.8  # of the limit of a stretched word, for words beside equal ones
UNCLEAR_SHARE = 0.6  # of that limit, for a word that is not quite likely
PAIR_SHARE = 1.25  # of it, for two words that touch and are both longer than expected
LEAST_EXCESS_S = 0.05  # of each of them
LAST_SHARE = 0.6  # of its time: the last of equal words has less sound where a pause follows
NEAR_S = 0.2  # a word that stands alone so near another one is hardly an invented one
ENDING_PAUSE_S = 0.3  # a longer pause ends a stretch
FIRST_MARGIN = 0.15  # detection is late: first words of a stretch have less
INNER_MARGIN = 0.05  # inside of a stretch
CLEAR_MARGIN = 0.12  # a likely word whose sound is detected
LEAST_INVENTED_S = 0.25  # the sound of a shorter word says too little against a likely word
LIKELY = 0.5  # a short word with a higher probability is not in doubt by its score
UNSURE = 0.85  # not likely: of a word alone without clear detection, or of two equal ones
MOST_ENDING = 8  # most words of an edge that are looked at
MOST_SHORT = 2  # short words before a weak one: more of them are talk
LONGEST_CHAIN_S = 2.0  # of words in doubt by their neighbours; too long a place is not read again
UNLIKELY_SHARE = 0.25  # the least likely words of a window are not sure
LEAST_SURE_S = 0.2  # a shorter one has no sound to compare with
LEAST_LETTERS = 4  # shorter words may be spoken in 60 ms
PIECE_SHARE = 1 / 3  # of the time that a word needs: a shorter one is a piece of its neighbour


def stretched(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`stretched`: a word that lasts much longer than its letters. Value: the seconds beyond.

    The next word lies over a lost one. The pace is fitted to the item's own words
    (`kb.asr.quality.pace`, ours). Of words that are said several times in a row, each is compared
    with the shortest of them as well, and less than the limit counts.

    A word that lies over a lost one has the sound of both, and is seldom quite likely: less than
    the limit counts for such words, where most words of the window are likely. Of two that touch,
    both may have a part of the lost word. Measured in 18,000 words of talk: of 29 words with a lost
    one below them, the limit alone finds 19, with 13 others; these rules find 26, with 54 others.
    """
    words = context.words
    sound_s = [_sound_s(word, context.speech) for word in words]
    expected_s = [context.pace.expected_s([word]) for word in words]
    heard = not is_misheard(words)
    unclear = [heard and word.probability < CLEAR_PROBABILITY for word in words]
    limit_s = [limits.stretched_s * (UNCLEAR_SHARE if each else 1.0) for each in unclear]
    for row in equal_words(words):
        spoken_s = [sound_s[n] for n in row if sound_s[n] >= expected_s[n] / 2]
        for n in row:
            limit_s[n] = min(limit_s[n], limits.stretched_s * EQUAL_SHARE)
            expected_s[n] = min([expected_s[n], *spoken_s])
    excess = [sound - expected for sound, expected in zip(sound_s, expected_s, strict=True)]
    found: list[QualityFlag] = []
    for place, word in enumerate(words):
        value, pair_s, pair = excess[place], 0.0, place
        # A border in the wrong place makes one word longer and its neighbour shorter.
        for near in (place - 1, place + 1):
            if 0 <= near < len(words) and _gap_s(word, words[near]) < TOUCHING_S:
                # Of two unlikely ones the neighbour may be another word, with a time of its own.
                if max(word.probability, words[near].probability) >= LIKELY:
                    value += min(0.0, excess[near])
                both_s = excess[place] + excess[near]
                if min(excess[place], excess[near]) >= LEAST_EXCESS_S and both_s > pair_s:
                    pair_s, pair = both_s, near
        if value > limit_s[place]:
            found.append(make_flag("stretched", word.start_s, word.end_s, value, limit_s[place]))
        elif unclear[place] and pair_s > PAIR_SHARE * limits.stretched_s:
            both = sorted((word, words[pair]), key=lambda each: each.start_s)
            limit = PAIR_SHARE * limits.stretched_s
            found.append(make_flag("stretched", both[0].start_s, both[1].end_s, pair_s, limit))
    return found


def _gap_s(one: Word, other: Word) -> float:
    """Return the seconds between two words; they may be negative."""
    first, second = sorted((one, other), key=lambda word: word.start_s)
    return second.start_s - first.end_s


def _touching(words: Sequence[Word]) -> Iterator[range]:
    """Yield the places of each row of words that touch."""
    first = 0
    for place in range(1, len(words) + 1):
        if place == len(words) or _gap_s(words[place - 1], words[place]) >= TOUCHING_S:
            yield range(first, place)
            first = place


def equal_words(words: Sequence[Word]) -> Iterator[range]:
    """Yield the places of each row of equal words."""
    first = 0
    for text, row in groupby(normalize_word(word.text) for word in words):
        end = first + len(list(row))
        if text and end - first > 1:
            yield range(first, end)
        first = end


def is_instant(word: Word, limits: Thresholds) -> bool:
    """Return whether a word of some letters is too short to be spoken."""
    short = word.end_s - word.start_s <= limits.stutter_s + 1e-6  # rounding
    return short and letters(word) >= LEAST_LETTERS


def stutter(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`stutter`: a word of four letters or more in at most 60 ms. Value: its seconds.

    Such a word is not spoken: a decoder doubles a word, often its neighbour, or finds no place
    for it (our rule). Equal words in a row are flagged as well where their sound is too short for
    the last of them, or that of the last one ends in a pause; the value is the seconds of sound.
    """
    found = [
        make_flag("stutter", word.start_s, word.end_s, word.end_s - word.start_s, limits.stutter_s)
        for word in context.words
        if is_instant(word, limits)
    ]
    for row in equal_words(context.words):
        own = [context.words[n] for n in row]
        sounds = [inside_s(word, context.speech) for word in own]
        needed_s = context.pace.expected_s(own[:1])
        for sound_s, limit_s in (
            (sum(sounds), (len(own) - 0.5) * needed_s),
            (sounds[-1], LAST_SHARE * needed_s),
        ):
            if sound_s < limit_s:
                found.append(make_flag("stutter", own[0].start_s, own[-1].end_s, sound_s, limit_s))
                break
    return found


def ending(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`ending`: words that may be invented, most often at the end of a stretch.

    A recognizer answers breath, laughter and other noises with words, most often behind speech.
    The sound of such words is hardly speech if it is detected by itself and backwards as well
    (`kb.asr.audio.speech_evidence`, ours). Only words at the edges of a stretch are looked at, and
    words anywhere of whose sound detection is not quite sure.

    Value: the seconds of words that are removed. It is 0 where words are only in doubt: their sound
    is speech but has no voice, or is a steady one, or it is a short one with pauses on both sides,
    or a short and steady one that is hardly speech (a hummed "mm" is one as well);
    or it is hardly detected, but stands alone between clear words, with a voice and movement, or
    with pauses on both sides and not likely.
    """
    found: list[QualityFlag] = []
    known = context.evidence is not None and context.spoken_sound.score > 0
    stretches = list(_stretches(context.words if known else ()))
    if context.evidence and stretches:
        context.evidence.prepare(_edges(stretches, context))
    for stretch in stretches:
        invented, uncertain = _invented(stretch, context)
        doubtful = _doubtful(stretch, invented, context, uncertain)
        signs = zip(stretch, invented, doubtful, strict=True)
        for (is_invented, is_doubtful), part in groupby(signs, lambda sign: sign[1:]):
            row = [word for word, *_ in part]
            start_s, end_s = row[0].start_s, row[-1].end_s
            if not (is_invented or is_doubtful) or not context.from_s <= end_s <= context.to_s:
                continue
            unlikely = row[0].probability < LIKELY
            long = len(row) > 1 or end_s - start_s >= LEAST_INVENTED_S
            removed = is_invented and (long or unlikely)
            steady = is_invented and context.is_one_sound(row[0])
            if removed or steady or is_doubtful or unlikely or len(stretch) == 1:
                value = end_s - start_s if removed else 0.0
                found.append(make_flag("ending", start_s, end_s, value, 0.0))
    return found


def _edges(stretches: Sequence[list[Word]], context: WindowContext) -> Iterator[list[Word]]:
    """Yield the words at the edges of stretches whose sounds are asked about, as groups."""
    for stretch in stretches:
        for order in (stretch, stretch[::-1]):
            yield _unclear(order[:MOST_ENDING], context) or order[:1]


def _unclear(words: Sequence[Word], context: WindowContext) -> list[Word]:
    """Return the unclear words at the beginning of some, in order of time."""
    return sorted(takewhile(context.is_unclear, words), key=lambda word: word.start_s)


def _doubtful(
    stretch: Sequence[Word],
    invented: Sequence[bool],
    context: WindowContext,
    uncertain: Sequence[int],
) -> list[bool]:
    """Return for each word at the edges of a stretch, or of what is spoken, whether it is weak.

    A short word says too little: it is in doubt where the one behind it, seen from the edge, is
    weak. The `uncertain` ones are in doubt as well, and unlikely ones at an edge that last too
    short for a word, or touch one in doubt.
    """
    spoken = [n for n in range(len(stretch)) if not invented[n]]
    found = [n in uncertain for n in range(len(stretch))]
    for n, near in ((0, 1), (len(stretch) - 1, len(stretch) - 2)):
        word, other = stretch[n], stretch[near] if 0 <= near < len(stretch) else None
        alone = other is None or _gap_s(word, other) >= NEAR_S
        found[n] |= alone and word.probability < UNSURE and not context.is_detected(word)
        length_s, needed_s = word.end_s - word.start_s, context.pace.expected_s([word])
        piece = letters(word) >= LEAST_LETTERS and length_s <= PIECE_SHARE * needed_s
        found[n] |= piece and word.probability < LIKELY
    for order in (spoken, spoken[::-1]):
        short: list[int] = []
        for n in order[:MOST_ENDING]:
            if context.is_weak(stretch[n]):
                for weak in (*short, n):
                    found[weak] = True
                short = []
            elif len(short) < MOST_SHORT and _says_little(stretch[n]):
                short.append(n)
            else:
                break
    _join_unlikely(found, stretch, invented)
    return found


def _join_unlikely(found: list[bool], stretch: Sequence[Word], invented: Sequence[bool]) -> None:
    """Put unlikely words of an edge in doubt that touch one in doubt.

    With the words in doubt or invented that follow one another they last `LONGEST_CHAIN_S` at most:
    their places are joined, and a long one is not read again.
    """
    size = len(stretch)
    for places in (range(1, size), range(size - 2, -1, -1)):
        for n in places:
            near = n - places.step
            at_edge = n < MOST_ENDING or n >= size - MOST_ENDING
            if found[n] or not (at_edge and found[near] and stretch[n].probability < LIKELY):
                continue
            if _gap_s(stretch[near], stretch[n]) < TOUCHING_S:
                row = [n]
                for order in (range(n + 1, size), range(n - 1, -1, -1)):
                    row += takewhile(lambda k: found[k] or invented[k], order)
                lasts_s = stretch[max(row)].end_s - stretch[min(row)].start_s
                found[n] = lasts_s <= LONGEST_CHAIN_S


def _says_little(word: Word) -> bool:
    """Return whether a word is too short to be weak, and not quite likely.

    In scripts without spaces a word is a character, and nearly all of them are so short.
    """
    short = word.end_s - word.start_s < LEAST_SOUND_S and not UNSPACED.search(word.text)
    return short and word.probability < CLEAR_PROBABILITY


def _invented(stretch: Sequence[Word], context: WindowContext) -> tuple[list[bool], list[int]]:
    """Return for each word of a stretch whether it may be invented, and the uncertain ones.

    Those stay: they seem to be invented by their evidence alone.
    """
    first = _without_evidence(stretch, context, margin=FIRST_MARGIN)
    end = _without_evidence(stretch[::-1], context)
    invented = [n < first or n >= len(stretch) - end for n in range(len(stretch))]
    for clear, part in groupby(range(len(stretch)), lambda n: context.is_detected(stretch[n])):
        row = [n for n in part if not invented[n]]
        if not clear:
            evident = context.has_evidence([stretch[n] for n in row], margin=INNER_MARGIN)
            for n, spoken in zip(row, evident, strict=True):
                invented[n] = not spoken
    for order in (range(1, len(stretch)), range(len(stretch) - 2, -1, -1)):
        for n in order:
            near = n - 1 if order.step > 0 else n + 1
            if invented[near] and not invented[n]:
                touches = _gap_s(stretch[near], stretch[n]) < TOUCHING_S
                between = all(invented[max(0, n - 1) : n + 2 : 2]) and 0 < n < len(stretch) - 1
                invented[n] = touches and context.is_invented_beside(stretch[n], between=between)
    for places in _touching(stretch):
        # Words that touch invented ones are a part of their sentence if all up to a gap are weak.
        groups = [(known, list(own)) for known, own in groupby(places, lambda n: invented[n])]
        for is_invented, left in groups if len(groups) > 1 else ():
            if not is_invented and all(context.is_weak(stretch[n]) for n in left):
                invented[left[0] : left[-1] + 1] = [True] * len(left)
    uncertain = [n for n in range(len(stretch)) if _is_uncertain(n, stretch, invented, context)]
    for n in uncertain:
        invented[n] = False
    return invented, uncertain


def _is_uncertain(
    place: int, stretch: Sequence[Word], invented: Sequence[bool], context: WindowContext
) -> bool:
    """Return whether a word without evidence may be spoken: a likely one that stands alone.

    It is between clear words, or it is quite likely and very near a spoken word, with a pause of
    its own. The detector hardly hears some short words of some voices, whose sound has a voice and
    moves all the same (measured: a German "acht"). An invented sentence has several words in a row.
    Of 514 words that the demo recognizer wrote for sounds without a word, none was quite likely,
    alone and so near.
    """
    if not invented[place]:
        return False
    word, around = stretch[place], [n for n in (place - 1, place + 1) if 0 <= n < len(stretch)]
    alone = not any(invented[n] for n in around)
    if not alone or word.probability < LIKELY or context.is_weak(word, BESIDE_SHARE):
        return False
    if len(around) > 1 and not any(context.is_unclear(stretch[n]) for n in around):
        return True
    if word.probability < CLEAR_PROBABILITY or word.end_s - word.start_s < LEAST_INVENTED_S:
        return False
    near = [n for n in around if TOUCHING_S <= _gap_s(word, stretch[n]) <= NEAR_S]
    return context.is_sure(word) and not all(context.is_weak(stretch[n]) for n in near)


def _without_evidence(words: Sequence[Word], context: WindowContext, *, margin: float = 0.0) -> int:
    """Return the number of words, from an edge on, before the first with evidence of its sound.

    The unclear words at the edge are one sound. A clear word behind them is looked at by itself:
    a recognizer is sure of some invented words as well, but there are far fewer of them, so that
    the evidence against it must be stronger. A steady sound without a voice is against both.
    """
    words = words[:MOST_ENDING]
    unclear = _unclear(words, context)
    spoken = dict(zip(unclear, context.has_evidence(unclear, margin=margin), strict=True))

    def is_against(word: Word) -> bool:
        known = word in spoken
        if known and not spoken[word]:
            return True
        return context.is_noise(word) or (not known and _is_against(context, word, margin))

    return len(list(takewhile(is_against, words)))


def _is_against(context: WindowContext, word: Word, margin: float) -> bool:
    """Return whether the evidence against a clear word is strong, or of two kinds."""
    if context.is_evident(word, margin=margin):
        return False
    strong = not context.is_evident(word, margin=margin + CLEAR_MARGIN)
    return strong or context.is_weak(word)


def sure_words(context: WindowContext) -> list[Word]:
    """Return words that are surely spoken: detected, not unlikely, and inside of a stretch.

    They are from its first third, as words that a recognizer invents are at the end; detection is
    late for the first one. Those of the longest stretches come first. Behind them come the other
    words but the last one.
    """
    least = np.quantile([word.probability for word in context.words] or [0.0], UNLIKELY_SHARE)
    stretches = sorted(_stretches(context.words), key=len, reverse=True)
    first = [word for stretch in stretches for word in stretch[1 : len(stretch) // 3 + 1]]
    others = [word for stretch in stretches for word in stretch[len(stretch) // 3 + 1 : -1]]
    return [
        word
        for word in (*first, *others)
        if word.probability >= least
        and word.end_s - word.start_s >= LEAST_SURE_S
        and context.is_detected(word)
    ]


def _stretches(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words between pauses."""
    row: list[Word] = []
    for word in words:
        if row and word.start_s - row[-1].end_s >= ENDING_PAUSE_S:
            yield row
            row = []
        row.append(word)
    if row:
        yield row


def _sound_s(word: Word, speech: Sequence[SpeechSpan]) -> float:
    """Return the seconds of a word that are detected speech; all of it where none is."""
    return inside_s(word, speech) or word.end_s - word.start_s
