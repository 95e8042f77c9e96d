"""The engine interface: its inputs, its results and its methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from kb.asr.windows.windowing import Window
from kb.types import Segment

TRANSCRIBE, TRANSLATE = "transcribe", "translate"


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """Options for decoding a window's text.

    `temperature` 0 takes the likeliest token at each step; above 0 tokens are sampled, with the
    same result in every run. `beams` above 1: number of texts in a beam search, at temperature 0
    only. `task`: the text is that of the speech, or its translation into English.
    """

    temperature: float = 0.0
    beams: int = 1
    task: str = TRANSCRIBE

    @property
    def is_greedy(self) -> bool:
        """True if each token is the likeliest one, whatever the task."""
        return not self.temperature and self.beams <= 1


GREEDY = DecodingOptions()


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """The text of one window, in times of the medium.

    `avg_logprob` is the mean log-probability of the tokens; `no_speech` the model's own
    probability of no speech; `last_s` the end of the text according to the recognizer (the
    window's start if there is no text).
    """

    segments: tuple[Segment, ...]
    language: str
    avg_logprob: float
    no_speech: float
    last_s: float

    def read(self) -> DecodingResult:
        """Return the result itself: its words are known."""
        return self

    def packed(self) -> tuple[PackedText, object]:
        return self, None

    def unpacked(self, _window: Window, _converter: object) -> UnreadText:
        return self


class PackedText(Protocol):
    """A window's text for another process, without the window and without its converter."""

    def unpacked(self, window: Window, converter: Any) -> UnreadText:
        """Return the text with the window and the converter that belong to it."""
        ...


class UnreadText(Protocol):
    """The text of one window as its engine decoded it; `read` makes words of its tokens.

    The thread that runs the model does not call `read`: the one that waits for the window does,
    while the next batch is on the device.
    """

    def read(self) -> DecodingResult:
        """Return the window's segments and words. Safe from any thread."""
        ...

    def packed(self) -> tuple[PackedText, object]:
        """Return the text for another process, and what makes words of its tokens.

        The second is an object that all texts of an engine share, so that it is sent once; None if
        the words are known.
        """
        ...


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A batch after the encoder: its language probabilities, and its states for `decode`.

    `languages`: log-probabilities by language code for each window, empty for a model of one
    language; `no_speech`: 0..1 for each window; `states`: the engine's own.
    """

    windows: tuple[Window, ...]
    languages: tuple[Mapping[str, float], ...]
    no_speech: tuple[float, ...]
    states: Any = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch whose sound went through the encoder ahead of its turn; `seconds`: the time it took.

    `states`: the engine's own.
    """

    windows: tuple[Window, ...]
    states: Any = field(repr=False)
    seconds: float


@runtime_checkable
class PreparingEngine(Protocol):
    """An engine that can run the encoder of the next batch beside the decoder of the present one.

    On a GPU both take their share of the card, but what the one leaves idle between two of its
    kernels, and during the work on the host, the other uses.
    """

    @property
    def prepares(self) -> bool:
        """Return True if the device gains from it."""
        ...

    def prepare(self, windows: Sequence[Window]) -> PreparedBatch:
        """Run the encoder over a batch. Safe from another thread than the owner's.

        Raises the device's own error when its memory is full.
        """
        ...

    def encode_prepared(self, prepared: PreparedBatch) -> EncodedBatch:
        """Return what `encode` returns, for a batch that was prepared. Only the owner calls it."""
        ...


@runtime_checkable
class MemoryKeepingEngine(Protocol):
    """An engine that keeps memory from batch to batch."""

    def free_batch_memory(self) -> None:
        """Free that memory; the next batch allocates it again. Only the owner calls it."""
        ...


class Engine(Protocol):
    """A loaded recognizer. Not thread-safe: one thread owns it."""

    name: str
    model: str
    receptive_field_s: float
    load_s: float
    align_s: float  # total seconds spent on word times
    # Of `temperature`, `beam`: methods besides greedy decoding; and `translate`.
    decoding_methods: frozenset[str]

    def encode(self, windows: Sequence[Window]) -> EncodedBatch:
        """Run the encoder once over up to a batch of windows.

        Raises the device's own error when its memory is full.
        """
        ...

    def decode(
        self, encoded: EncodedBatch, languages: Sequence[str], options: DecodingOptions = GREEDY
    ) -> Sequence[UnreadText]:
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
