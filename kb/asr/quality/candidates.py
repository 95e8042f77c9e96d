"""Candidates for repair: the decoding attempts of one window, with their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from kb.asr.engines.base import DecodingResult
from kb.asr.quality.checks import (
    RESOLVED_BY_AGREEMENT,
    Thresholds,
    WindowContext,
    check,
    flagged_seconds,
)
from kb.asr.quality.missing_speech import is_silence
from kb.asr.quality.report import WindowResult
from kb.asr.stitching import normalize_word
from kb.asr.windows.windowing import Window
from kb.types import DecodingAttempt, QualityFlag

AGREEMENT = 0.9  # share of equal words from which two attempts agree


UNCOVERED = "uncovered"


FIRST, PARTS, SHIFTED = "first", "parts", "shifted"


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

    def __post_init__(self) -> None:
        self.add_attempt(NOT_READ if self.residual else FIRST, self.context.decoded)

    def add_attempt(self, method: str, decoded: DecodingResult) -> bool:
        """Add an attempt; return whether it has no flags."""
        if is_silence(decoded):
            decoded = replace(decoded, segments=())
        context = replace(self.context, decoded=decoded)
        if decoded.language in self.context.languages:
            context = replace(context, detected_language=("", 0.0))
        flags = check(context, self.limits)
        self.results.append(decoded)
        self.attempts.append(
            DecodingAttempt(method, decoded.segments, flags, score(context, flags))
        )
        self.best = max(range(len(self.attempts)), key=lambda i: self.attempts[i].score)
        self.flags = tuple(s for s in self.attempts[self.best].flags if s.name not in self.resolved)
        if any(text.language in self.context.languages for text in self.results):
            self._resolve(frozenset({"language"}))  # the window was decoded in both languages
        return not self.flags

    def resolve_if_agreed(self) -> bool:
        """Return whether the last attempt agrees with the first; resolve its flags if it does.

        Both the whole text and each flagged place must agree: an invented phrase is a small
        part of a window.
        """
        first, last = self.results[0], self.results[-1]
        places = [(s.start_s, s.end_s) for s in self.attempts[0].flags]
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
    def doubt_s(self) -> float:
        return flagged_seconds(self.flags)

    def result(self) -> WindowResult:
        """Return the window's entry for the quality report."""
        repaired = len(self.attempts) > 1
        return WindowResult(
            self.window.index,
            self.window.start_s,
            self.window.end_s,
            self.flags,
            tuple(self.attempts) if repaired else (),
            self.best,
        )


def score(context: WindowContext, flags: Sequence[QualityFlag]) -> float:
    """Return the score of an attempt, by the formula of `kb.asr.quality.repair`."""
    flags = [flag for flag in flags if flag.name != "language"]
    missing_s = sum(s.end_s - s.start_s for s in flags if s.name == UNCOVERED)
    covered = 1.0 - missing_s / context.speech_s if context.speech_s > 0 else 1.0
    flagged_s = flagged_seconds(s for s in flags if s.name != UNCOVERED)
    doubtful = min(1.0, flagged_s / max(context.end_s - context.start_s, 0.1))
    confidence = 0.1 * math.exp(min(0.0, context.decoded.avg_logprob))
    return round(covered - 0.5 * doubtful - 0.02 * len(flags) + confidence, 4)


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
