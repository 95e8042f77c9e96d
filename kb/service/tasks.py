"""Background tasks of the dashboard: each task is a separate process.

    <home>/.tasks/<name>.json      arguments, progress and result of the task

A task continues after the page and its server have ended; a page opened later shows it. At most
one task of a name runs at a time. The state of a killed task is "lost"; its completed steps are
kept, and every task may be started again. `python -m kb.service.tasks NAME` runs a task.

The record is read and written under `<name>.record.lock`. A task writes only into a record that
is its own and still says "running": a stop is never overwritten, and a task that finds itself
stopped or replaced ends.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psutil
from filelock import FileLock, Timeout

from kb import storage
from kb.errors import KBError, StoredProblem, UsageError
from kb.jobs.worker.spawn import start_detached
from kb.service.task_registry import TASKS
from kb.settings import Settings, get_settings, python_command
from kb.types.clock import is_younger
from kb.types.end_signals import END_SIGNALS, handle_end_signals

State = Literal["running", "done", "failed", "stopped", "lost"]

RECORD_EVERY_S = 0.5
HEARTBEAT_EVERY_S = 5.0
HEARTBEAT_TIMEOUT_S = 30.0  # without a heartbeat for this time, a task of another machine is lost
START_TIMEOUT_S = 60.0  # maximum time from start to the first heartbeat
STOP_TIMEOUT_S = 5.0  # time for a stopped process to end before it is killed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """The state of a task; times in epoch seconds, `pid` 0 until the process has started.

    `done` of `total` (0 while unknown) is the progress, `note` the current step, and `result` the
    result. `error` and `hint` give the cause of a failure and the next step.
    """

    name: str
    arguments: Mapping[str, Any]
    state: State
    started_at: float
    seen_at: float
    ended_at: float | None = None
    host: str = ""
    pid: int = 0
    born: float = 0.0
    done: int = 0
    total: int = 0
    note: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    hint: str = ""
    problem: StoredProblem | None = None

    @property
    def running(self) -> bool:
        return self.state == "running"


def read(settings: Settings, name: str) -> Task | None:
    """Return the newest task of this name, or None. Raises nothing.

    None is also returned for a damaged record.
    """
    try:
        values = storage.read_json(_file(settings, name))
        task = Task(**values)
    except (KBError, TypeError):
        return None
    if task.running and not _is_alive(task):
        lost = KBError(
            "task.lost",
            "The task {name} ended without a result: its process is gone.",
            hint="Start it again; what it did stays. See {log}.",
            name=name,
            log=_log_file(settings),
        )
        return Task(**{**asdict(task), "state": "lost", **lost.record()})
    return task


def start(settings: Settings, name: str, arguments: Mapping[str, Any] | None = None) -> Task:
    """Start a task and return immediately.

    Raises UsageError when the name is unknown or its task is running, and LibraryError when the
    library folder cannot be written.
    """
    if name not in TASKS:
        raise UsageError(
            "task.unknown",
            "There is no task {name!r}.",
            hint="Known: {known}.",
            name=name,
            known=", ".join(TASKS),
        )
    with _record_lock(settings, name):
        before = read(settings, name)
        if before is not None and before.running:
            raise UsageError(
                "task.running",
                "The same is running already.",
                hint="Wait for its end, or stop it, then try again.",
            )
        now = time.time()
        task = Task(name, dict(arguments or {}), "running", now, now, host=socket.gethostname())
        _write(settings, task)
    command = python_command("-m", "kb.service.tasks", name)
    start_detached(command, settings, _log_file(settings))
    return task


def stop(settings: Settings, name: str) -> None:
    """Stop a task of this machine, also one whose process is still starting.

    Raises UsageError if the task runs on another machine, and LibraryError when the library
    folder cannot be written.
    """
    with _record_lock(settings, name):
        task = read(settings, name)
        if task is None or not task.running:
            return
        if task.host != socket.gethostname():
            raise UsageError(
                "task.other_host", "It runs on {host}.", hint="Stop it there.", host=task.host
            )
        now = time.time()
        end = {"state": "stopped", "seen_at": now, "ended_at": now}
        _write(settings, Task(**{**asdict(task), **end}))
    if task.pid:
        _end_process(task)


def _end_process(task: Task) -> None:
    """End the process of a task; kill it when it does not end by itself."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(task.pid)
        if abs(process.create_time() - task.born) >= 1.0:
            return  # another process has the number now
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)


