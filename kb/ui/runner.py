"""The worker behind the page: started with the app, watched, stopped by hand.

The work itself is done by worker processes, which go on without the page and without the
server. Nothing here calls `st.*`; any thread may call any method.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from functools import cache

import psutil

from kb.errors import KBError
from kb.jobs import names
from kb.jobs.presence import list_workers
from kb.service import Service
from kb.settings import get_settings

LOOK_EVERY_S = 2.0
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


class Keeper:
    """Keeps one worker of this machine alive, unless it was stopped on purpose.

    A worker that says good-bye (`kb worker --stop`, the button, Ctrl-C) stays away; one that
    was killed is started again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid: int | None = None  # of the worker that was started last
        self._started_at = 0.0
        self._shown = False  # whether it has come up
        self._stopping_since = 0.0
        self._tries = 0

    # For the server

    def watch(self) -> None:
        """Start a worker if none is alive, and look after it from now on."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """Stop looking; the worker goes on."""
        self._stop.set()

    # For the page

    def start(self, service: Service) -> None:
        """Start a worker unless one is alive or on its way. Raises LibraryError."""
        with self._lock:
            self._tries = 0
            self._stopping_since = 0.0
            if not service.jobs.own_worker() and not self._coming():
                self._launch(service)

    def stop(self, service: Service) -> None:
        """Ask every worker to stop. Raises LibraryError."""
        with self._lock:
            self._pid = None
            self._stopping_since = time.monotonic()
            service.jobs.stop_workers()

    def view(self, service: Service) -> WorkerView:
        """How the workers stand. Raises LibraryError."""
        count = len(service.jobs.workers())
        if count:
            if self._stopping_since and time.monotonic() - self._stopping_since < STOPPING_S:
                return WorkerView("stopping", count)
            paused = any(lane.name == names.ITEM_LANE for lane in service.jobs.lanes())
            return WorkerView("paused" if paused else "running", count)
        if self._coming():
            return WorkerView("starting")
        return WorkerView("ends" if self._pid is not None and not self._shown else "stopped")

    # Inside

    def _run(self) -> None:
        service = Service(get_settings())
        first = True
        while True:
            try:
                self._look(service, first=first)
                first = False
            except KBError as error:
                log.warning("%s %s", error.message, error.hint)
            except Exception:
                log.exception("Looking after the worker failed")
            if self._stop.wait(LOOK_EVERY_S):
                service.close()
                return

    def _look(self, service: Service, *, first: bool) -> None:
        with self._lock:
            if service.jobs.workers():
                self._shown, self._tries = True, 0
                return
            if self._coming() or self._tries >= TRIES:
                return
            failed = self._pid is not None and not self._shown
            if first or failed or self._was_killed(service):
                self._launch(service)

    def _launch(self, service: Service) -> None:
        service.library.prepare()
        self._tries += 1
        self._shown = False
        self._pid = service.start_worker()
        self._started_at = time.monotonic()

    def _coming(self) -> bool:
        """Whether a worker that was started here may still show."""
        if self._pid is None or self._shown:
            return False
        if time.monotonic() - self._started_at > STARTING_S:
            return False
        return psutil.pid_exists(self._pid)

    def _was_killed(self, service: Service) -> bool:
        """Whether this machine's worker went without a good-bye."""
        me = service.jobs.own_name
        return any(
            worker.executor_id == me and not worker.ended
            for worker in list_workers(service.jobs.catalogue)
        )


@cache
def keeper() -> Keeper:
    """The keeper of this process: modules are imported once, however often a script runs."""
    return Keeper()
