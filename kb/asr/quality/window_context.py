"""The text of one window with the facts about its sound, and the limits of the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from kb.asr.audio.speech_evidence import (
    BESIDE_SHARE,
    STEADY_SHARE,
    SpeechEvidence,
    SpokenSound,
)
from kb.asr.coverage import clip_spans
from kb.asr.engines.base import DecodingResult
from kb.asr.quality.pace import Pace
from kb.settings import Settings
from kb.types import QualityFlag, SpeechSpan, Word
from kb.types.quality import REACH_S

CLEAR_PROBABILITY = 0.95  # of a word that needs no evidence of its sound
LEAST_HEARD = 0.8  # mean probability of the words; less is grade C for the expected errors
LEAST_WORDS = 8  # fewer may all be invented
CLEAR_S = 0.1  # so much of a word in clear speech is enough


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
    of the item's speech; `sure` is the speech that detection is sure of (None: all of `speech`),
    `clear` the part of it that needs no `evidence`, which is asked about other words (None: none);
    `spoken_sound` is that of the spoken words there.
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
    clear: tuple[SpeechSpan, ...] = ()
    evidence: SpeechEvidence | None = None
    spoken_sound: SpokenSound = field(default_factory=SpokenSound)
    words: tuple[Word, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # They are asked for hundreds of times.
        words = tuple(word for segment in self.decoded.segments for word in segment.words)
        object.__setattr__(self, "words", words)

    @property
    def speech_s(self) -> float:
        return sum(s.duration_s for s in clip_spans(self.speech, self.from_s, self.to_s))

    def spoken(self, words: Sequence[Word]) -> list[bool]:
        """Return for each word whether its sound is surely speech.

        At least half of it is in speech that detection is sure of. Unlikely words, and those of
        which detection is not quite sure, need evidence as well.
        """
        sure = self.speech if self.sure is None else self.sure
        near = [SpeechSpan(s.start_s - REACH_S, s.end_s + REACH_S) for s in sure]
        inside = [inside_s(word, near) >= (word.end_s - word.start_s) / 2 for word in words]
        return [a and b for a, b in zip(inside, self.has_evidence(words), strict=True)]

    def is_sure(self, word: Word) -> bool:
        """Return whether at least half of a word is in speech that detection is sure of."""
        sure = self.speech if self.sure is None else self.sure
        return inside_s(word, sure) >= (word.end_s - word.start_s) / 2

    def has_evidence(self, words: Sequence[Word], *, margin: float = 0.0) -> list[bool]:
        """Return for each word whether there is evidence for its sound; True for clear words.

        It has at least the score of spoken words less `margin`.
        """
        least = self.spoken_sound.score - margin
        found: list[bool] = []
        for unclear, row in groupby(words, self.is_unclear):
            own = list(row)
            if unclear and self.evidence:
                found += [score >= least for score in self.evidence.scores(own)]
            else:
                found += [True] * len(own)
        return found

    def is_evident(self, word: Word, *, margin: float = 0.0) -> bool:
        """Return whether there is evidence for the sound of a word, be it clear or not."""
        least = self.spoken_sound.score - margin
        return not self.evidence or self.evidence.scores([word])[0] >= least

    def is_weak(self, word: Word, steady_share: float = STEADY_SHARE) -> bool:
        """Return whether a word may be invented though there is evidence for its sound.

        Its sound has no voice, or is one steady sound, unlike that of spoken words.
        """
        known = self.evidence
        return known is not None and self.spoken_sound.is_weak(word, known, steady_share)

    def is_invented_beside(self, word: Word, *, between: bool) -> bool:
        """Return whether a word that touches invented ones is one of them, by its own sound.

        A sentence without a sound of its own lies over sounds on which some of its words fit.
        `between`: there are invented words on both sides of it.
        """
        share = STEADY_SHARE if between else BESIDE_SHARE
        # Its voice costs a third of its detection from three sides.
        if self.evidence is None or self.spoken_sound.is_voiceless(word, self.evidence):
            return self.evidence is not None
        return not self.is_evident(word) or self.spoken_sound.is_weak(word, self.evidence, share)

    def is_noise(self, word: Word) -> bool:
        """Return whether the sound of a word has no voice and is one steady sound."""
        return self.evidence is not None and self.spoken_sound.is_noise(word, self.evidence)

    def is_one_sound(self, word: Word) -> bool:
        """Return whether a word of any length is one steady sound, with hardly any evidence."""
        known = self.evidence
        return known is not None and self.spoken_sound.is_one_sound(word, known)

    def is_unclear(self, word: Word) -> bool:
        """Return whether a word is unlikely, or detection not quite sure of its sound."""
        return word.probability < CLEAR_PROBABILITY or not self.is_detected(word)

    def is_detected(self, word: Word) -> bool:
        """Return whether detection is quite sure of a word's sound."""
        if self.evidence is None:
            return True
        return inside_s(word, self.clear) >= min(CLEAR_S, (word.end_s - word.start_s) / 2)

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


def is_misheard(words: Sequence[Word]) -> bool:
    """Return whether so many words of a window are unlikely that other readings mishear, too.

    Measured in noise: of 90 places in such windows, readings agreed about 22, with a right word
    in 3 of them; their flags say more than that agreement.
    """
    enough = len(words) >= LEAST_WORDS
    return enough and sum(word.probability for word in words) < LEAST_HEARD * len(words)


def inside_s(word: Word, speech: Sequence[SpeechSpan]) -> float:
    """Return the seconds of a word that are inside of spans."""
    begin_s, end_s, total_s = word.start_s, word.end_s, 0.0
    for span in speech:  # (asked some hundred times for a window)
        first_s = span.start_s if span.start_s > begin_s else begin_s
        last_s = span.end_s if span.end_s < end_s else end_s
        if last_s > first_s:
            total_s += last_s - first_s
    return total_s
