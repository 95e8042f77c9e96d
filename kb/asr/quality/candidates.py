"""Candidates for repair: the decoding attempts of one window, with their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from kb.asr.engines.base import DecodingResult
from kb.asr.quality.checks import RESOLVED_BY_AGREEMENT, check, flagged_seconds
from kb.asr.quality.doubled_words import Change, misheard_twice, with_room
from kb.asr.quality.missing_speech import is_silence
from kb.asr.quality.report import WindowResult
from kb.asr.quality.window_context import Thresholds, WindowContext, make_flag
from kb.asr.quality.word_checks import TOUCHING_S
from kb.asr.quality.word_edits import replace_words, same_times, texts
from kb.asr.quality.word_places import (
    FLAG_S,
    LONGEST_EMPTY_S,
    NEIGHBOUR_S,
    PLACE_CHECKS,
    WORD_CHECKS,
    OpenPlace,
    has_word,
    with_places,
)
from kb.asr.stitching import join_words, normalize_word
from kb.asr.windows.windowing import Window
from kb.types import DecodingAttempt, QualityFlag, Segment, SpeechSpan, Word

AGREEMENT = 0.9  # share of equal words from which two attempts agree


UNCOVERED, ENDING = "uncovered", "ending"
MOST_REMOVALS = 4


FIRST, PARTS, SHIFTED = "first", "parts", "shifted"


# Words at a place about which its own readings do not agree. Value: the number of readings against
# them, 0 where a word of an instant that no reading has was removed.
DISAGREEMENT = "disagreement"


# Of words that are hardly spoken, so that a text without them is chosen.
INVENTED_COST = 0.3


PLACES, PLACE = "places", "place"  # with other words at places; one reading of an open place


NOT_READ = "not read"  # the empty first attempt of speech outside of all windows


@dataclass(slots=True)
class RepairCandidate:
    """A suspect window with all its attempts. `best` is the index of the chosen one."""

    window: Window
    context: WindowContext
    limits: Thresholds
    attempts: list[DecodingAttempt] = field(default_factory=list)
    results: list[DecodingResult] = field(default_factory=list)
    residual: bool = False  # speech outside of all windows, which was not decoded before
    best: int = 0
    flags: tuple[QualityFlag, ...] = ()
    resolved: frozenset[str] = frozenset()
    answered: list[SpeechSpan] = field(default_factory=list)  # places where no word is missing
    open: list[OpenPlace] = field(default_factory=list)
    removed: list[SpeechSpan] = field(default_factory=list)  # of words that are hardly spoken
    lasting: set[QualityFlag] = field(default_factory=set)  # that no reading answers
    placed: list[SpeechSpan] = field(default_factory=list)  # of words without a time of their own
    doubted: list[SpeechSpan] = field(default_factory=list)  # whose words may be invented
    rejected: list[Word] = field(default_factory=list)  # that were hardly spoken
    at_speeds: list[Word] = field(default_factory=list)  # that were read at other speeds

    def __post_init__(self) -> None:
        self._add(NOT_READ if self.residual else FIRST, self.context.decoded)

    def add_attempt(self, method: str, decoded: DecodingResult) -> bool:
        """Add an attempt; return whether it has no flags."""
        if method not in (PLACES, PARTS):  # a reading of the whole window without those words
            self.removed = [span for span in self.removed if has_words(decoded, span)]
        self._add(method, decoded)
        self.remove_invented()
        return not self.flags

    def remove_invented(self) -> None:
        """Add attempts without the words whose sound is hardly speech, until none is left.

        Their places are read again: they are answered if readings find no word, else reported.
        Words that come to the edge of a stretch are looked at in turn.
        """
        for _ in range(MOST_REMOVALS):
            words = self.best_context.words
            endings = [flag for flag in self.flags if flag.name == ENDING and flag.value > 0]
            changes = [
                (place, place + 1, ())
                for place, word in enumerate(words)
                if any(has_word(flag, word) for flag in endings)
            ]
            if not changes:
                return
            self.removed += [SpeechSpan(flag.start_s, flag.end_s) for flag in endings]
            self._add(PLACES, replace_words(self.best_result, changes))

    def _add(self, method: str, decoded: DecodingResult) -> None:
        if is_silence(decoded):
            decoded = replace(decoded, segments=())
        context = replace(self.context, decoded=decoded)
        if decoded.language in self.context.languages:
            context = replace(context, detected_language=("", 0.0))
        flags = tuple(f for f in check(context, self.limits) if not self._is_answered(f))
        flags = (*flags, *self._removed_from(context), *self._doubted_in(context))
        flags = (*flags, *self._rejected_in(context))
        for each in self.open:
            against = each.contradicts(context, self.window.speech, self.limits.stutter_s)
            if against or each.removed:
                value = len(each.readings) if against else 0
                flag = make_flag(DISAGREEMENT, each.place.start_s, each.place.end_s, value, 0)
                flags = (*flags, flag)
        placed = (make_flag(DISAGREEMENT, s.start_s, s.end_s, 0.0, 0.0) for s in self.placed)
        flags = (*flags, *placed)
        self.results.append(decoded)
        self.attempts.append(
            DecodingAttempt(method, decoded.segments, flags, score(context, flags))
        )
        whole = [i for i, attempt in enumerate(self.attempts) if attempt.method != PLACE]
        # Of equal scores the first counts, but the times of a second reading of places are better.
        self.best = max(
            whole, key=lambda i: (self.attempts[i].score, self.attempts[i].method == PLACES, -i)
        )
        self.flags = tuple(s for s in self.attempts[self.best].flags if s.name not in self.resolved)
        if any(each.language in self.context.languages for each in self.results):
            self._resolve(frozenset({"language"}))  # the window was decoded in both languages

    def _removed_from(self, context: WindowContext) -> list[QualityFlag]:
        """Return a flag on each place of which words were removed, as long as it has no others.

        Words that touch it are in doubt as well.
        """
        words, found = context.words, []
        for span in self.removed:
            if has_words(context.decoded, span):
                continue
            near = [
                w for w in words
                if -FLAG_S <= span.start_s - w.end_s < TOUCHING_S
                or -FLAG_S <= w.start_s - span.end_s < TOUCHING_S
            ]  # fmt: skip
            start_s = min([span.start_s, *(word.start_s for word in near)])
            end_s = max([span.end_s, *(word.end_s for word in near)])
            flag = make_flag(ENDING, start_s, end_s, 0.0, 0.0)
            if not self._is_answered(flag):
                found.append(flag)
        return found

    def _doubted_in(self, context: WindowContext) -> list[QualityFlag]:
        spans = [span for span in self.doubted if has_words(context.decoded, span)]
        found = [make_flag(ENDING, span.start_s, span.end_s, 0.0, 0.0) for span in spans]
        self.lasting.update(found)
        return found

    def reject(self, words: Sequence[Word]) -> None:
        """Note words that were hardly spoken: a text without them is chosen."""
        self.rejected += words
        for index, attempt in enumerate(self.attempts if words else ()):
            context = replace(self.context, decoded=self.results[index])
            found = self._rejected_in(context) if attempt.method != PLACE else []
            if found:
                flags = (*attempt.flags, *found)
                self.attempts[index] = replace(attempt, flags=flags, score=score(context, flags))

    def _rejected_in(self, context: WindowContext) -> list[QualityFlag]:
        found = [
            make_flag(ENDING, word.start_s, word.end_s, word.end_s - word.start_s, 0.0)
            for word in context.words
            if any(texts([word]) == texts([w]) and same_times(word, w) for w in self.rejected)
        ]
        self.lasting.update(found)
        return found

    def doubt(self, start_s: float, end_s: float) -> None:
        """Note that words between two times may be invented, for the attempts that follow."""
        self.doubted.append(SpeechSpan(start_s, end_s))

    def answer(self, start_s: float, end_s: float) -> None:
        """Note that second readings have the same words between two times.

        The flags of single words that are there are removed from all attempts.
        """
        self.answered.append(SpeechSpan(start_s, end_s))
        for index, attempt in enumerate(self.attempts):
            flags = tuple(flag for flag in attempt.flags if not self._is_answered(flag))
            if flags != attempt.flags:
                context = replace(self.context, decoded=self.results[index])
                value = score(context, flags)
                self.attempts[index] = replace(attempt, flags=flags, score=value)
        self.flags = tuple(flag for flag in self.flags if not self._is_answered(flag))

    def note_reading(self, words: Sequence[Word], decoded: DecodingResult) -> None:
        """Record the words that a second reading has at a place, without choosing them."""
        segments = tuple(
            Segment(one[0].start_s, one[-1].end_s, join_words(one, decoded.language), one,
                    decoded.language)
            for one in [tuple(words)] if one
        )  # fmt: skip
        self.results.append(replace(decoded, segments=segments))
        self.attempts.append(DecodingAttempt(PLACE, segments, (), 0.0))

    def _is_answered(self, flag: QualityFlag) -> bool:
        single = flag.name in WORD_CHECKS | {ENDING} and flag not in self.lasting
        return single and any(
            span.start_s - 0.02 <= flag.start_s and flag.end_s <= span.end_s + 0.02
            for span in self.answered
        )

    def resolve_if_agreed(self) -> bool:
        """Return whether the last attempt agrees with the first; resolve its flags if it does.

        Both the whole text and each place of those flags must agree: an invented phrase is a small
        part of a window.
        """
        first, last = self.results[0], self.results[-1]
        own = [s for s in self.attempts[0].flags if s.name not in PLACE_CHECKS]
        places = [(s.start_s, s.end_s) for s in own or self.attempts[0].flags]
        if any(similarity(first, last, *place) < AGREEMENT for place in ((0.0, math.inf), *places)):
            return False
        self._resolve(RESOLVED_BY_AGREEMENT)
        return True

    def _resolve(self, names: frozenset[str]) -> None:
        self.resolved |= names
        self.flags = tuple(flag for flag in self.flags if flag.name not in names)

    @property
    def first_result(self) -> DecodingResult:
        return self.results[0]

    @property
    def best_result(self) -> DecodingResult:
        """The chosen attempt."""
        return self.results[self.best]

    @property
    def best_context(self) -> WindowContext:
        """The window's facts with the text of the chosen attempt."""
        return replace(self.context, decoded=self.best_result)

    @property
    def only_single_words(self) -> bool:
        """True if all flags are about single words.

        Other decoding of the whole window rarely finds them, and may lose others. Speech without
        words where hardly spoken ones were removed is no lost speech: its place was read again.
        """
        missing_s = sum(
            flag.end_s - flag.start_s
            for flag in self.flags
            if flag.name == UNCOVERED
            and not any(s.start_s < flag.end_s and flag.start_s < s.end_s for s in self.removed)
        )
        single = WORD_CHECKS | {DISAGREEMENT, ENDING}
        return missing_s <= LONGEST_EMPTY_S and all(f.name in single for f in self.flags)

    @property
    def doubt_s(self) -> float:
        return flagged_seconds(self.flags)

    def is_doubtful(self, word: Word) -> bool:
        """Return whether a word of the chosen attempt may be invented, but is not removed yet."""
        doubts = (flag for flag in self.flags if flag.name == ENDING and flag.value == 0)
        return any(has_word(flag, word) for flag in doubts)

    def remove(self, words: Sequence[Word]) -> None:
        """Remove words of the chosen attempt that may be invented; their places stay in doubt.

        A later attempt with the same words is not chosen for them.
        """
        own = self.best_context.words
        changes = [(n, n + 1, ()) for n, word in enumerate(own) if word in words]
        self.reject(words)
        self.removed += [SpeechSpan(own[n].start_s, own[n].end_s) for n, *_ in changes]
        self._change(changes)

    def give_room(self) -> None:
        """Give the words of an instant that are left the sound around them, or remove them.

        Of two equal words that are misheard, one is left. The places stay in doubt.
        """
        self._change(with_room(self.best_context, self.limits))
        self._change(misheard_twice(self.best_context))

    def _change(self, changes: Sequence[Change]) -> None:
        """Change words of the chosen attempt, whatever its score, and note their places."""
        if not changes:
            return
        context = self.best_context
        decoded = replace_words(context.decoded, changes)
        self.placed += [_place_of(context, *change) for change in changes]
        self._add(PLACES, decoded)
        self.best = len(self.attempts) - 1
        self.flags = tuple(f for f in self.attempts[-1].flags if f.name not in self.resolved)

    def result(self) -> WindowResult:
        """Return the window's entry for the quality report."""
        repaired = len(self.attempts) > 1
        return WindowResult(
            self.window.index,
            self.window.start_s,
            self.window.end_s,
            with_places(self.flags, self.best_context.words, self.window),
            tuple(self.attempts) if repaired else (),
            self.best,
            tuple(self.answered),
        )


