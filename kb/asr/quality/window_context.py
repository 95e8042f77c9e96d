"""The text of one window with the facts about its sound, and the limits of the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kb.asr.coverage import clip_spans
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.pace import Pace
from kb.settings import Settings
from kb.types import QualityFlag, SpeechSpan, Word
from kb.types.quality import REACH_S


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The limits of the checks; the settings of the same names explain them."""

    uncovered_s: float
    compression: float
    repeats: int
    words_per_s: float
    words_per_s_least: float
    logprob: float
    no_speech: float
    silent_s: float
    language: float
    backwards_s: float
    stretched_s: float
    stutter_s: float

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        """Return the limits of the settings."""
        return cls(
            uncovered_s=settings.suspect_uncovered_s,
            compression=settings.suspect_compression,
            repeats=settings.suspect_repeats,
            words_per_s=settings.suspect_words_per_s,
            words_per_s_least=settings.suspect_words_per_s_least,
            logprob=settings.suspect_logprob,
            no_speech=settings.suspect_no_speech,
            silent_s=settings.suspect_silent_s,
            language=settings.suspect_language,
            backwards_s=settings.suspect_backwards_s,
            stretched_s=settings.suspect_stretched_s,
            stutter_s=settings.suspect_stutter_s,
        )


@dataclass(frozen=True, slots=True)
class WindowContext:
    """A window's text and the other facts about its sound, in times of the medium.

    `from_s`..`to_s` is the part that this window accounts for: in an overlap with a neighbour, up
    to the overlap's middle. `speech` is the speech of the looser detection; `previous_words` are
    the last words of the previous window; `languages` the item's, the main one first;
    `detected_language` the likeliest language of this window, with its probability; `pace` that
    of the item's speech; `sure` is the speech that detection is sure of (None: all of `speech`).
    """

    start_s: float
    end_s: float
    from_s: float
    to_s: float
    decoded: DecodingResult
    speech: tuple[SpeechSpan, ...]
    previous_words: tuple[Word, ...] = ()
    languages: tuple[str, ...] = ()
    detected_language: tuple[str, float] = ("", 0.0)
    pace: Pace = field(default_factory=Pace)
    sure: tuple[SpeechSpan, ...] | None = None

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for segment in self.decoded.segments for word in segment.words)

    @property
    def speech_s(self) -> float:
        return sum(s.duration_s for s in clip_spans(self.speech, self.from_s, self.to_s))

    def is_sure(self, word: Word) -> bool:
        """Return whether at least half of a word is in speech that detection is sure of."""
        sure = self.speech if self.sure is None else self.sure
        near = [SpeechSpan(s.start_s - REACH_S, s.end_s + REACH_S) for s in sure]
        return inside_s(word, near) >= (word.end_s - word.start_s) / 2

    def flag_window(self, name: str, value: float, limit: float) -> list[QualityFlag]:
        """Return a flag on the whole window."""
        words = self.words
        start_s = min(words[0].start_s, words[-1].start_s) if words else self.from_s
        end_s = max(words[0].end_s, words[-1].end_s) if words else self.to_s
        return [make_flag(name, max(start_s, self.start_s), min(end_s, self.end_s), value, limit)]


def make_flag(name: str, start_s: float, end_s: float, value: float, limit: float) -> QualityFlag:
    """Return a flag with rounded figures; its end is never before its start."""
    return QualityFlag(
        name, round(start_s, 3), round(max(start_s, end_s), 3), round(value, 3), limit
    )


def inside_s(word: Word, speech: Sequence[SpeechSpan]) -> float:
    """Return the seconds of a word that are inside of spans."""
    return sum(s.duration_s for s in clip_spans(speech, word.start_s, word.end_s))