def run(settings: Settings, name: str) -> int:
    """Run the task whose record is in the library folder; return an exit code."""
    lock = FileLock(settings.home / ".tasks" / f"{name}.lock")
    try:
        lock.acquire(timeout=2 * STOP_TIMEOUT_S)  # the process of a stopped task may still end
    except Timeout:
        log.error("%s is running already", name)
        return 2
    with lock:
        try:
            return _TaskRun(settings, name).execute()
        except _NotOurs:
            return 0


class _NotOurs(BaseException):
    """The record says that the task was stopped, or belongs to a later start.

    Not an Exception: no step of a task may take it for a failure and go on.
    """


class _TaskRun:
    """One running task; its record is written during the run."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._request = request = storage.read_json(_file(settings, name))
        me = psutil.Process()
        self._values: dict[str, Any] = {
            **request, "state": "running", "host": socket.gethostname(), "pid": me.pid,
            "born": me.create_time(), "seen_at": time.time(),
        }  # fmt: skip
        self._lock = threading.Lock()
        self._recorded_at = 0.0
        self._finished = threading.Event()

    def execute(self) -> int:
        name = str(self._values["name"])
        if self._request["state"] != "running":
            return 0  # stopped before its process started
        self._record()  # raises _NotOurs when it was stopped since
        heartbeat = threading.Thread(target=self._heartbeat, name="signs", daemon=True)
        heartbeat.start()
        end: dict[str, Any]
        try:
            result = TASKS[name](self._settings, dict(self._values["arguments"]), self._progress)
            end = {"state": "done", "result": _as_json(result)}
        except KBError as error:
            end = {"state": "failed", **error.record()}
        except Exception as error:
            log.exception("%s failed", name)
            # The text of an unexpected error may contain a secret; it is written to the log only.
            unexpected = KBError(
                "task.unexpected",
                "The task {name} failed: an unexpected error ({kind}).",
                hint="See {log}.",
                name=name,
                kind=type(error).__name__,
                log=_log_file(self._settings),
            )
            end = {"state": "failed", **unexpected.record()}
        self._finished.set()
        heartbeat.join()
        self._record(**end, ended_at=time.time())
        return 0 if end["state"] == "done" else 1

    def _progress(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        with self._lock:
            self._values.update(done=done, total=total, note=note)
            if now - self._recorded_at < RECORD_EVERY_S and done < total:
                return
        self._record()

    def _heartbeat(self) -> None:
        while not self._finished.wait(HEARTBEAT_EVERY_S):
            try:
                self._record()
            except KBError:
                continue  # written by the next heartbeat
            except _NotOurs:
                os.kill(os.getpid(), signal.SIGTERM)  # the work runs in the main thread
                return

    def _record(self, **values: Any) -> None:
        name = str(self._values["name"])
        with self._lock, _record_lock(self._settings, name):
            recorded = read(self._settings, name)
            if recorded is not None and (
                recorded.state not in ("running", "lost")
                or recorded.started_at != self._values["started_at"]
            ):
                raise _NotOurs
            self._recorded_at = time.monotonic()
            self._values.update(values, seen_at=time.time())
            _write(self._settings, Task(**self._values))


def _as_json(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result after conversion to JSON and back."""
    plain: dict[str, Any] = json.loads(json.dumps(result, default=str))
    return plain


def _is_alive(task: Task) -> bool:
    if task.host != socket.gethostname():
        return is_younger(task.seen_at, HEARTBEAT_TIMEOUT_S)
    if not task.pid:
        return is_younger(task.started_at, START_TIMEOUT_S)
    try:
        process = psutil.Process(task.pid)
        born, status = float(process.create_time()), str(process.status())
        return abs(born - task.born) < 1.0 and status != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _record_lock(settings: Settings, name: str) -> AbstractContextManager[None]:
    return storage.locked(settings.home / ".tasks" / f"{name}.record.lock")


def _write(settings: Settings, task: Task) -> None:
    storage.write_json(_file(settings, task.name), asdict(task))


def _file(settings: Settings, name: str) -> Path:
    return settings.home / ".tasks" / f"{name}.json"


def _log_file(settings: Settings) -> Path:
    return settings.home / "logs" / "tasks.log"


def _break_off(number: int, _frame: FrameType | None) -> None:
    """Break off the work as Ctrl-C does, once: what waits for a program ends it."""
    for each in END_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _Ended(number)


class _Ended(KeyboardInterrupt):
    """The process is to end; its argument is the signal's number."""


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    handle_end_signals(_break_off)
    try:
        sys.exit(run(get_settings(), sys.argv[1]))
    except _Ended as ended:
        sys.exit(128 + int(ended.args[0]))
