"""Checks of single words: lost under a neighbour, doubled, or invented at the end of a stretch.

They are checks as those of `kb.asr.quality.checks`; lost words without a neighbour over them are
found there by `uncovered`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from kb.asr.quality.pace import letters
from kb.asr.quality.window_context import Thresholds, WindowContext, inside_s, make_flag
from kb.asr.stitching import normalize_word
from kb.types import QualityFlag, SpeechSpan, Word

TOUCHING_S = 0.05  # words this near share a border that may be in the wrong place
EQUAL_SHARE = 0.8  # of the limit of a stretched word, for words beside equal ones
LEAST_PROBABILITY = 0.5  # a less likely word at the end of a stretch may be invented
ENDING_PAUSE_S = 0.3  # a longer pause ends a stretch
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
    """`ending`: words at the end of a stretch of speech that may be invented. Value: seconds.

    A recognizer answers breath, laughter and other noises with words, most often behind speech.
    Such words are unlikely, or detection is not sure of their sound (our rule; measured: half of
    the words on such noises, 0.1 % of spoken ones are outside of sure speech).
    """
    found: list[QualityFlag] = []
    row: list[Word] = []
    for word, following in pairwise((*context.words, None)):
        if word is None:
            break
        unlikely = word.probability < LEAST_PROBABILITY or not context.is_sure(word)
        row = [*row, word] if unlikely else []
        last = following is None or following.start_s - word.end_s >= ENDING_PAUSE_S
        if last and row and row[-1].end_s <= context.to_s:
            seconds = row[-1].end_s - row[0].start_s
            found.append(make_flag("ending", row[0].start_s, row[-1].end_s, seconds, 0.0))
        if last:
            row = []
    return found


def _sound_s(word: Word, speech: Sequence[SpeechSpan]) -> float:
    """Return the seconds of a word that are detected speech; all of it where none is."""
    return inside_s(word, speech) or word.end_s - word.start_s
