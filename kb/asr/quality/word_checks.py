"""Checks of single words: lost under a neighbour, doubled, or invented at the end of a stretch.

They are checks as those of `kb.asr.quality.checks`; lost words without a neighbour over them are
found there by `uncovered`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile

import numpy as np

from kb.asr.quality.pace import letters
from kb.asr.quality.window_context import Thresholds, WindowContext, inside_s, make_flag
from kb.asr.stitching import normalize_word
from kb.types import QualityFlag, SpeechSpan, Word

TOUCHING_S = 0.05  # words this near share a border that may be in the wrong place
EQUAL_SHARE = 0.8  # of the limit of a stretched word, for words beside equal ones
ENDING_PAUSE_S = 0.3  # a longer pause ends a stretch
FIRST_MARGIN = 0.15  # detection is late: first words of a stretch have less
INNER_MARGIN = 0.05  # inside of a stretch
LEAST_INVENTED_S = 0.25  # a shorter word has too few probabilities
MOST_ENDING = 8  # most words of an edge that are looked at
UNLIKELY_SHARE = 0.25  # the least likely words of a window are not sure
LEAST_SURE_S = 0.2  # a shorter one has no sound to compare with
LEAST_LETTERS = 4  # shorter words may be spoken in 60 ms


def stretched(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`stretched`: a word that lasts much longer than its letters. Value: the seconds beyond.

    The next word lies over a lost one. The pace is fitted to the item's own words
    (`kb.asr.quality.pace`, ours). Of words that are said several times in a row, each is compared
    with the shortest of them as well, and less than the limit counts.
    """
    words = context.words
    sound_s = [_sound_s(word, context.speech) for word in words]
    expected_s = [context.pace.expected_s([word]) for word in words]
    limit_s = [limits.stretched_s] * len(words)
    for row in _equal_words(words):
        spoken_s = [sound_s[n] for n in row if sound_s[n] >= expected_s[n] / 2]
        for n in row:
            limit_s[n] *= EQUAL_SHARE
            expected_s[n] = min([expected_s[n], *spoken_s])
    excess = [sound - expected for sound, expected in zip(sound_s, expected_s, strict=True)]
    found: list[QualityFlag] = []
    for place, word in enumerate(words):
        value = excess[place]
        if value <= limit_s[place]:
            continue
        # A border in the wrong place makes one word longer and its neighbour shorter.
        for near in (place - 1, place + 1):
            if 0 <= near < len(words):
                first, second = sorted((word, words[near]), key=lambda w: w.start_s)
                if second.start_s - first.end_s < TOUCHING_S:
                    value += min(0.0, excess[near])
        if value > limit_s[place]:
            found.append(make_flag("stretched", word.start_s, word.end_s, value, limit_s[place]))
    return found


def _equal_words(words: Sequence[Word]) -> Iterator[range]:
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
    the last of them; the value is the seconds of sound.
    """
    found = [
        make_flag("stutter", word.start_s, word.end_s, word.end_s - word.start_s, limits.stutter_s)
        for word in context.words
        if is_instant(word, limits)
    ]
    for row in _equal_words(context.words):
        own = [context.words[n] for n in row]
        sound_s = sum(inside_s(word, context.speech) for word in own)
        limit_s = (len(own) - 0.5) * context.pace.expected_s(own[:1])
        if sound_s < limit_s:
            found.append(make_flag("stutter", own[0].start_s, own[-1].end_s, sound_s, limit_s))
    return found


def ending(context: WindowContext, limits: Thresholds) -> list[QualityFlag]:
    """`ending`: words that may be invented, most often at the end of a stretch. Value: seconds.

    A recognizer answers breath, laughter and other noises with words, most often behind speech.
    The sound of such words is hardly speech if it is detected by itself and backwards as well
    (`kb.asr.audio.speech_evidence`, ours). Only unlikely words at the edges of a stretch are looked
    at, and words anywhere of whose sound detection is not quite sure.
    """
    found: list[QualityFlag] = []
    known = context.evidence is not None and context.spoken_score > 0
    for stretch in _stretches(context.words if known else ()):
        invented = _invented(stretch, context)
        for is_invented, part in groupby(zip(stretch, invented, strict=True), lambda pair: pair[1]):
            row = [word for word, _ in part]
            start_s, end_s = row[0].start_s, row[-1].end_s
            long_enough = len(row) > 1 or end_s - start_s >= LEAST_INVENTED_S
            if is_invented and long_enough and context.from_s <= end_s <= context.to_s:
                found.append(make_flag("ending", start_s, end_s, end_s - start_s, 0.0))
    return found


def _invented(stretch: Sequence[Word], context: WindowContext) -> list[bool]:
    """Return for each word of a stretch whether it may be invented."""
    first = _unclear(stretch, context)
    first = _until_spoken(context.has_evidence(stretch[:first], margin=FIRST_MARGIN))
    end = _unclear(stretch[::-1], context)
    end = _until_spoken(reversed(context.has_evidence(stretch[len(stretch) - end :])))
    invented = [n < first or n >= len(stretch) - end for n in range(len(stretch))]
    for clear, part in groupby(range(len(stretch)), lambda n: context.is_detected(stretch[n])):
        row = [n for n in part if not invented[n]]
        if not clear:
            evident = context.has_evidence([stretch[n] for n in row], margin=INNER_MARGIN)
            for n, spoken in zip(row, evident, strict=True):
                invented[n] = not spoken
    # A sentence without a sound of its own touches sounds on which some of its words fit.
    for order in (range(1, len(stretch)), range(len(stretch) - 2, -1, -1)):
        for n in order:
            near = n - 1 if order.step > 0 else n + 1
            if invented[near] and not invented[n]:
                first_word, second = sorted((stretch[near], stretch[n]), key=lambda w: w.start_s)
                touches = second.start_s - first_word.end_s < TOUCHING_S
                invented[n] = touches and not context.is_evident(stretch[n])
    return invented


def _unclear(words: Sequence[Word], context: WindowContext) -> int:
    """Return the number of unclear words before the first clear one, within `MOST_ENDING`."""
    return len(list(takewhile(context.is_unclear, words[:MOST_ENDING])))


def _until_spoken(spoken: Iterable[bool]) -> int:
    """Return the number of words before the first spoken one."""
    return len(list(takewhile(lambda each: not each, spoken)))


def sure_words(context: WindowContext) -> list[Word]:
    """Return words that are surely spoken: detected, not unlikely, and inside of a stretch.

    They are from its first third, as words that a recognizer invents are at the end; detection is
    late for the first one. Those of the longest stretches come first.
    """
    least = np.quantile([word.probability for word in context.words] or [0.0], UNLIKELY_SHARE)
    return [
        word
        for stretch in sorted(_stretches(context.words), key=len, reverse=True)
        for word in stretch[1 : len(stretch) // 3 + 1]
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
