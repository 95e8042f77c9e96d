"""Candidates for repair: the readings of one window, scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from kb.asr.engines.base import Decoded
from kb.asr.quality.checks import ANSWERED_BY_AGREEMENT, Evidence, Limits, doubtful_s, signs_of
from kb.asr.quality.missing_speech import is_silence
from kb.asr.quality.report import Settled
from kb.asr.stitching import plain
from kb.asr.windows.windowing import Window
from kb.types import Reading, Sign

AGREEMENT = 0.9  # share of words alike from which two readings say the same


UNCOVERED = "uncovered"


FIRST, PARTS, SHIFTED = "first", "parts", "shifted"


UNREAD = "not read"  # the empty first reading of what lies outside of all windows


@dataclass(slots=True)
class Case:
    """A suspect window with all readings of it. `best` is the place of the one that stands."""

    window: Window
    seen: Evidence
    limits: Limits
    readings: list[Reading] = field(default_factory=list)
    texts: list[Decoded] = field(default_factory=list)
    outside: bool = False  # no window was there: it was not read yet
    best: int = 0
    signs: tuple[Sign, ...] = ()
    answered: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.judge(UNREAD if self.outside else FIRST, self.seen.decoded)

    def judge(self, how: str, decoded: Decoded) -> bool:
        """Takes another reading; returns whether nothing speaks against it."""
        if is_silence(decoded):
            decoded = replace(decoded, segments=())
        seen = replace(self.seen, decoded=decoded)
        if decoded.language in self.seen.languages:
            seen = replace(seen, heard=("", 0.0))
        signs = signs_of(seen, self.limits)
        self.texts.append(decoded)
        self.readings.append(Reading(how, decoded.segments, signs, score(seen, signs)))
        self.best = max(range(len(self.readings)), key=lambda i: self.readings[i].score)
        self.signs = tuple(s for s in self.readings[self.best].signs if s.name not in self.answered)
        if any(text.language in self.seen.languages for text in self.texts):
            self._answer(frozenset({"language"}))  # it was read in both
        return not self.signs

    def agree(self) -> bool:
        """Whether the last reading says what the first one says; answers signs if it does.

        On the whole, and in each place that a sign speaks against: a phrase that nobody said
        is a small part of a window.
        """
        first, last = self.texts[0], self.texts[-1]
        places = [(s.start_s, s.end_s) for s in self.readings[0].signs]
        if any(alike(first, last, *place) < AGREEMENT for place in ((0.0, math.inf), *places)):
            return False
        self._answer(ANSWERED_BY_AGREEMENT)
        return True

    def _answer(self, names: frozenset[str]) -> None:
        self.answered |= names
        self.signs = tuple(sign for sign in self.signs if sign.name not in names)

    @property
    def first(self) -> Decoded:
        return self.texts[0]

    @property
    def text(self) -> Decoded:
        """The reading that stands."""
        return self.texts[self.best]

    @property
    def doubt_s(self) -> float:
        return doubtful_s(self.signs)

    def settled(self) -> Settled:
        """The window's entry for the ledger."""
        read_again = len(self.readings) > 1
        return Settled(
            self.window.index,
            self.window.start_s,
            self.window.end_s,
            self.signs,
            tuple(self.readings) if read_again else (),
            self.best,
        )


def score(seen: Evidence, signs: Sequence[Sign]) -> float:
    """How good a reading is; see the module's docstring."""
    signs = [sign for sign in signs if sign.name != "language"]
    missing_s = sum(s.end_s - s.start_s for s in signs if s.name == UNCOVERED)
    covered = 1.0 - missing_s / seen.speech_s if seen.speech_s > 0 else 1.0
    against = doubtful_s(s for s in signs if s.name != UNCOVERED)
    doubtful = min(1.0, against / max(seen.end_s - seen.start_s, 0.1))
    sure = 0.1 * math.exp(min(0.0, seen.decoded.avg_logprob))
    return round(covered - 0.5 * doubtful - 0.02 * len(signs) + sure, 4)


def alike(one: Decoded, other: Decoded, from_s: float = 0.0, to_s: float = math.inf) -> float:
    """Share of words that two readings have in common between two times, in order, 0..1."""
    left, right = (_texts(read, from_s, to_s) for read in (one, other))
    return SequenceMatcher(None, left, right, autojunk=False).ratio()


def _texts(read: Decoded, from_s: float, to_s: float) -> list[str]:
    words = (word for segment in read.segments for word in segment.words)
    return [plain(w.text) for w in words if from_s <= (w.start_s + w.end_s) / 2 <= to_s]
