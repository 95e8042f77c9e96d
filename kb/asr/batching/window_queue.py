"""The queue in front of an engine, as the recognition of a medium sees it.

`kb.asr.batching.batcher` is the queue of an engine in the same process; a reader's process has one
that sends the windows to it (`kb.inference.readers`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from kb.asr.engines.base import GREEDY, DecodingOptions, DecodingResult, UnreadText
from kb.asr.engines.errors import recognizer_closed
from kb.asr.windows.windowing import Window
from kb.errors import KBError


class LanguageSelector(Protocol):
    """An interface for the choice of the language in which each window is decoded."""

    @property
    def expected(self) -> str:
        """The likely language of the next window; empty while unknown."""
        ...

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        """Count a window's language probabilities; a second call for a window has no effect."""
        ...

    def choose(self, window: Window, languages: Mapping[str, float]) -> str:
        """Return the language for a window's text, after `add` was called for its whole batch."""
        ...


@dataclass(frozen=True)
class BatchedWindow:
    """A window's text with its share of the model's busy time, in seconds.

    The words are made of the tokens at the first look at `decoded`, in the thread that looks.
    """

    text: UnreadText
    asr_s: float
    align_s: float
    explain: Callable[[Exception], KBError]

    @cached_property
    def decoded(self) -> DecodingResult:
        """The window's words. Raises TranscriptionError if its tokens cannot be read."""
        try:
            return self.text.read()
        except Exception as error:
            raise self.explain(error) from error


class QueuedEngine(Protocol):
    """The facts about the engine behind a queue."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def receptive_field_s(self) -> float: ...

    @property
    def load_s(self) -> float: ...

    @property
    def decoding_methods(self) -> frozenset[str]: ...

    def supports_language(self, code: str) -> bool:
        """Return whether the model knows the language `code`."""
        ...


class WindowQueue(Protocol):
    """A queue of windows in front of an engine."""

    @property
    def engine(self) -> QueuedEngine: ...

    def submit(
        self,
        owner: Hashable,
        window: Window,
        vote: LanguageSelector,
        check: Callable[[], None] | None = None,
        options: DecodingOptions = GREEDY,
        *,
        urgent: bool = False,
        while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Future[BatchedWindow]:
        """Queue a window; see `kb.asr.batching.batcher.Batcher.submit`."""
        ...

    def cancel(self, owner: Hashable) -> None:
        """Remove the waiting windows of `owner`; results of a running batch are discarded."""
        ...


class OtherEngine(Protocol):
    """A second engine for windows that remain suspect; `name` is that of its setting."""

    @property
    def name(self) -> str: ...

    def open(self) -> WindowQueue | None:
        """Return its queue, None if it cannot be loaded. Raises DeviceLost."""
        ...

    def cancel(self, owner: Hashable) -> None:
        """Remove the waiting windows of `owner`."""
        ...


def wait(future: Future[BatchedWindow], check: Callable[[], None]) -> BatchedWindow:
    """Return the result; `check` is called during the wait and may raise."""
    while True:
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if future.done():
                raise
        except CancelledError:
            raise recognizer_closed() from None
        check()
