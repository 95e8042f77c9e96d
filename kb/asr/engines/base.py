"""The engine interface: its inputs, its results and its methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kb.asr.windows.windowing import Window
from kb.types import Segment


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """Options for decoding a window's text.

    `temperature` 0 takes the likeliest token each time, above 0 draws (the same each time it is
    asked); `beams` above 1 searches that many texts at once, at temperature 0 only.
    """

    temperature: float = 0.0
    beams: int = 1


GREEDY = DecodingOptions()


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """The text of one window, times on the medium's clock.

    `avg_logprob` is the mean log-probability of the tokens; `no_speech` the model's own
    probability of no speech; `last_s` where the recognizer says its text ends (the
    window's start if it found none).
    """

    segments: tuple[Segment, ...]
    language: str
    avg_logprob: float
    no_speech: float
    last_s: float


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A batch after the encoder: what it says about language, and its states for `decode`.

    `languages`: for each window log-probabilities by language code, empty for a model of one
    language; `no_speech`: for each window 0..1; `states`: the engine's own.
    """

    windows: tuple[Window, ...]
    languages: tuple[Mapping[str, float], ...]
    no_speech: tuple[float, ...]
    states: Any = field(repr=False, default=None)


class Engine(Protocol):
    """A loaded recognizer. Not thread-safe: one thread owns it."""

    name: str
    model: str
    receptive_field_s: float
    load_s: float
    align_s: float  # seconds spent on word times so far
    decoding_methods: frozenset[str]  # of `temperature`, `beam`: supported beside greedy decoding

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        """Run the encoder once over up to a batch of windows.

        Raises the device's own error when its memory is full.
        """
        ...

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        """Return texts and word times of the encoded windows, in order, each in its language.

        `options` is greedy unless `decoding_methods` allows more.
        """
        ...

    def supports_language(self, code: str) -> bool:
        """Return whether the model knows the language `code`."""
        ...

    def stop(self) -> None:
        """End a running `decode` early, from another thread; its result is discarded."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