def _place_of(context: WindowContext, first: int, end: int, new: tuple[Word, ...]) -> SpeechSpan:
    """Return the time of changed words, old and new, up to the words around them if they are near.

    The borders of those are as uncertain as the place of the word.
    """
    own = (*context.words[first:end], *new)
    start_s, end_s = min(w.start_s for w in own), max(w.end_s for w in own)
    around = context.words[max(0, first - 1) : first] + context.words[end : end + 1]
    near = [
        at_s
        for word in around
        for at_s in (word.start_s, word.end_s)
        if start_s - NEIGHBOUR_S < at_s < end_s + NEIGHBOUR_S
    ]
    before = [at_s for at_s in near if at_s <= start_s]
    after = [at_s for at_s in near if at_s >= end_s]
    return SpeechSpan(max(before, default=start_s), min(after, default=end_s))


def has_words(decoded: DecodingResult, span: SpeechSpan) -> bool:
    """Return whether a text has a word in a span of time, which may be that of a flag."""
    return any(
        word.start_s < span.end_s - FLAG_S and word.end_s > span.start_s + FLAG_S
        for segment in decoded.segments
        for word in segment.words
    )


def score(context: WindowContext, flags: Sequence[QualityFlag]) -> float:
    """Return the score of an attempt, by the formula of `kb.asr.quality.repair`."""
    flags = [flag for flag in flags if flag.name != "language"]
    invented = [flag for flag in flags if flag.name == ENDING and flag.value > 0]
    missing = [*invented, *(flag for flag in flags if flag.name == UNCOVERED)]
    missing_s = sum(flag.end_s - flag.start_s for flag in missing)
    covered = 1.0 - missing_s / context.speech_s if context.speech_s > 0 else 1.0
    flagged_s = flagged_seconds(s for s in flags if s.name != UNCOVERED)
    doubtful = min(1.0, flagged_s / max(context.end_s - context.start_s, 0.1))
    confidence = 0.1 * math.exp(min(0.0, context.decoded.avg_logprob))
    counted = 0.02 * len(flags)
    counted += 0.05 * sum(flag.name == "stutter" for flag in flags)
    counted += INVENTED_COST * len(invented)
    counted += 0.2 * sum(flag.name == DISAGREEMENT and flag.value > 0 for flag in flags)
    return round(covered - 0.5 * doubtful - counted + confidence, 4)


def similarity(
    one: DecodingResult, other: DecodingResult, from_s: float = 0.0, to_s: float = math.inf
) -> float:
    """Return the share of words (0..1) that two attempts have in common between two times.

    Common words have the same order in both.
    """
    left, right = (_words_between(read, from_s, to_s) for read in (one, other))
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def _words_between(result: DecodingResult, from_s: float, to_s: float) -> list[str]:
    words = (word for segment in result.segments for word in segment.words)
    return [normalize_word(w.text) for w in words if from_s <= (w.start_s + w.end_s) / 2 <= to_s]
