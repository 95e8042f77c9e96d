"""What every engine takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kb.asr.windows.windowing import Window
from kb.types import Segment


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """How a window's text is looked for.

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
    probability that nobody speaks; `last_s` where the recognizer says its text ends (the
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
    decoding_methods: frozenset[
        str
    ]  # of `temperature`, `beam`: what it can do beside greedy decoding

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        """Runs the encoder once over up to a batch of windows.

        Raises whatever the device raises when its memory is full.
        """
        ...

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> list[DecodingResult]:
        """Texts and word times of the windows heard, in order, each in its language.

        `options` is greedy unless `ways` says that the engine can do more.
        """
        ...

    def supports_language(self, code: str) -> bool:
        """Whether `code` can be asked for."""
        ...

    def stop(self) -> None:
        """Called from another thread: a running `decode` may end early with anything."""
        ...

    def close(self) -> None:
        """Frees the model's memory."""
        ...
