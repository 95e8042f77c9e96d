"""Words and segments with times."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Timestamps = Literal["segment", "word"]

LONGEST_MEDIUM_S = 1000 * 3600.0  # a later time is none of a medium

# Scripts written without spaces: the letters around a word do not show its borders, and a word is
# one character or a few.
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    """A caller's own limits for the detection of speech; None: those of this program.

    Sound whose probability of speech (0..1) reaches `threshold` begins a stretch of speech,
    `silence_s` without it ends one, and a window begins `lead_s` before it.
    """

    threshold: float | None = None
    silence_s: float | None = None
    lead_s: float | None = None


@dataclass(frozen=True, slots=True)
class SpeechSpan:
    """A span in which speech was detected (or, in a coverage gap, left without a word)."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; `text` has no surrounding space, `probability` is 0..1.

    `speaker` is who speaks it, None where that is not known or was not looked for; a word with a
    speaker equals the same word without.
    """

    start_s: float
    end_s: float
    text: str
    probability: float
    speaker: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SegmentDecoding:
    """Figures of the decoding that wrote a segment, for readers of Whisper's own JSON.

    `window_s`: start of its window; `tokens`: of its text in the model's vocabulary, empty where a
    part of the text was cut off; `no_speech`: the model's probability of no speech, 0..1.
    `token_bytes` and `logprobs` are the text and the log-probability of each token.
    """

    window_s: float
    tokens: tuple[int, ...]
    temperature: float
    no_speech: float
    token_bytes: tuple[bytes, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A phrase with the recognizer's boundaries, and its words.

    `speaker` is the name or label of the person, None where the transcript names none. `taken_from`
    is the id of the item whose transcript has these words of the same sound, None for words that
    were recognized here. `decoding` is not stored: None in a transcript of the library, and for a
    model without tokens.
    """

    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    language: str | None = None
    speaker: str | None = None
    taken_from: str | None = None
    decoding: SegmentDecoding | None = field(default=None, compare=False, repr=False)

    @property
    def word_count(self) -> int:
        """The number of words: of those with times, else of the text."""
        return len(self.words) or len(self.text.split())
