"""The model's process as the recognition of a recording in a reader sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from kb.asr.audio.vad import Audio
from kb.asr.batching.language_vote import LanguageVote
from kb.asr.batching.window_queue import (
    BatchedWindow,
    LanguageSelector,
    QueuedEngine,
)
from kb.asr.engines.base import GREEDY, DecodingOptions
from kb.asr.engines.errors import failed
from kb.asr.windows.windowing import Window
from kb.errors import Cancelled, KBError
from kb.inference.readers.messages import ModelFacts, ReadWindow, SentWindow

_POLL_S = 0.2  # interval at which a waiting recording checks for a stop
_NO_SOUND = np.zeros(0, np.float32)

Send = Callable[[str, Any, Audio | None], None]


@dataclass(slots=True)
class _Sent:
    """A window that was sent, and the future of its text."""

    window: Window
    vote: LanguageSelector
    future: Future[BatchedWindow]


class Line:
    """A recording's line to the model's process. `call` is for the recording's own thread."""

    def __init__(self, send: Send) -> None:
        self.stopped = threading.Event()
        self.send = send
        self.replies: SimpleQueue[Any] = SimpleQueue()
        self._sent: dict[int, _Sent] = {}
        self._number = 0
        self._votes: list[LanguageVote] = []

    def call(self, kind: str, value: Any = None, sound: Audio | None = None) -> Any:
        """Send a message and return the reply. Raises Cancelled and the errors of the other end."""
        self.send(kind, value, sound)
        return self.reply()

    def reply(self) -> Any:
        """Wait for a reply; raise it if it is an error."""
        while True:
            self.check()
            try:
                found = self.replies.get(timeout=_POLL_S)
            except Empty:
                continue
            if isinstance(found, KBError):
                raise found
            return found

    def check(self) -> None:
        """Raise Cancelled if the recording was stopped."""
        if self.stopped.is_set():
            raise Cancelled("recognizer.stopped", "Stopped before the end; nothing was written.")

    def submit(
        self,
        window: Window,
        vote: LanguageSelector,
        options: DecodingOptions,
        *,
        urgent: bool,
        other: bool,
    ) -> Future[BatchedWindow]:
        """Send a window and wait until the queue has taken it."""
        self._number += 1
        future: Future[BatchedWindow] = Future()
        self._sent[self._number] = _Sent(window, vote, future)
        number, language, allowed = self._vote(vote)
        end_s = window.end_s
        part = window.time_map.between(window.start_s, end_s)
        plain = replace(window, audio=_NO_SOUND, time_map=part)
        sent = SentWindow(self._number, plain, number, language, allowed, options, urgent, other)
        try:
            self.call("submit", sent, window.audio)
        except BaseException:
            self._sent.pop(sent.number, None)
            raise
        return future

    def _vote(self, vote: LanguageSelector) -> tuple[int, str, frozenset[str]]:
        if not isinstance(vote, LanguageVote):
            return -1, vote.expected, frozenset()
        if not self._votes or self._votes[-1] is not vote:
            self._votes.append(vote)
        return len(self._votes) - 1, vote.fixed or "", vote.allowed

    def receive(self, read: ReadWindow, converter: Any) -> None:
        """Give a window's text to the one that waits for it; called by the receiving thread."""
        sent = self._sent.pop(read.number, None)
        if sent is None:
            return
        with suppress(InvalidStateError):  # cancelled just now
            if read.text is None:
                sent.future.set_exception(read.error)
                return
            if read.languages is not None and isinstance(sent.vote, LanguageVote):
                sent.vote.record(sent.window, read.languages, read.chosen)
            text = read.text.unpacked(sent.window, converter)
            sent.future.set_result(BatchedWindow(text, read.asr_s, read.align_s, failed))

    def drop(self) -> None:
        """Give up all windows that were sent."""
        sent, self._sent = self._sent, {}
        for each in sent.values():
            each.future.cancel()
        self.send("drop", None, None)


class RemoteQueue:
    """The queue of an engine in the model's process."""

    def __init__(self, line: Line, engine: QueuedEngine, *, other: bool = False) -> None:
        self._line = line
        self._engine = engine
        self._other = other

    @property
    def engine(self) -> QueuedEngine:
        return self._engine

    def submit(
        self,
        _owner: Hashable,
        window: Window,
        vote: LanguageSelector,
        _check: Callable[[], None] | None = None,
        options: DecodingOptions = GREEDY,
        *,
        urgent: bool = False,
        while_waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Future[BatchedWindow]:
        """Queue a window, and wait while the queue is full.

        The recording is the owner of its windows, and its slot is released at the other end during
        the wait: `while_waiting` is not called.
        """
        return self._line.submit(window, vote, options, urgent=urgent, other=self._other)

    def cancel(self, _owner: Hashable) -> None:
        """Remove the waiting windows of the recording."""
        self._line.drop()


class RemoteOther:
    """The engine for second readings, in the model's process."""

    def __init__(self, line: Line, facts: ModelFacts) -> None:
        self.name = facts.other
        self._line = line
        self._facts = facts

    def open(self) -> RemoteQueue | None:
        """Return its queue; None if it cannot be loaded. Raises DeviceLost."""
        methods = self._line.call("other", "")
        if methods is None:
            return None
        return RemoteQueue(self._line, _OtherEngine(self._line, self._facts, methods), other=True)

    def cancel(self, _owner: Hashable) -> None:
        """Do nothing: the queue of the first engine removes the windows of both."""


@dataclass(frozen=True, slots=True)
class _OtherEngine:
    """The facts about the other engine; only its languages and methods are asked for."""

    line: Line
    facts: ModelFacts
    decoding_methods: frozenset[str]

    @property
    def name(self) -> str:
        return self.facts.other.partition(":")[0]

    @property
    def model(self) -> str:
        return self.facts.other.partition(":")[2]

    @property
    def receptive_field_s(self) -> float:
        return self.facts.receptive_field_s

    @property
    def load_s(self) -> float:
        return 0.0

    def supports_language(self, code: str) -> bool:
        return bool(self.line.call("other", code))


class RemoteSlots:
    """The slots for preparing, in the model's process."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def acquire(self, *, timeout: float | None = None) -> bool:
        """Wait for a slot, whatever `timeout` is. Raises Cancelled."""
        self._line.call("slot")
        return True

    def release(self) -> None:
        """Release the slot."""
        self._line.send("release", None, None)
