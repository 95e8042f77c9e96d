"""One recording in the model's process: answers what its reader asks for, until it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from kb.asr.audio.vad import Audio
from kb.asr.batching.language_vote import FixedLanguage, LanguageVote
from kb.asr.batching.window_queue import BatchedWindow, OtherEngine, WindowQueue
from kb.asr.recognizer import Slots
from kb.asr.windows.windowing import Window
from kb.errors import Cancelled, KBError
from kb.inference.crash import unexpected
from kb.inference.readers.messages import ModelFacts, SentWindow
from kb.inference.transcription_options import TranscriptionOptions

if TYPE_CHECKING:
    from kb.asr.first_readings import OnText

_POLL_S = 0.2  # interval at which a waiting recording checks for cancellation
_ENDS = frozenset({"done", "failed", "crashed"})


class NotedVote:
    """A vote for one window, with what a reader needs of it for its own vote.

    The languages are chosen here, while the batch is decoded. `languages` is None if the window's
    language was known.
    """

    def __init__(self, vote: LanguageVote | FixedLanguage) -> None:
        self._vote = vote
        self.languages: Mapping[str, float] | None = None
        self.chosen = ""

    @property
    def expected(self) -> str:
        return self._vote.expected

    def add(self, window: Window, languages: Mapping[str, float]) -> None:
        self._vote.add(window, languages)
        if isinstance(self._vote, LanguageVote):
            self.languages = languages
            self._vote.settle([window])  # only the reader's vote asks for it: nothing is kept

    def choose(self, window: Window, languages: Mapping[str, float]) -> str:
        self.chosen = self._vote.choose(window, languages)
        return self.chosen


@dataclass(frozen=True, slots=True)
class DecodedWindow:
    """A window in the queue of an engine: its number in the recording, and its vote."""

    recording: int
    number: int
    vote: NotedVote


@dataclass(slots=True)
class _Votes:
    """The vote about the languages of one sound track of the recording; the newest is kept."""

    number: int = -1
    vote: LanguageVote = field(default_factory=lambda: LanguageVote(None))

    def find(self, sent: SentWindow) -> NotedVote:
        if sent.vote < 0:
            return NotedVote(FixedLanguage(sent.language))
        if sent.vote != self.number:
            self.number, self.vote = (
                sent.vote,
                LanguageVote(sent.language or None, tuple(sent.allowed)),
            )
        return NotedVote(self.vote)


class Reading:
    """A recording that a reader reads. All methods but `put` are for one thread."""

    def __init__(
        self,
        number: int,
        post: Callable[[str, int, Any], None],
        send_when_done: Callable[[DecodedWindow, Future[BatchedWindow]], None],
        cancelled: Callable[[], bool] | None,
    ) -> None:
        """`post` and `send_when_done` are the reader's."""
        self.number = number
        self._post = post
        self._send_when_done = send_when_done
        self._cancelled = cancelled
        self._messages: SimpleQueue[tuple[str, Any, Audio | None]] = SimpleQueue()
        self._votes = _Votes()
        self._stop_sent = self._ended = False
        self._slots: Slots | None = None
        self._holds_slot = False

    def put(self, kind: str, value: Any, sound: Audio | None) -> None:
        """Take a message of the reader, on its thread."""
        self._messages.put((kind, value, sound))

    def wait_until_checked(self) -> None:
        """Wait until the file was found usable. Raises MediaUnavailable, Cancelled."""
        kind, value, _ = self._next()
        if kind != "checked":
            raise value

    def run(
        self,
        queue: WindowQueue,
        other: OtherEngine | None,
        slots: Slots | None,
        options: TranscriptionOptions,
        *,
        cpu_reason: str,
        device: str,
        progress: Callable[[float], None] | None,
        on_text: OnText | None,
    ) -> bytes:
        """Answer the reader until it has read the recording; return the pickled transcript.

        Raises what `kb.asr.recognizer.Recognizer.transcribe` raises, and InferenceProcessCrashed.
        """
        self._slots = slots
        self._post("model", self.number, facts_of(queue, other, slots, options, cpu_reason, device))
        try:
            while True:
                kind, value, sound = self._next()
                if kind == "done":
                    transcript: bytes = value
                    return transcript
                if kind in _ENDS:
                    raise value
                if kind == "progress":
                    if progress:
                        progress(value)
                elif kind == "text":
                    if on_text:
                        on_text(value)
                elif kind == "release":
                    self._release()
                elif kind == "drop":
                    self._drop(queue, other)
                else:
                    self._reply(lambda: self._answer(kind, value, sound, queue, other))  # noqa: B023
        finally:
            self._drop(queue, other)
            self._release()

    def close(self) -> None:
        """Stop the recording if it has not ended."""
        if not self._ended:
            self._post("stop", self.number, None)

    def _next(self) -> tuple[str, Any, Audio | None]:
        """Wait for the reader's next message; have it stop if the recording is cancelled."""
        while True:
            if not self._stop_sent and self._cancelled and self._cancelled():
                self._post("stop", self.number, None)
                self._stop_sent = True
            try:
                found = self._messages.get(timeout=_POLL_S)
            except Empty:
                continue
            self._ended = found[0] in _ENDS
            return found

    def _reply(self, answer: Callable[[], Any]) -> None:
        try:
            value = answer()
        except KBError as error:
            value = error
        except Exception as error:
            value = unexpected(error)
        self._post("reply", self.number, value)

    def _answer(
        self,
        kind: str,
        value: Any,
        sound: Audio | None,
        queue: WindowQueue,
        other: OtherEngine | None,
    ) -> Any:
        if kind == "slot":
            self._acquire()
            return None
        if kind == "other":
            found = other.open() if other else None
            if not value:
                return found.engine.decoding_methods if found else None
            return found is not None and found.engine.supports_language(value)
        assert isinstance(value, SentWindow) and sound is not None
        target = other.open() if other and value.other else queue
        assert target is not None
        vote = self._votes.find(value)
        future = target.submit(
            self,
            replace(value.window, audio=sound),
            vote,
            self._check,
            value.options,
            urgent=value.urgent,
            while_waiting=self._without_slot if self._holds_slot else nullcontext,
        )
        self._send_when_done(DecodedWindow(self.number, value.number, vote), future)
        return None

    def _drop(self, queue: WindowQueue, other: OtherEngine | None) -> None:
        queue.cancel(self)
        if other is not None:
            other.cancel(self)

    def _check(self) -> None:
        if self._cancelled and self._cancelled():
            raise Cancelled("recognizer.stopped", "Stopped before the end; nothing was written.")

    def _acquire(self) -> None:
        assert self._slots is not None
        while not self._slots.acquire(timeout=_POLL_S):
            self._check()
        self._holds_slot = True

    def _release(self) -> None:
        if self._slots is not None and self._holds_slot:
            self._holds_slot = False
            self._slots.release()

    @contextmanager
    def _without_slot(self) -> Iterator[None]:
        """Release the slot for a while; an error in between leaves it released."""
        self._release()
        yield
        self._acquire()


def facts_of(
    queue: WindowQueue,
    other: OtherEngine | None,
    slots: Slots | None,
    options: TranscriptionOptions,
    cpu_reason: str,
    device: str,
) -> ModelFacts:
    """Return the facts about a loaded model that a reader needs for one recording."""
    engine = queue.engine
    asked = {options.language, *options.languages}
    return ModelFacts(
        name=engine.name,
        model=engine.model,
        receptive_field_s=engine.receptive_field_s,
        load_s=engine.load_s,
        decoding_methods=engine.decoding_methods,
        languages=frozenset(filter(engine.supports_language, asked)),
        limited=slots is not None,
        other=other.name if other else "",
        cpu_reason=cpu_reason,
        device=device,
    )
