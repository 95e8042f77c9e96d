"""Recordings fed to the model's process for a fixed time, and what its processes do meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import psutil

from kb.errors import Cancelled, KBError
from kb.inference.process import InferenceProcess
from kb.inference.transcription_options import TranscriptionOptions

READER = "kb.inference.readers.reader"
LEAST_BATCHES = 3  # of which the first and the last do not count
_POLL_S = 0.05


@dataclass(frozen=True)
class Batch:
    """One batch of the model's thread: its times (time.monotonic), sound and CPU seconds."""

    began: float
    ended: float
    windows: int
    audio_s: float
    cpu_s: float


def read_batches(noted: Path, since: float = 0.0, until: float = float("inf")) -> list[Batch]:
    """Return the batches that the model's process has noted, of those that ended between two times.

    A last line that is just being written is left out.
    """
    if not noted.exists():
        return []
    *lines, _ = noted.read_text(encoding="utf-8").split("\n")
    batches = [Batch(**json.loads(line)) for line in lines]
    return [batch for batch in batches if since <= batch.ended <= until]


@dataclass
class Feed:
    """Threads that read the recordings again and again, until `stop` or a failure."""

    process: InferenceProcess
    options: TranscriptionOptions
    paths: Sequence[Path]
    ended: int = 0  # recordings that were read to their end
    error: Exception | None = None
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, in_flight: int) -> Iterator[None]:
        """Read so many recordings at once; those that are under way at the end are cancelled."""
        paths = cycle(self.paths)

        def read() -> None:
            while not self._stopped.is_set():
                with self._lock:
                    path = next(paths)
                try:
                    self.process.transcribe(path, self.options, cancelled=self._stopped.is_set)
                except Cancelled:
                    return
                except KBError as error:
                    self.error = error
                    return
                with self._lock:
                    self.ended += 1

        with ThreadPoolExecutor(in_flight) as pool:
            try:
                for _ in range(in_flight):
                    pool.submit(read)
                yield
            finally:
                self._stopped.set()

    def wait(self, reached: Callable[[], bool], until: float) -> None:
        """Wait for a condition, at most to a time (time.monotonic). Raises the feed's error."""
        while not reached() and time.monotonic() < until:
            if self.error is not None:
                raise self.error
            time.sleep(_POLL_S)


@dataclass(frozen=True)
class Cores:
    """The cores that each kind of process used, as a mean over some time."""

    model: float
    readers: float
    ffmpeg: float

    def __str__(self) -> str:
        return f"{self.model:.1f} / {self.readers:.1f} / {self.ffmpeg:.1f}"


class CoreMeter:
    """CPU seconds of the model's process, its readers and the programs that they started."""

    def __init__(self, pid: int) -> None:
        self._model = psutil.Process(pid)
        self._began = time.monotonic()
        self._before = self._seconds()

    def cores(self) -> Cores:
        """Return the means since the meter was made; processes that have ended do not count."""
        wall_s = max(1e-9, time.monotonic() - self._began)
        now = self._seconds()
        spent = [0.0, 0.0, 0.0]
        for pid, (kind, own_s, children_s) in now.items():
            _, own_before_s, children_before_s = self._before.get(pid, (kind, 0.0, 0.0))
            spent[kind] += own_s - own_before_s
            spent[2] += children_s - children_before_s
        return Cores(*(seconds / wall_s for seconds in spent))

    def _seconds(self) -> dict[int, tuple[int, float, float]]:
        """Return for each process its kind, its own seconds and those of its ended ffmpegs."""
        found: dict[int, tuple[int, float, float]] = {}
        with suppress(psutil.Error):
            for process in (self._model, *self._model.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    reader = READER in process.cmdline()
                    if process != self._model and not reader:
                        continue  # (an ffmpeg counts once it has ended, for who started it)
                    # (Windows does not count them.)
                    ended_s = getattr(times, "children_user", 0.0)
                    ended_s += getattr(times, "children_system", 0.0)
                    found[process.pid] = int(reader), times.user + times.system, ended_s
        return found
