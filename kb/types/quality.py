"""Coverage, failed quality checks and the report on each window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kb.types.words import Segment, SpeechSpan

Grade = Literal["A", "B", "C"]


GRADE_A = 0.99  # covered share of the speech, with no gap and no suspect part


GRADE_B = 0.95  # share of the speech that is covered and not suspect


ERRORS_A = 0.05  # expected share of wrong words: a higher one is no A


ERRORS_C = 0.20  # expected share of wrong words from which the grade is C


# The two figures of a gap, for coverage, second readings and manual changes. Measured on composed
# talk: with nothing lost, 99 % of the ends before a pause have less than 0.17 s of speech after the
# last word, of the beginnings less than 0.24 s; a lost word of 0.35 s leaves 0.25 s and more.
LONGEST_UNCOVERED_S = 0.25  # a shorter stretch of speech without a word is no gap


REACH_S = 0.1  # a word covers speech up to this distance: times of words and speech are inexact


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of the detected speech that has words, and the part of it that can be trusted.

    `gaps` are the spans of more than 0.25 s of detected speech without a word within 0.1 s
    (0.2 s between two words without a pause);
    `covered_s` is `speech_s` less their sum; `repaired` counts windows decoded again; `suspect_s`
    are the seconds outside gaps that are still flagged after repair. `lost` are those of the gaps
    in which the medium itself has no sound where it should have: a hole, or bytes that no reader
    reaches, which are placed behind the end. They count as speech, because they may hold some.
    """

    speech_s: float
    covered_s: float
    gaps: tuple[SpeechSpan, ...] = ()
    repaired: int = 0
    suspect_s: float = 0.0
    lost: tuple[SpeechSpan, ...] = ()

    @property
    def lost_s(self) -> float:
        """Seconds of sound that the medium lost."""
        return sum(span.duration_s for span in self.lost)

    @property
    def ratio(self) -> float:
        """Covered share of the speech, 0..1; 1.0 without speech."""
        return self.covered_s / self.speech_s if self.speech_s > 0 else 1.0

    @property
    def trusted(self) -> float:
        """Share of the speech that is covered and not suspect, 0..1.

        Without speech: 1.0 if there are no words, 0.0 if there are words, which were not spoken.
        """
        if self.speech_s <= 0:
            return 0.0 if self.suspect_s > 0 else 1.0
        return max(0.0, self.covered_s - self.suspect_s) / self.speech_s

    @property
    def grade(self) -> Grade:
        """The grade of the coverage alone; `grade_of` is the transcript's.

        A: covered without a gap, nothing suspect or lost; B: at least 95 % trusted; C: less.
        """
        whole = self.ratio >= GRADE_A and not self.gaps
        if whole and self.suspect_s == 0 and not self.lost:
            return "A"
        return "B" if self.trusted >= GRADE_B else "C"


@dataclass(frozen=True, slots=True)
class UnsurePassage:
    """A span of text in which many words are likely wrong; `share` of its words, 0..1."""

    start_s: float
    end_s: float
    share: float


@dataclass(frozen=True, slots=True)
class ExpectedErrors:
    """Estimated share of wrong words in a text, from the probabilities of its words.

    `share`: 0..1, of all words; `passages` are the spans in which many words are likely wrong, in
    order of time. The estimate is of misheard words: missing words are counted by `Coverage`.
    """

    share: float
    passages: tuple[UnsurePassage, ...] = ()

    @property
    def grade(self) -> Grade:
        """The grade of the words alone. A: at most 5 % likely wrong; B: less than 20 %; C: more."""
        if self.share <= ERRORS_A:
            return "A"
        return "B" if self.share < ERRORS_C else "C"


def grade_of(coverage: Coverage, errors: ExpectedErrors | None) -> Grade:
    """Return the grade of a transcript: the lower one of its coverage and of its words.

    Without an estimate of the errors (None) it is the coverage's.
    """
    return max(coverage.grade, errors.grade) if errors else coverage.grade


