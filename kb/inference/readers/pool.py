"""The readers of a model's process, started as recordings come.

A recording goes to the reader that has the fewest. A reader that ends takes its recordings with it:
they fail with `InferenceProcessCrashed`, and the next recording starts another one.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, cast

from gpu.threads import one_thread
from kb.asr.batching.window_queue import BatchedWindow
from kb.asr.engines.errors import recognizer_closed
from kb.asr.quality.repair_budget import Figures
from kb.errors import KBError
from kb.inference.crash import InferenceProcessCrashed, unexpected
from kb.inference.readers.channel import Channel
from kb.inference.readers.messages import ReadWindow, Request
from kb.inference.readers.reading import DecodedWindow, Reading
from kb.settings import Settings

# A reader mostly needs one core. By the figures of a thread on a busy machine (40 ms a window, 82
# where every word is in doubt), eight feed 200 windows a second, or 100: 6,000 and 2,900 × real
# time. An H100 reads 3,800 × real time, 127 windows a second, for which ffmpeg takes three cores.
MOST_READERS = 8
_LEAST_CORES = 3  # below that a reader only takes the core from the model's process
_END_S = 5.0  # a reader whose pipe is closed ends at once


def reader_count(setting: str, cores: int, on_gpu: Callable[[], bool]) -> int:
    """Return the number of readers for the setting `KB_READERS`; 0: no reader at all.

    On a CPU the engine computes without the interpreter's lock for seconds, and readers gain
    nothing; on a GPU a window takes it milliseconds.
    """
    if setting != "auto":
        return int(setting)
    return min(cores // 2, MOST_READERS) if cores >= _LEAST_CORES and on_gpu() else 0


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A window whose future is done, to be sent to its reader."""

    window: DecodedWindow
    future: Future[BatchedWindow]


class BudgetSums:
    """The figures of the readers' repair budgets; those of ended readers still count."""

    def __init__(self) -> None:
        self._figures: dict[object, Figures] = {}

    def set(self, reader: object, figures: Figures) -> None:
        """Set the figures that a reader has now."""
        self._figures[reader] = figures

    def others(self, reader: object) -> Figures:
        """Return the sums of all readers but one."""
        others = [own for each, own in list(self._figures.items()) if each is not reader]
        return sum(own[0] for own in others), sum(own[1] for own in others)


