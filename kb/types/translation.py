"""A translation of a transcript: the segments and times of the original, in another language."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

TRANSLATE = "translate"  # name of the step

# Why a segment has no text. Nothing else is put in its place.
FAILED = "failed"  # no usable answer
UNTRANSLATED = "untranslated"  # the words came back as they were
SWAPPED = "swapped"  # the answer belongs to another segment
LENGTH = "length"  # far too long or too short for what is said
MARKUP = "markup"  # it had a link or markup that the original has not
LEFT_OUT = "left_out"  # doubtful, and KB_LLM_DOUBTFUL leaves such passages out
MARKS = (FAILED, UNTRANSLATED, SWAPPED, LENGTH, MARKUP, LEFT_OUT)


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    """A segment with its text in the other language, or the mark that says why it has none.

    `text` is empty where `mark` is set, and where the original has no words.
    """

    start_s: float
    end_s: float
    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """A translation as it is stored.

    `way` is `llm`, `local` or `whisper`, `model` who translated, `place` where it was asked (empty:
    on this machine), `licence` that of the model, empty where it is not known. Without `is_current`
    the words of the original have changed since. `own_times`: the segments are those of a reading
    of their own, not the original's.
    """

    language: str
    source_language: str
    segments: tuple[TranslatedSegment, ...]
    way: str
    model: str
    place: str = ""
    licence: str = ""
    is_current: bool = True
    own_times: bool = False

    @property
    def marks(self) -> Counter[str]:
        """The number of segments without a translation, by mark."""
        return Counter(segment.mark for segment in self.segments if segment.mark)
