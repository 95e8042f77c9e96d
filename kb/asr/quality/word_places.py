"""Places of a window at which single words may be lost, doubled or invented: second readings.

A place is the sound of an `uncovered`, `stretched`, `stutter` or `silence` flag, with the word
before it. It is decoded alone, and with 1 to 2.5 s of the sound before it: the whole window
repeats its mistake, as does more sound before the place. The readings have other amounts of
silence at their ends, so that times which come from a window's borders and not from its sound do
not agree.

Two readings agree where both have the same words at the same times, the words are in speech that
the stricter detection marks, and the item's pace gives them room there. Confidence does not count:
a recognizer answers breath and noise with sure words. Where two readings find no word in a short
place, no word is missing. The rules are ours; the figures were measured with composed talk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from kb.asr.coverage import PAUSE_S, clip_spans, gaps
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.checks import on_silence, uncovered
from kb.asr.quality.doubled_words import leaves_room
from kb.asr.quality.known_hallucinations import KNOWN_HALLUCINATIONS
from kb.asr.quality.missing_speech import is_silence
from kb.asr.quality.window_context import Thresholds, WindowContext
from kb.asr.quality.word_checks import ending, stretched, stutter
from kb.asr.quality.word_edits import SAME_S, same_times, texts
from kb.asr.windows.windowing import Window
from kb.types import QualityFlag, Segment, SpeechSpan, Word

WORD_CHECKS = frozenset({"uncovered", "stretched", "stutter"})  # a lost or a doubled word
REMOVED = frozenset({"stutter", "silence", "ending"})  # words that second readings may remove
PLACE_CHECKS = WORD_CHECKS | REMOVED

MOST_READINGS = 3  # of one place
MOST_PLACES = 8  # most places of one window that are decoded again
LONGEST_PLACE_S = 4.0  # longer: lost speech, which is decoded as a window of its own
EDGE_S = 0.1  # sound on each side of a place
NEIGHBOUR_S = 0.5  # a word so near belongs to the place
BEFORE_S = (1.0, 2.5)  # sound before a place in the second reading
LONGEST_EMPTY_S = 0.8  # so much speech without a word in two readings is no lost speech
OUTSIDE_S = 0.15  # the words of a reading may have so much time outside of speech
ROOM_S = 0.5  # words may need this much more than the sound there is
UNEVEN_S = 0.3  # equal words in a row differ by less
FLAG_S = 0.02  # flags have rounded times; an encoder position


@dataclass(frozen=True, slots=True)
class Place:
    """The sound from `start_s` to `end_s`, with the words `first` to `end` (not included)."""

    start_s: float
    end_s: float
    first: int
    end: int
    flags: tuple[QualityFlag, ...]

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s

    @property
    def doubt_s(self) -> float:
        """The seconds that speak against the place's words."""
        return sum(flag.value for flag in self.flags)

    @property
    def invented(self) -> bool:
        """True if all flags say that words may be invented."""
        return all(flag.name in ("silence", "ending") for flag in self.flags)

    @property
    def may_hold_invented(self) -> bool:
        """True if a flag says that some of its words have no sound of speech."""
        return any(flag.name != "stutter" and is_removing(flag) for flag in self.flags)

    def kept(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """Return the words that no flag removes."""
        return tuple(word for word in words if not self.removes(word))

    def removes(self, word: Word) -> bool:
        """Return whether a flag says that the word was not spoken."""
        return any(is_removing(flag) and has_word(flag, word) for flag in self.flags)


def is_removing(flag: QualityFlag) -> bool:
    """Return whether readings may remove the words of a flag; an `ending` of 0 s is a doubt."""
    return flag.name in REMOVED and (flag.name != "ending" or flag.value > 0)


def has_word(flag: QualityFlag, word: Word) -> bool:
    """Return whether a word is inside of the span of a flag."""
    return flag.start_s - FLAG_S <= word.start_s and word.end_s <= flag.end_s + FLAG_S


def find_places(words: Sequence[Word], flags: Sequence[QualityFlag], window: Window) -> list[Place]:
    """Return the places of the flags, in order; those that touch are joined."""
    found: list[Place] = []
    for flag in sorted(flags, key=lambda flag: flag.start_s):
        if flag.name not in PLACE_CHECKS:
            continue
        place = _place(words, flag, window)
        last = found[-1] if found else None
        same_hole = (
            last is not None
            and place.first == place.end == last.end
            and place.start_s - last.end_s <= PAUSE_S
        )
        if last is not None and (same_hole or place.first < last.end or place.start_s < last.end_s):
            found[-1] = Place(
                min(last.start_s, place.start_s),
                max(last.end_s, place.end_s),
                min(last.first, place.first),
                max(last.end, place.end),
                (*last.flags, *place.flags),
            )
        else:
            found.append(place)
    return found


def _place(words: Sequence[Word], flag: QualityFlag, window: Window) -> Place:
    inside = [
        index
        for index, word in enumerate(words)
        if (word.start_s < flag.end_s - FLAG_S and word.end_s > flag.start_s + FLAG_S)
        or has_word(flag, word)  # of an instant
    ]
    if inside:
        first, end = inside[0], inside[-1] + 1
    else:
        first = end = sum(word.end_s <= flag.start_s + FLAG_S for word in words)
    # The border between a lost word and the one before it is not known.
    begins_s = words[first].start_s if first < end else flag.start_s
    if first and begins_s - words[first - 1].end_s < NEIGHBOUR_S:
        first -= 1
    ends_s = words[end - 1].end_s if first < end else flag.end_s
    reach_s = flag.end_s
    if flag.name == "stutter":  # the sound of a word without a place of its own may follow
        reach_s += LONGEST_EMPTY_S
    if flag.name == "stutter" and end < len(words) and words[end].start_s - ends_s < NEIGHBOUR_S:
        end += 1
    start_s = min([flag.start_s, *(w.start_s for w in words[first:end])]) - EDGE_S
    end_s = max([reach_s, *(w.end_s for w in words[first:end])]) + EDGE_S
    if first:
        start_s = max(start_s, words[first - 1].end_s)
    if end < len(words):
        end_s = min(end_s, words[end].start_s)
    start_s = max(start_s, window.start_s)
    return Place(start_s, max(min(end_s, window.end_s), start_s), first, end, (flag,))


def words_at(place: Place, decoded: DecodingResult) -> tuple[Word, ...]:
    """Return the words of a reading whose middle is in the place, cut to its time."""
    return tuple(
        replace(word, start_s=max(word.start_s, place.start_s), end_s=min(word.end_s, place.end_s))
        for segment in decoded.segments
        for word in segment.words
        if place.start_s <= (word.start_s + word.end_s) / 2 <= place.end_s
    )


def confirmed(
    place: Place, reading: DecodingResult, context: WindowContext, limits: Thresholds
) -> tuple[Word, ...] | None:
    """Return the words of a reading that confirms the text of a place; None if it does not.

    It has the same words, and no check of single words speaks against its times: the first text
    had them at wrong times.
    """
    found = words_at(place, reading)
    if texts(found) != texts(context.words[place.first : place.end]) or not found:
        return None
    segment = Segment(found[0].start_s, found[-1].end_s, "", found)
    near = replace(
        context,
        from_s=max(context.from_s, place.start_s),
        to_s=min(context.to_s, place.end_s),
        decoded=replace(reading, segments=(segment,)),
    )
    checks = (uncovered, stretched, stutter, on_silence, ending)
    if any(check(near, limits) for check in checks):
        return None
    return found if all(context.spoken(found)) else None


def settle(
    place: Place,
    readings: Sequence[DecodingResult],
    context: WindowContext,
    sure: Sequence[SpeechSpan],
    stutter_s: float,
) -> tuple[Word, ...] | None:
    """Return the words at a place, about which two of the readings agree; None if none do.

    Words that may be invented, about which none agree and of whose sound detection is not sure, are
    removed.

    The result equals `context.words[place.first : place.end]` where they find no other words.
    `sure`: the speech of the stricter detection; `stutter_s`: no longer word takes less.
    """
    old = context.words[place.first : place.end]
    heard = [
        words_at(place, result)
        if not is_silence(result) and hears_before(context.words, place, result)
        else ()
        for result in readings
    ]
    removable = any(map(is_removing, place.flags))
    for one, other in combinations(heard, 2):
        if not one and not other:
            speech = clip_spans(sure, place.start_s, place.end_s)
            short = sum(span.duration_s for span in speech) <= LONGEST_EMPTY_S
            if not old and short and not has_spoken_hole(place, (), context):
                return ()
            kept = place.kept(old)
            if place.invented and (kept != old or not old):
                return kept
            continue
        # A word that may be invented must have the same text in both.
        differ = place.invented and texts(one) != texts(other)
        found = None if differ else agreed_words(one, other, old)
        if found is None or not fits(found, place, context, sure, stutter_s):
            continue
        if len(found) > len(old):
            return found
        if removable and Counter(texts(found)) <= Counter(texts(old)):
            if leaves_room(old, found, context, stutter_s):
                continue
            return found  # fewer words, or the same at the times of their sound
        doubted = place.invented and texts(found) != texts(old)
        doubted |= any(place.removes(word) for word in old) or uneven(found)
        if not (doubted or has_spoken_hole(place, found, context)):
            return old
    if place.invented and len(readings) == MOST_READINGS:
        removed = [word for word in old if place.removes(word)]
        if (removed or not old) and not any(context.spoken(removed)):
            return place.kept(old)
    return None


def has_spoken_hole(place: Place, words: Sequence[Word], context: WindowContext) -> bool:
    """Return whether a hole of the place has the sound of speech, and none of the words is there.

    Two readings may lose the same word. A noise has no such sound; without evidence nothing is
    known.
    """
    if context.evidence is None:
        return False
    holes = [SpeechSpan(f.start_s, f.end_s) for f in place.flags if f.name == "uncovered"]
    left = [Word(hole.start_s, hole.end_s, "", 0.0) for hole in gaps(holes, words)]
    return any(
        spoken and context.is_detected(hole) and not context.is_weak(hole)
        for hole, spoken in zip(left, context.spoken(left), strict=True)
    )


def with_places(
    flags: Sequence[QualityFlag], words: Sequence[Word], window: Window
) -> tuple[QualityFlag, ...]:
    """Return the flags; those of stretched words have the spans of their places.

    The lost word may be under the word before, whose end is then as wrong as its own beginning.
    """
    found = []
    for flag in flags:
        if flag.name == "stretched":
            place = _place(words, flag, window)
            flag = replace(flag, start_s=round(place.start_s, 3), end_s=round(place.end_s, 3))
        found.append(flag)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A place about which its readings do not agree, with the words that it keeps.

    `removed`: words of an instant that no reading has were removed.
    """

    place: Place
    old: tuple[Word, ...]
    readings: tuple[DecodingResult, ...]
    removed: bool = False

    def contradicts(
        self, context: WindowContext, sure: Sequence[SpeechSpan], stutter_s: float
    ) -> bool:
        """Return whether a text has other words there, which no reading of the place confirms."""
        place, words = self.place, words_at(self.place, context.decoded)
        if texts(words) == texts(self.old):
            return False
        if not fits(words, place, context, sure, stutter_s):
            return True
        return all(
            agreed_words(words, words_at(place, reading), self.old) is None
            for reading in self.readings
        )


def uneven(words: Sequence[Word]) -> bool:
    """Return whether of two equal words in a row one takes much longer.

    Both readings may lose the same one of several equal words.
    """
    return any(
        one == other and abs((a.end_s - a.start_s) - (b.end_s - b.start_s)) > UNEVEN_S
        for (a, b), (one, other) in zip(pairwise(words), pairwise(texts(words)), strict=True)
    )


def agreed_words(
    one: Sequence[Word], other: Sequence[Word], old: Sequence[Word]
) -> tuple[Word, ...] | None:
    """Return the words that two readings of a place agree about; None if they do not agree.

    Both have as many words, at the same times. If they are more than the `old` ones, both have the
    same text for those that are new; a word that was there already may be misheard, and keeps its
    old text where one reading has it.
    """
    if len(one) != len(other) or not all(same_times(a, b) for a, b in zip(one, other, strict=True)):
        return None
    pairs = list(zip(texts(one), texts(other), strict=True))
    known = Counter(texts(old))
    agreed = Counter(a for a, b in pairs if a == b) - known
    if agreed.total() < len(one) - len(old):
        return None
    return tuple(
        a if x in known or (y not in known and a.probability > b.probability) else b
        for a, b, (x, y) in zip(one, other, pairs, strict=True)
    )


def fits(
    words: Sequence[Word],
    place: Place,
    context: WindowContext,
    sure: Sequence[SpeechSpan],
    stutter_s: float,
) -> bool:
    """Return whether the words may be spoken at the place: in sure speech and with room for them.

    `sure`: the speech of the stricter detection.
    """
    near = [SpeechSpan(span.start_s - EDGE_S, span.end_s + EDGE_S) for span in sure]
    known = Counter(texts(context.words[place.first : place.end]))
    outside_s = 0.0
    if not all(context.spoken(words)) or any(map(context.is_weak, words)):
        return False
    for word, text in zip(words, texts(words), strict=True):
        length_s = word.end_s - word.start_s
        spoken_s = sum(s.duration_s for s in clip_spans(near, word.start_s, word.end_s))
        outside_s += length_s - spoken_s
        if spoken_s < length_s / 2 or (length_s <= stutter_s and len(text) > 3):
            return False
        # The piece of a word at the border of the sound is no new word.
        if known[text]:
            known[text] -= 1
        elif length_s < context.pace.expected_s([word]) / 2:
            return False
    if outside_s > OUTSIDE_S:
        return False
    if tuple(texts(words)) in KNOWN_HALLUCINATIONS:
        return False
    return context.pace.expected_s(words) <= place.duration_s + ROOM_S


def hears_before(words: Sequence[Word], place: Place, decoded: DecodingResult) -> bool:
    """Return whether a reading has at least half of the words before the place, or their times."""
    read = [w for s in decoded.segments for w in s.words if w.end_s <= place.start_s + EDGE_S]
    if not read:
        return True
    first_s = read[0].start_s - EDGE_S
    known = [w for w in words[: place.first] if w.start_s >= first_s]
    found = [
        any(
            abs(a.end_s - b.end_s) <= SAME_S
            and (texts([a]) == texts([b]) or abs(a.start_s - b.start_s) <= SAME_S)
            for b in read
        )
        for a in known
    ]
    return sum(found) >= len(known) / 2