FLAG_WORDS = {
    "uncovered": "speech without words",
    "stretched": "a word longer than its letters",
    "stutter": "a word too short to be spoken",
    "disagreement": "other readings have other words",
    "ending": "may be invented",
    "compression": "repeats itself",
    "repeats": "the same words again and again",
    "rate": "too many or too few words",
    "logprob": "the recognizer is unsure",
    "no_speech": "the recognizer heard no speech",
    "unreadable": "marks of the model instead of words",
    "silence": "words where it is silent",
    "language": "another language",
    "phrase": "a phrase that recognizers invent",
    "times": "times that cannot be",
    "witness": "differs from the captions",
}
"""The failed quality checks in English, by their names in the transcript."""


def flag_words(name: str) -> str:
    """Return a failed quality check in English words; an unknown name is its own."""
    return FLAG_WORDS.get(name, name.replace("_", " "))


def one_word_in(share: float) -> int:
    """Return `n` for the sentence "about 1 word in n may be wrong"; the share is above 0.

    1 is for most words. From 10 on, `n` is a round number, because the share is an estimate.
    """
    n = 1 / max(share, 1e-4)
    if n < 1.7:
        return 1
    step = 1 if n < 11 else 5 if n < 32 else 10 if n < 105 else 100
    return max(2, round(n / step) * step)


def likely_wrong(share: float) -> str:
    """Return the expected errors as a sentence part, in English."""
    if share < 0.01:
        return "fewer than 1 word in 100 may be wrong"
    one_in = one_word_in(share)
    return "most words may be wrong" if one_in == 1 else f"about 1 word in {one_in} may be wrong"


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """Figures about the sound of a medium that explain misheard words.

    `peak_db` and `level_db`: the peak, and the level of the loud parts, in dB of full scale;
    `bandwidth_hz`: the highest frequency with a part in the speech; `clipped`: share of the loud
    samples at the limit of the recording, 0..1; `decay_s`: time in which sound dies away by 60 dB;
    `letters_per_s`: pace of the words in the detected speech; a figure is None if the sound does
    not show it. `causes` are the likely causes of misheard words among these figures, in the order
    `narrow_band`, `clipped`, `very_quiet`, `reverberant`, `fast`.
    """

    peak_db: float | None = None
    level_db: float | None = None
    bandwidth_hz: float | None = None
    clipped: float | None = None
    decay_s: float | None = None
    letters_per_s: float | None = None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QualityFlag:
    """A failed quality check of a text: its name, its span, the measured value and the limit.

    The checks are defined in `kb.asr.quality.checks`.
    """

    name: str
    start_s: float
    end_s: float
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class DecodingAttempt:
    """One of several decodings of a window.

    `method`: `first`, `places` (the first with other words at single places), `parts`, `shifted`,
    `temperature T`, `beam N`, `engine NAME`; `flags` are its failed checks; the attempt with the
    highest `score` is chosen (see `kb.asr.quality.repair`). `place` is the reading of a single
    place about which the readings do not agree; it is never chosen.
    """

    method: str
    segments: tuple[Segment, ...]
    flags: tuple[QualityFlag, ...]
    score: float


@dataclass(frozen=True, slots=True)
class WindowReport:
    """The report on one window, after repair.

    `speech_s`, `covered_s` and `gaps` as in `Coverage`; `flags` are those that remain; `attempts`
    are all decodings in order if the window was decoded again (else empty), and `chosen` is the
    index of the one used.
    """

    start_s: float
    end_s: float
    speech_s: float
    covered_s: float
    gaps: tuple[SpeechSpan, ...] = ()
    flags: tuple[QualityFlag, ...] = ()
    attempts: tuple[DecodingAttempt, ...] = ()
    chosen: int = 0


@dataclass(frozen=True, slots=True)
class MinuteAgreement:
    """Agreement of transcript and captions in one minute.

    `agreement`: 0..1, None if both have hardly any words; `words` is the transcript's number of
    words.
    """

    start_s: float
    end_s: float
    agreement: float | None
    words: int
    caption_words: int


@dataclass(frozen=True, slots=True)
class CaptionAgreement:
    """Comparison of the transcript with captions made by people; `source` is the file's name."""

    source: str
    language: str
    agreement: float
    minutes: tuple[MinuteAgreement, ...]
