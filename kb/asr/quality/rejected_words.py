"""Words of an open place that were hardly spoken: its second readings do not agree about them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from kb.asr.engines.base import DecodingResult
from kb.asr.quality.window_context import WindowContext
from kb.asr.quality.word_checks import LIKELY, TOUCHING_S
from kb.asr.quality.word_edits import same_times, texts
from kb.asr.quality.word_places import Place, has_word, words_at
from kb.types import Word

SURE = 0.95  # a more likely one that two readings have may be spoken: detection hardly hears some


def hardly_spoken(
    place: Place, readings: Sequence[DecodingResult], context: WindowContext
) -> list[Word]:
    """Return words of a place, about which its readings do not agree, that may be invented.

    There is no evidence for their sound, or it is in doubt, and no two of the readings have
    evidence for the same word at the same times, or surely have it: laughter is answered with one
    word over and over, and each reading has other times for it. A short steady sound, as a hummed
    word, has no evidence in any reading: it stays where all of them have that word, not unlikely.
    Such words take those along that touch them, if detection is not quite sure of these either: a
    recognizer answers laughter or music with several words.
    """
    old = context.words[place.first : place.end]
    if context.evidence is None or context.spoken_sound.score <= 0:
        return []
    read = [words_at(place, reading) for reading in readings]

    def is_repeated(word: Word) -> bool:
        same = [
            [one for one in words if texts([one]) == texts([word]) and same_times(one, word)]
            for words in read
        ]
        evident = [[one for one in own if all(context.has_evidence([one]))] for own in same]
        sure = [[one for one in own if one.probability >= SURE] for own in same]
        always = all(any(one.probability >= LIKELY for one in own) for own in same)
        steady = always and len(read) > 1 and context.is_one_sound(word)
        return steady or has_agreed(evident) or has_agreed(sure)

    doubts = [flag for flag in place.flags if flag.name == "ending"]
    in_doubt = [
        not all(context.has_evidence([word])) or any(has_word(flag, word) for flag in doubts)
        for word in old
    ]
    dropped = [doubt and not is_repeated(word) for doubt, word in zip(in_doubt, old, strict=True)]
    for order in (range(1, len(old)), range(len(old) - 2, -1, -1)):
        for n in order:
            near = old[n - order.step]
            gap_s = max(near.start_s, old[n].start_s) - min(near.end_s, old[n].end_s)
            if dropped[n - order.step] and gap_s < TOUCHING_S and not context.is_detected(old[n]):
                dropped[n] = dropped[n] or not is_repeated(old[n])
    return [word for word, is_dropped in zip(old, dropped, strict=True) if is_dropped]


def has_agreed(found: Sequence[Sequence[Word]]) -> bool:
    """Return whether two readings have a word at the same times; `found`: that word in each."""
    return any(
        same_times(one, other) for a, b in combinations(found, 2) for one in a for other in b
    )
