"""Options of a transcription, as they are sent to the inference process with a medium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gpu.preset_figures import Preset
from kb.settings import Settings
from kb.types import SpeechLimits

if TYPE_CHECKING:
    from kb.asr.known_words import KnownWords  # needs numpy, which is slow to import


@dataclass(frozen=True, slots=True)
class RowFacts:
    """The facts of a model's row in models.yaml that a request carries to other machines."""

    languages: tuple[str, ...] = ()
    dtype: str = "auto"
    device: str = "any"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RowFacts:
        """Return stored facts. Raises TypeError and ValueError for values that cannot be used."""
        languages = values.get("languages", ())
        if not isinstance(languages, list | tuple):
            raise TypeError("languages are no list")
        dtype, device = values.get("dtype", "auto"), values.get("device", "any")
        return cls(tuple(map(str, languages)), str(dtype), str(device))


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Options that decide about the words of a transcript, and about its turn."""

    preset: Preset
    engine: str
    model: str
    language: str = "auto"
    detect_speech: bool = True
    normalize: bool = False
    filters: tuple[str, ...] = ()  # of kb.media.loudness.CLEANING, before recognition
    track: str = ""  # number of a sound track, `all`, or empty to choose
    hotwords: tuple[str, ...] = ()  # prompt words of the recognizer, the most important first
    temperature: float = 0.0  # of the first reading; 0 takes the likeliest words
    task: str = "transcribe"  # or translate, into English
    # Of the model's row in models.yaml. The language that is detected is one of `languages`.
    languages: tuple[str, ...] = ()
    speech_limits: SpeechLimits | None = None  # of the caller, for the detection
    dtype: str = "auto"
    device: str = "any"
    idle_s: float | None = field(default=None, compare=False)  # unused for so long: unloaded
    # Of a request from elsewhere, for checks and repair; None: those of the process.
    settings: Settings | None = field(default=None, compare=False, repr=False)
    # Words of other transcripts for parts of this medium's sound, which are not recognized again.
    known_words: KnownWords | None = field(default=None, compare=False, repr=False)
    # A caller waits for the answer: this medium comes before all that are not urgent. Without
    # `may_swap` it is refused instead of waiting until another model is unloaded.
    urgent: bool = field(default=False, compare=False)
    may_swap: bool = field(default=True, compare=False)

    @property
    def model_key(self) -> tuple[str, str, str]:
        """The model that is loaded for these options: engine, model and arithmetic."""
        return self.engine, self.model, self.dtype
