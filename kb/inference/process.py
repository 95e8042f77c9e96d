"""The worker's end of the connection to the inference process, which runs the model.

If a recognizer crashes (a broken driver, no memory left, a file that crashes a codec), only this
process ends. The worker detects it, starts a new process and tries the item again; an item that was
alone in three processes that crashed is not tried again.

A broken CUDA context is not caused by an item: the process reports it and ends, and the items
continue in a new process. If that happens again before any item was finished, the next process uses
the CPU.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from gpu.devices import unrequested_cpu
from gpu.monitor import Sample
from gpu.status import Snapshot
from gpu.threads import limit_started_processes
from gpu.throughput import Calibration
from kb.errors import Cancelled, KBError, RetryLater
from kb.inference.crash import InferenceProcessCrashed
from kb.inference.malloc import return_free_memory_soon
from kb.inference.serving import serve
from kb.inference.transcription_options import TranscriptionOptions
from kb.settings import Settings
from kb.types import Segment, Transcript

if TYPE_CHECKING:
    from kb.asr.first_readings import OnText

log = logging.getLogger(__name__)

READY = 1e-6  # progress of an item whose recognizer is ready, before its first words
_POLL_S = 0.2  # interval at which a waiting item checks for cancellation
URGENT_PATIENCE_S = 5.0  # longest wait of an urgent medium for one that is decoded alone

MAX_DEVICE_LOSSES = 2  # in a row; then the CPU is used
SAMPLES_KEPT = 300


@dataclass(slots=True)
class _Request:
    """An item that was sent to the process of this connection."""

    connection: Connection
    done: threading.Event = field(default_factory=threading.Event)
    changed: threading.Event = field(default_factory=threading.Event)  # a text, or the end
    texts: SimpleQueue[tuple[Segment, ...]] = field(default_factory=SimpleQueue)
    ready: bool = False
    progress: float = 0.0
    result: Transcript | None = None
    error: KBError | None = None

    def end(self) -> None:
        """Wake the waiting caller up: there is a result or an error."""
        self.done.set()
        self.changed.set()


class InferenceProcess:
    """The worker's end: `transcribe` as in `InferenceSession`, executed in the process.

    It may be called from many threads. `exclusive` items are decoded alone, so that a crash
    certainly belongs to them.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int,
        *,
        calibrations: Callable[[], Sequence[Calibration]] = tuple,
        main: Callable[..., None] | None = None,
    ) -> None:
        """Start no process yet: the first `transcribe` starts it.

        `workers`: number of items that the process prepares (decodes, cuts) at once, as long as no
        item with its own preset is in progress. `calibrations`: returns the calibrations of this
        machine, called for each new process and by `renew_calibrations`; `main`: function that the
        process runs, `serve` by default.
        """
        self._settings = settings
        self._workers = workers
        self._calibrations = calibrations
        self._main = main or serve
        self._known_calibrations: tuple[Calibration, ...] = ()  # those that the process has
        self.snapshot: Snapshot | None = None  # the newest snapshot that was received
        self.restarts = 0  # number of restarts after a lost device
        self.cpu_reason = ""  # reason for using the CPU from now on, as a clause
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self._losses = 0
        self._lock = threading.Lock()
        self._requests: dict[int, _Request] = {}
        self._number = 0
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._closed = False
        self._admission_changed = threading.Condition()
        self._active = 0
        self._exclusive = False
        self._waiting_exclusive = 0

    @property
    def trouble(self) -> str:
        """The reason for the CPU, as a clause, where the settings name a GPU or it failed."""
        snapshot = self.snapshot
        if self.cpu_reason or snapshot is None:
            return self.cpu_reason
        return unrequested_cpu(self._settings.device, snapshot.device)

    def transcribe(
        self,
        path: Path,
        options: TranscriptionOptions,
        *,
        sha256: str = "",
        shown_as: str = "",
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        on_text: OnText | None = None,
        exclusive: bool = False,
    ) -> Transcript:
        """Transcribe one media file.

        Raises InferenceProcessCrashed, and the errors of `InferenceSession.transcribe`.

        `progress` gets `READY` once the model is loaded. `progress`, `on_text` and `cancelled` are
        called on the caller's own thread: they may be slow without delaying other items.
        """
        with self._admission(exclusive, cancelled, urgent=options.urgent):
            number, request = self._send(path, options, sha256, shown_as, on_text is not None)
            cancel_sent, reported = False, 0.0
            while not request.done.is_set():
                request.changed.wait(_POLL_S)
                request.changed.clear()
                _pass_on(request.texts, on_text)
                if progress and request.ready and not reported:
                    reported = READY
                    progress(READY)
                if progress and request.progress > reported:
                    reported = request.progress
                    progress(reported)
                if not cancel_sent and cancelled and cancelled():
                    cancel_sent = True
                    self._send_message(request.connection, ("cancel", number))
        _pass_on(request.texts, on_text)
        return_free_memory_soon()  # of this process, which writes the files of the medium next
        if request.error is not None:
            raise request.error
        assert request.result is not None
        return request.result

    def preload(self) -> None:
        """Start the process now if the table of models names a model to load at the start.

        Raises SettingsError for a bad table, and InferenceProcessCrashed.
        """
        from kb.asr.engines.model_table import load_models

        if load_models(self._settings).preload is None:
            return
        with self._lock:
            if not self._closed and self._process is None:
                self._start_or_explain()

    def renew_calibrations(self) -> None:
        """Give the process the calibrations of this machine if they have changed."""
        if self._process is None:
            return
        found = tuple(self._calibrations())
        with self._lock:
            if self._connection is None or found == self._known_calibrations:
                return
            self._known_calibrations = found
            with contextlib.suppress(OSError, ValueError):
                self._connection.send(("calibrations", found))

    def drain_samples(self) -> list[Sample]:
        """Return the samples received since the last call."""
        with self._lock:
            samples = list(self._samples)
            self._samples.clear()
        return samples

    @property
    def pid(self) -> int | None:
        """Id of the process; None without a process."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process; its items fail with InferenceProcessCrashed."""
        with self._lock:
            self._closed = True
            process, connection = self._process, self._connection
        if connection is not None:
            self._send_message(connection, ("end",))
        if process is not None:
            process.join(2.0)
            if process.is_alive():
                process.kill()
                process.join()

    @contextlib.contextmanager
    def _admission(
        self, exclusive: bool, cancelled: Callable[[], bool] | None, *, urgent: bool
    ) -> Iterator[None]:
        refused_at = time.monotonic() + URGENT_PATIENCE_S
        with self._admission_changed:
            self._waiting_exclusive += exclusive
            try:
                # Later items wait for an exclusive item, or it would wait until the queue is empty.
                while self._exclusive or (self._active if exclusive else self._waiting_exclusive):
                    self._admission_changed.wait(_POLL_S)
                    if cancelled and cancelled():
                        raise Cancelled("recognizer.stopped_waiting", "Stopped before it began.")
                    if urgent and time.monotonic() > refused_at:
                        raise RetryLater(
                            "recognizer.busy_alone",
                            "A file that ended the recognizer before is tried alone now.",
                            hint="Try again in a few seconds.",
                        )
            finally:
                self._waiting_exclusive -= exclusive
            self._active += 1
            self._exclusive = exclusive
        try:
            yield
        finally:
            with self._admission_changed:
                self._active -= 1
                self._exclusive = False if exclusive else self._exclusive
                self._admission_changed.notify_all()

    def _send(
        self,
        path: Path,
        options: TranscriptionOptions,
        sha256: str,
        shown_as: str,
        wants_text: bool,
    ) -> tuple[int, _Request]:
        with self._lock:
            if self._closed:
                raise InferenceProcessCrashed(
                    "recognizer.worker_stopping", "The worker is stopping."
                )
            if self._process is None or not self._process.is_alive():
                self._start_or_explain()
            assert self._connection is not None
            self._number += 1
            request = self._requests[self._number] = _Request(self._connection)
            # If the process crashed just now, the listener informs all requests, including this
            # one.
            with contextlib.suppress(OSError):
                self._connection.send(
                    ("transcribe", self._number, path, options, sha256, shown_as, wants_text)
                )
            return self._number, request

    def _send_message(self, connection: Connection, message: tuple[Any, ...]) -> None:
        with self._lock, contextlib.suppress(OSError, ValueError):
            connection.send(message)

    def _start_or_explain(self) -> None:
        try:
            self._start()
        except OSError as error:
            raise InferenceProcessCrashed(
                "recognizer.not_started",
                "The recognizer cannot be started: {cause}.",
                hint="Check this machine with: kb doctor",
                cause=error,
            ) from error

    def _start(self) -> None:
        limit_started_processes()
        context = multiprocessing.get_context("spawn")
        parent_connection, child_connection = context.Pipe()
        self._known_calibrations = found = tuple(self._calibrations())
        process = context.Process(
            target=self._main,
            args=(child_connection, self._settings, self._workers),
            kwargs={"cpu_reason": self.cpu_reason, "calibrations": found},
            name="kb-model-host",
            daemon=True,
        )
        process.start()
        child_connection.close()
        self._process, self._connection = process, parent_connection
        threading.Thread(
            target=self._listen,
            args=(parent_connection, process),
            name="model-host-line",
            daemon=True,
        ).start()

    def _listen(self, connection: Connection, process: SpawnProcess) -> None:
        device_failure = ""
        while True:
            try:
                number, kind, value = connection.recv()
            except (EOFError, OSError):
                break
            if kind == "machine":
                self._record_snapshot(value)
                continue
            if kind == "lost":
                device_failure = device_failure or value
                continue
            with self._lock:
                request = self._requests.get(number)
                if request is None:
                    continue
                if kind in ("transcript", "error"):
                    del self._requests[number]
            if kind == "ready":
                request.ready = True
                request.changed.set()
            elif kind == "progress":
                request.progress = value
            elif kind == "text":
                request.texts.put(value)
                request.changed.set()
            elif kind == "transcript":
                self._losses = 0
                request.result = pickle.loads(value)
                request.end()
            else:
                request.error = value
                request.end()
        process.join(5.0)
        if device_failure:
            self._count_loss(device_failure)
        with self._lock:
            if self._process is process:
                self._process = self._connection = self.snapshot = None
            # Another process may have been started: only the requests of this one are lost.
            crashed = {
                n: request
                for n, request in self._requests.items()
                if request.connection is connection
            }
            for number in crashed:
                del self._requests[number]
        for request in crashed.values():
            error = InferenceProcessCrashed(
                "recognizer.crashed",
                "The recognizer's process ended ({cause}).",
                hint="Out of memory or a damaged driver? See: kb doctor",
                cause=device_failure or f"exit code {process.exitcode}",
            )
            error.ready = request.ready
            error.device_lost = bool(device_failure)
            request.error = error
            request.end()

    def _record_snapshot(self, snapshot: Snapshot) -> None:
        with self._lock:
            self.snapshot = snapshot
            if snapshot.sample is not None:
                self._samples.append(snapshot.sample)

    def _count_loss(self, reason: str) -> None:
        """Count a failed device; after `MAX_DEVICE_LOSSES` in a row the CPU is used."""
        self.restarts += 1
        self._losses += 1
        log.warning("The device failed (%s); a fresh recognizer goes on", reason)
        if self._losses >= MAX_DEVICE_LOSSES and not self.cpu_reason:
            self.cpu_reason = f"the GPU failed {self._losses} times in a row, last with: {reason}"
            log.error("Going on with the CPU: %s", self.cpu_reason)


def _pass_on(texts: SimpleQueue[tuple[Segment, ...]], on_text: OnText | None) -> None:
    while on_text is not None and not texts.empty():
        on_text(texts.get())