class ReaderProcess:
    """A reader, with a thread that takes its messages and one that sends to it."""

    def __init__(self, settings: Settings, sums: BudgetSums) -> None:
        """Start it. Raises OSError."""
        self.readings: dict[int, Reading] = {}
        self.ended = False
        self.pid = 0  # of the reader itself: a virtual environment's Python may be a launcher
        self._sums = sums
        self._budget = object()  # the key of its figures, which stay
        self._lock = threading.Lock()
        self._outgoing: SimpleQueue[tuple[str, int, Any] | None] = SimpleQueue()
        self._converters: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._converter_count = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kb.inference.readers.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
        )
        self._sink = cast(io.FileIO, self._process.stdin)
        self._channel = Channel(cast(io.FileIO, self._process.stdout), self._sink)
        for work in (lambda: self._send_all(settings), self._listen):
            threading.Thread(target=work, name="reader", daemon=True).start()

    def add(self, reading: Reading) -> bool:
        """Take a recording; return False if the reader has ended."""
        with self._lock:
            if not self.ended:
                self.readings[reading.number] = reading
            return not self.ended

    def post(self, kind: str, number: int, value: Any) -> None:
        """Send a message, on the sending thread."""
        self._outgoing.put((kind, number, value))

    def send_when_done(self, window: DecodedWindow, future: Future[BatchedWindow]) -> None:
        """Send a window's text as soon as it is there."""
        future.add_done_callback(
            lambda done: self._outgoing.put(("window", window.recording, _Decoded(window, done)))
        )

    def close(self) -> None:
        """End the reader; its recordings fail."""
        self._outgoing.put(None)

    def join(self) -> None:
        """Wait until it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
            return
        self._process.kill()
        self._process.wait()

    def _send_all(self, settings: Settings) -> None:
        with suppress(OSError, ValueError):
            self._channel.send(settings)
            while (message := self._outgoing.get()) is not None:
                self._send(*message)
        with suppress(OSError):
            self._sink.close()

    def _send(self, kind: str, number: int, value: Any) -> None:
        if isinstance(value, _Decoded):
            value = self._read_window(value)
        self._channel.send((kind, number, value, self._sums.others(self._budget)))

    def _read_window(self, decoded: _Decoded) -> ReadWindow:
        number, vote = decoded.window.number, decoded.window.vote
        if decoded.future.cancelled():
            return ReadWindow(number, error=recognizer_closed())
        error = decoded.future.exception()
        if error is not None:
            known = isinstance(error, KBError)
            assert isinstance(error, Exception)
            return ReadWindow(number, error=error if known else unexpected(error))  # type: ignore[arg-type]
        found = decoded.future.result()
        text, converter = found.text.packed()
        return ReadWindow(
            number,
            text,
            self._sent_converter(converter),
            found.asr_s,
            found.align_s,
            vote.languages,
            vote.chosen,
        )

    def _sent_converter(self, converter: object) -> int:
        """Return the number of a converter, which is sent at its first use."""
        if converter is None:
            return 0
        number = self._converters.get(converter)
        if number is None:
            self._converter_count = number = self._converter_count + 1
            self._converters[converter] = number
            self._send("converter", 0, (number, converter))
        return number

    def _listen(self) -> None:
        started = False
        try:
            while True:
                (kind, number, value, figures), sound = self._channel.receive()
                self._sums.set(self._budget, figures)
                if kind == "started":
                    started, self.pid = True, value
                elif (reading := self.readings.get(number)) is not None:
                    reading.put(kind, value, sound)
        except EOFError:
            pass
        with self._lock:
            self.ended = True
        self.close()
        self.join()
        for reading in list(self.readings.values()):
            reading.put("crashed", _crash(self._process.returncode, started=started), None)


class ReaderPool:
    """The readers of one process. `open` may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        """Start none yet."""
        self._settings = settings
        self._sums = BudgetSums()
        self._readers: list[ReaderProcess] = []
        self._lock = threading.Lock()
        self._number = 0

    @property
    def pids(self) -> list[int]:
        """The ids of the readers that run."""
        with self._lock:
            return [each.pid for each in self._readers if not each.ended]

    @contextmanager
    def open(
        self, most: int, request: Request, cancelled: Callable[[], bool] | None
    ) -> Iterator[Reading]:
        """Give a recording to a reader, of which there may be `most`, until the block ends.

        Raises InferenceProcessCrashed if none can be started.
        """
        reader, reading = self._assigned(most, cancelled)
        reader.post("begin", reading.number, request)
        try:
            yield reading
        finally:
            reading.close()
            reader.readings.pop(reading.number, None)

    def close(self) -> None:
        """End all readers."""
        with self._lock:
            readers, self._readers = self._readers, []
        for each in readers:
            each.close()
        for each in readers:
            each.join()

    def _assigned(
        self, most: int, cancelled: Callable[[], bool] | None
    ) -> tuple[ReaderProcess, Reading]:
        with self._lock:
            self._number += 1
            while True:
                self._readers = [each for each in self._readers if not each.ended]
                reader = min(self._readers, key=lambda each: len(each.readings), default=None)
                if reader is None or (reader.readings and len(self._readers) < most):
                    reader = self._start()
                reading = Reading(self._number, reader.post, reader.send_when_done, cancelled)
                if reader.add(reading):
                    return reader, reading

    def _start(self) -> ReaderProcess:
        try:
            reader = ReaderProcess(self._settings, self._sums)
        except OSError as error:
            raise InferenceProcessCrashed(
                "recognizer.not_started",
                "The recognizer cannot be started: {cause}.",
                hint="Check this machine with: kb doctor",
                cause=error,
            ) from error
        self._readers.append(reader)
        return reader


def _crash(code: int | None, *, started: bool) -> InferenceProcessCrashed:
    error = InferenceProcessCrashed(
        "recognizer.reader_ended",
        "The process that read this recording ended ({cause}).",
        hint="Out of memory or a damaged file? See: kb doctor",
        cause=f"exit code {code}",
    )
    error.ready = started
    return error


def _environment() -> dict[str, str]:
    """Return the environment of a reader.

    It finds its modules where this process does, and computes with one thread.
    """
    here = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100 - "" is this folder
    return {**os.environ, **one_thread(), "PYTHONPATH": os.pathsep.join(here)}
