"""Transcriptions under way: equal requests of one caller share one.

The official client repeats a request after its own timeout, up to twice. A repeated request joins
the first one, or gets its kept answer; without a caller for half a minute a transcription ends.
All methods are called on the server's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from kb.api.errors import ApiError, api_error, retry_after
from kb.errors import KBError
from kb.types import Segment, Transcript

ORPHAN_S = 30.0  # time within which a caller may come back
KEPT_S = 3600.0  # of an answer
KEPT_WORDS = 200_000  # of all kept answers together
_FIRST_GUESS_S = 10.0  # time of a transcription before one has ended

OnText = Callable[[tuple[Segment, ...]], None]
Work = Callable[[OnText, Callable[[], bool]], Transcript]


@dataclass(eq=False)
class Flight:
    """One transcription: its first readings so far, and its end."""

    began: float
    caller: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    texts: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    callers: int = 0
    transcript: Transcript | None = None
    error: ApiError | None = None
    took_s: float = 0.0

    @property
    def ended(self) -> bool:
        """True if there is a transcript or an error."""
        return self.transcript is not None or self.error is not None

    def result(self) -> Transcript:
        """Return the transcript. Raises ApiError."""
        if self.error is not None:
            raise self.error
        assert self.transcript is not None
        return self.transcript

    async def next_change(self, timeout_s: float) -> None:
        """Wait for a text or the end, at most for a time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.changed.wait()

    def note(self) -> None:
        """Wake all callers."""
        self.changed.set()
        self.changed = asyncio.Event()


class Flights:
    """The transcriptions of one server: at most `most` at once, and the answers kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="api")
        self._running: dict[Hashable, Flight] = {}
        self._kept: OrderedDict[Hashable, Flight] = OrderedDict()
        self._took_s: deque[float] = deque(maxlen=20)
        self.last_success = 0.0  # monotonic

    def find(self, key: Hashable) -> Flight | None:
        """Return the transcription of an equal request, if it runs or its answer is kept."""
        now = time.monotonic()
        while self._kept and next(iter(self._kept.values())).began < now - KEPT_S:
            self._kept.popitem(last=False)
        return self._running.get(key) or self._kept.get(key)

    def start(
        self,
        key: Hashable,
        work: Work,
        done: Callable[[], None],
        *,
        caller: str = "",
        most_of_caller: int | None = None,
    ) -> Flight:
        """Begin a transcription; `done` is called at its end. Raises ApiError (429).

        `most_of_caller` transcriptions of a caller may be under way at once.
        """
        mine = sum(each.caller == caller for each in self._running.values())
        if most_of_caller is not None and mine >= most_of_caller:
            raise self._refusal(f"{mine} transcriptions of this key run or wait.")
        if len(self._running) >= self._most:
            raise self._refusal(f"{self._most} transcriptions run or wait.")
        flight = self._running[key] = Flight(time.monotonic(), caller)
        loop = asyncio.get_running_loop()

        def on_text(segments: tuple[Segment, ...]) -> None:
            texts = [" ".join(each.text.split()) for each in segments]

            def add() -> None:
                flight.texts.extend(text for text in texts if text)
                flight.note()

            loop.call_soon_threadsafe(add)

        def run() -> Transcript:
            try:
                return work(on_text, flight.stop.is_set)
            finally:
                done()

        future = loop.run_in_executor(self._pool, run)
        future.add_done_callback(lambda ended: self._end(key, flight, ended))
        return flight

    @contextlib.contextmanager
    def joined(self, flight: Flight) -> Iterator[None]:
        """Be a caller of a transcription within the block."""
        flight.callers += 1
        try:
            yield
        finally:
            flight.callers -= 1
            if not flight.callers and not flight.ended:
                asyncio.get_running_loop().call_later(ORPHAN_S, self._stop_orphan, flight)

    def _refusal(self, message: str) -> ApiError:
        usual_s = statistics.fmean(self._took_s) if self._took_s else _FIRST_GUESS_S
        return ApiError(
            429,
            "rate_limit_exceeded",
            message,
            hint="Try again later.",
            headers=retry_after(usual_s),
        )

    def close(self) -> None:
        """Stop everything that runs; take no more."""
        for flight in self._running.values():
            flight.stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _stop_orphan(self, flight: Flight) -> None:
        if not flight.callers:
            flight.stop.set()

    def _end(self, key: Hashable, flight: Flight, ended: asyncio.Future[Transcript]) -> None:
        del self._running[key]
        flight.took_s = time.monotonic() - flight.began
        error = None if ended.cancelled() else ended.exception()
        if ended.cancelled():
            flight.error = ApiError(503, "stopping", "The server is stopping.")
        elif isinstance(error, KBError):
            flight.error = api_error(error)
        elif isinstance(error, ApiError):
            flight.error = error
        elif error is not None:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "A transcription failed", "exception": error})
            flight.error = ApiError(500, "unexpected", "The server failed; see its log.")
        else:
            flight.transcript = ended.result()
            self._took_s.append(flight.took_s)
            self.last_success = time.monotonic()
            self._keep(key, flight)
        flight.note()

    def _keep(self, key: Hashable, flight: Flight) -> None:
        self._kept[key] = flight
        while sum(map(_words, self._kept.values())) > KEPT_WORDS:
            self._kept.popitem(last=False)


def _words(flight: Flight) -> int:
    return flight.transcript.word_count if flight.transcript else 0
