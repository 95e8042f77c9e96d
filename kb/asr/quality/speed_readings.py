"""Last words that may be invented, read by themselves at two other speeds."""

from __future__ import annotations

from kb.asr.quality.candidates import DISAGREEMENT, RepairCandidate
from kb.asr.quality.place_sounds import at_speed
from kb.asr.quality.repair_plan import RepairRequest, RequestSteps
from kb.asr.quality.window_context import is_misheard
from kb.asr.quality.word_checks import ENDING_PAUSE_S
from kb.asr.quality.word_edits import texts
from kb.asr.quality.word_places import PLACE_CHECKS
from kb.types import Word
from kb.types.words import UNSPACED

SPEEDS = (0.9, 1.12)
MOST_AT_SPEEDS = 8  # more in doubt in one window are another fault


def read_at_speeds(candidate: RepairCandidate, language: str) -> RequestSteps:
    """Read last words that may be invented faster and slower; remove those that are in neither.

    A noise is answered with another word or with none; a word that was spoken is mostly read in
    one of the two. Measured with the demo recognizer on 200 sounds without a word behind talk:
    five have words in the text, in place of seven, and 13 spoken words beside them are lost and
    reported, in place of 12. (With words that must be read in both: three, and 16.) Where words
    are misheard, those that were spoken change as well. A character by itself is read as another
    one of the same sound, and is left out. A window with other faults has words that are not
    there, and is left out too.
    """
    single = all(flag.name in PLACE_CHECKS | {DISAGREEMENT} for flag in candidate.flags)
    found = _doubtful_endings(candidate) if single else []
    if not 0 < len(found) <= MOST_AT_SPEEDS or is_misheard(candidate.best_context.words):
        return
    candidate.at_speeds += found
    results = yield [
        RepairRequest(at_speed(candidate.window, word, speed), language, part=True, place=True)
        for word in found
        for speed in SPEEDS
    ]
    read = [
        {text for segment in each.segments for text in texts(segment.words)} for each in results
    ]
    own = [read[n : n + len(SPEEDS)] for n in range(0, len(read), len(SPEEDS))]
    candidate.remove(
        [
            word
            for word, readings in zip(found, own, strict=True)
            if not any(texts([word])[0] in reading for reading in readings)
        ]
    )


def _doubtful_endings(candidate: RepairCandidate) -> list[Word]:
    """Return the words in doubt at ends of stretches that were not read at other speeds yet.

    Inside of a stretch a word in doubt is one that detection hardly hears; it was spoken.
    """
    found: list[Word] = []
    follows: Word | None = None
    for word in reversed(candidate.best_context.words):
        ends = not follows or follows in found or follows.start_s - word.end_s >= ENDING_PAUSE_S
        readable = word.end_s - word.start_s > candidate.limits.stutter_s
        readable &= word not in candidate.at_speeds and not UNSPACED.search(word.text)
        if ends and readable and candidate.is_doubtful(word):
            found.insert(0, word)
        follows = word
    return found
