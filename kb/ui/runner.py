"""The worker behind the page: started with the app, watched, stopped by hand.

The work itself is done by worker processes, which go on without the page and without the
server. Nothing here calls `st.*`; any thread may call any method.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import psutil

from kb.errors import KBError
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.heartbeat import list_workers
from kb.options import RunOptions
from kb.service import Service, uploads
from kb.settings import get_settings

POLL_EVERY_S = 2.0
SWEEP_EVERY_S = 300.0
STARTING_S = 60.0  # a worker that does not show within so long has not come up
STOPPING_S = 30.0
TRIES = 3  # starts in a row that end at once, before it is left alone

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """How the workers stand: `running`, `paused`, `starting`, `stopping`, `stopped` or `ends`.

    `count` are alive; `ends` means that it was started and came up for no time at all.
    """

    state: str
    count: int = 0


class WorkerSupervisor:
    """Keeps one worker of this machine alive, unless it was stopped on purpose.

    A worker that says good-bye (`kb worker --stop`, the button, Ctrl-C) stays away; one that
    was killed is started again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.poll_count = 0  # how often
        self._pid: int | None = None  # of the worker that was started last
        self._started_at = 0.0
        self._came_up = False  # whether it has come up
        self._stopping_since = 0.0
        self._tries = 0

    # For the server

    def start_polling(self) -> None:
        """Start a worker if none is alive, and look after it from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
                self._thread.start()

    def stop_polling(self) -> None:
        """Stop looking; the worker goes on."""
        self._stop.set()

    @property
    def pid(self) -> int | None:
        """Process id of the worker that was started last."""
        return self._pid

    # For the page

    def start(self, service: Service, options: RunOptions | None = None) -> None:
        """Start a worker unless one is alive or on its way; a run's own preset and number of
        preparations become its own. Raises LibraryError.
        """
        with self._lock:
            self._tries = 0
            self._stopping_since = 0.0
            if not service.queue.own_worker_alive() and not self._is_starting():
                self._launch(service, options)

    def stop(self, service: Service) -> None:
        """Ask every worker to stop. Raises LibraryError."""
        with self._lock:
            self._pid = None
            self._stopping_since = time.monotonic()
            service.queue.stop_workers()

    def view(self, service: Service) -> WorkerView:
        """How the workers stand. Raises LibraryError."""
        count = len(service.queue.workers())
        if count:
            if self._stopping_since and time.monotonic() - self._stopping_since < STOPPING_S:
                return WorkerView("stopping", count)
            paused = any(lane.name == workflow_ids.ITEM_LANE for lane in service.queue.lanes())
            return WorkerView("paused" if paused else "running", count)
        if self._is_starting():
            return WorkerView("starting")
        return WorkerView("ends" if self._pid is not None and not self._came_up else "stopped")

    # Inside

    def _run(self) -> None:
        service = Service(get_settings())
        first, sweep_at = True, time.monotonic() + SWEEP_EVERY_S
        while True:
            try:
                self._poll(service, first=first)
                first = False
            except KBError as error:
                log.warning("%s %s", error.message, error.hint)
            except Exception:
                log.exception("Looking after the worker failed")
            self.poll_count += 1
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + SWEEP_EVERY_S
                with suppress(KBError, OSError):
                    uploads.sweep(service)
            if self._stop.wait(POLL_EVERY_S):
                service.close()
                return

    def _poll(self, service: Service, *, first: bool) -> None:
        with self._lock:
            if service.queue.workers():
                self._came_up, self._tries = True, 0
                throughput_meter().record(service.queue.figures(0.0).transcribed_s)
                return
            if self._is_starting() or self._tries >= TRIES:
                return
            failed = self._pid is not None and not self._came_up
            if first or failed or self._was_killed(service):
                self._launch(service)

    def _launch(self, service: Service, options: RunOptions | None = None) -> None:
        service.library.prepare()
        self._tries += 1
        self._came_up = False
        self._pid = service.workers.start(options=options)
        self._started_at = time.monotonic()

    def _is_starting(self) -> bool:
        """Whether a worker that was started here may still show."""
        if self._pid is None or self._came_up:
            return False
        if time.monotonic() - self._started_at > STARTING_S:
            return False
        return bool(psutil.pid_exists(self._pid))

    def _was_killed(self, service: Service) -> bool:
        """Whether this machine's worker went without a good-bye."""
        me = service.queue.own_executor_id
        return any(
            worker.executor_id == me and not worker.ended
            for worker in list_workers(service.queue.database)
        )


class ThroughputMeter:
    """How fast sound is read, measured by looking again and again."""

    WINDOW_S = 60.0
    MIN_SPAN_S = 4.0  # two looks nearer than this say nothing

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque()

    def record(self, read_s: float, now: float | None = None) -> None:
        """Note how much sound has been read in all, in seconds; `now` is monotonic."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if self._samples and read_s < self._samples[-1][1]:
                self._samples.clear()  # something was begun anew: what is less is no speed
            if self._samples and now - self._samples[-1][0] < 0.5:
                return  # several visitors look at once
            self._samples.append((now, read_s))
            while len(self._samples) > 2 and now - self._samples[0][0] > self.WINDOW_S:
                self._samples.popleft()

    def speed(self) -> float | None:
        """Seconds of sound a second over the last minute; None until it is known."""
        with self._lock:
            if not self._samples:
                return None
            (start, before), (end, after) = self._samples[0], self._samples[-1]
        if end - start < self.MIN_SPAN_S or after <= before:
            return None
        return (after - before) / (end - start)


@cache
def throughput_meter() -> ThroughputMeter:
    """The meter of this process, for all who look."""
    return ThroughputMeter()


@cache
def worker_supervisor() -> WorkerSupervisor:
    """The keeper of this process: modules are imported once, however often a script runs."""
    return WorkerSupervisor()
