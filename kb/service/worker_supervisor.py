"""Supervision of this machine's worker: start, restart after it was killed, state.

Worker processes do the work, and continue after the process that started them has ended. Any
thread may call any method.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import psutil

from kb.errors import KBError, LibraryError
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.heartbeat import list_workers
from kb.options import RunOptions
from kb.service.service import Service
from kb.service.workers import Workers
from kb.settings import get_settings

POLL_EVERY_S = 2.0
START_TIMEOUT_S = 60.0  # a worker that is not alive within this time has failed to start
STOPPING_S = 30.0
MAX_STARTS = 3  # consecutive workers that end at once before no further worker is started

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """State of the workers: `running`, `paused`, `starting`, `stopping`, `stopped`, `hung`, `ends`.

    `count` workers are alive; `hung` means that a process of a worker does not answer (the next
    start replaces it), `ends` that the last started worker ended before it was alive.
    """

    state: str
    count: int = 0


class Supervised(Protocol):
    """The parts of a service that supervision needs."""

    @property
    def queue(self) -> JobQueue: ...

    @property
    def workers(self) -> Workers: ...


@dataclass(frozen=True, slots=True)
class Chore:
    """Work that the supervisor's thread repeats; an error of it is logged."""

    run: Callable[[Service], object]
    every_s: float


class WorkerSupervisor:
    """The supervisor of one worker of this machine.

    A server polls (`start_polling`): a worker that signed off (`kb worker --stop`, the button,
    Ctrl-C) is not started again, a worker that was killed is. A caller that waits for items calls
    `ensure_running` repeatedly, which starts a worker in both cases.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.poll_count = 0
        self._pid: int | None = None  # of the last started worker
        self._started_at = 0.0
        self._by_itself: set[int] = set()  # the workers that no person asked for
        self._came_up = False  # true after that worker was alive
        self._stopping_since = 0.0
        self._starts = 0

    # For a server

    def start_polling(self, chores: Sequence[Chore] = ()) -> None:
        """Start a worker if none is alive, and supervise it in a thread.

        The thread also runs the chores, each for the first time after its own interval. A
        second call has no effect.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, args=(tuple(chores),), name="supervisor", daemon=True
                )
                self._thread.start()

    def stop_polling(self) -> None:
        """Stop supervising; the worker continues."""
        self._stop.set()

    @property
    def pid(self) -> int | None:
        """The process id of the last started worker."""
        return self._pid

    # For a user interface

    def start(self, service: Supervised, options: RunOptions | None = None) -> None:
        """Start a worker unless one is alive or starting. Raises LibraryError.

        The worker uses the preset and the number of preparation threads in `options`.
        """
        with self._lock:
            self._starts = 0
            self._stopping_since = 0.0
            if not service.queue.own_worker_alive() and not self._is_starting():
                self._launch(service, options)

    def ensure_running(self, service: Supervised, options: RunOptions | None = None) -> None:
        """Start a worker unless one is alive or starting; it ends when it is idle.

        Raises LibraryError when the workers end as soon as they are started.
        """
        with self._lock:
            if service.queue.workers():
                self._came_up, self._starts = True, 0
            elif self._came_up or not self._has_process():
                if self._starts >= MAX_STARTS:
                    log_file = service.workers.log_file
                    raise LibraryError(
                        "worker.ends_at_once",
                        "The worker ends as soon as it is started.",
                        hint="See {log}, or run in the foreground: kb worker",
                        log=log_file,
                    )
                self._launch(service, options, exit_when_idle=True)

    def stop(self, service: Supervised) -> None:
        """Ask every worker to stop, also one that is still starting. Raises LibraryError."""
        with self._lock:
            starting = self._pid if self._is_starting() else None
            self._pid = None
            self._by_itself.clear()
            self._stopping_since = time.monotonic()
            service.queue.stop_workers()
            if starting not in (None, *(worker.pid for worker in service.queue.workers())):
                _end_child(starting)  # it would remove the request when it signs on

    def started_by_itself(self) -> bool:
        """Return True if a worker runs or starts that the polling started and no person.

        A worker whose heartbeat is late is started again; the second process ends, for the first
        one has the name.
        """
        return any(map(psutil.pid_exists, tuple(self._by_itself)))

    def view(self, service: Supervised) -> WorkerView:
        """Return the state of the workers. Raises LibraryError."""
        count = len(service.queue.workers())
        if count:
            if self._stopping_since and time.monotonic() - self._stopping_since < STOPPING_S:
                return WorkerView("stopping", count)
            paused = any(lane.name == workflow_ids.ITEM_LANE for lane in service.queue.lanes())
            return WorkerView("paused" if paused else "running", count)
        if self._is_starting():
            return WorkerView("starting")
        if service.queue.hung_workers():
            return WorkerView("hung")
        return WorkerView("ends" if self._pid is not None and not self._came_up else "stopped")

    # Internal

    def _run(self, chores: Sequence[Chore]) -> None:
        service = Service(get_settings())
        is_first = True
        now = time.monotonic()
        due_at = [now + chore.every_s for chore in chores]
        while True:
            polled = _attempt(partial(self._poll, service, is_first=is_first))
            is_first = is_first and not polled
            self.poll_count += 1
            for number, chore in enumerate(chores):
                if (now := time.monotonic()) >= due_at[number]:
                    due_at[number] = now + chore.every_s
                    _attempt(partial(chore.run, service))
            if self._stop.wait(POLL_EVERY_S):
                service.close()
                return

    def _poll(self, service: Supervised, *, is_first: bool) -> None:
        with self._lock:
            if service.queue.workers():
                self._came_up, self._starts = True, 0
                return
            if self._is_starting() or self._starts >= MAX_STARTS:
                return
            failed = self._pid is not None and not self._came_up
            if is_first or failed or _was_killed(service.queue):
                self._launch(service, by_itself=True)

    def _launch(
        self,
        service: Supervised,
        options: RunOptions | None = None,
        *,
        exit_when_idle: bool = False,
        by_itself: bool = False,
    ) -> None:
        # A start that raises is not counted: a missing library may be available at the next poll.
        self._pid = service.workers.start(exit_when_idle=exit_when_idle, options=options)
        self._starts += 1
        self._by_itself = (
            {*filter(psutil.pid_exists, self._by_itself), self._pid} if by_itself else set()
        )
        self._came_up = False
        self._started_at = time.monotonic()

    def _is_starting(self) -> bool:
        """Return whether a worker that this process started may still become alive."""
        if self._came_up or time.monotonic() - self._started_at > START_TIMEOUT_S:
            return False
        return self._has_process()

    def _has_process(self) -> bool:
        return self._pid is not None and bool(psutil.pid_exists(self._pid))


def _end_child(pid: int | None) -> None:
    """Send SIGTERM to a process if this one started it."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.ppid() == os.getpid():
            process.terminate()


def _attempt(action: Callable[[], object]) -> bool:
    """Return whether the action succeeded; an error of it is logged."""
    try:
        action()
    except KBError as error:
        log.warning("%s %s", error.message, error.hint)
    except Exception:
        log.exception("Supervising the worker failed")
    else:
        return True
    return False


def _was_killed(queue: JobQueue) -> bool:
    """Return whether this machine's worker ended without signing off."""
    return any(queue.is_own(worker) and not worker.ended for worker in list_workers(queue.database))


@cache
def worker_supervisor() -> WorkerSupervisor:
    """Return the supervisor of this process, which all visitors of a server share."""
    return WorkerSupervisor()
