"""Workers that hold their name and no longer answer, and workers that end again and again.

A worker that is stopped (SIGSTOP) or hangs keeps its lock, which only the end of its process
releases. Such a process is ended by its id, after its start time has shown that it is the same
process, so that it cannot wake up and write beside its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import sqlalchemy as sa

from kb.database import Database, items
from kb.database.repeating import repeated
from kb.errors import LibraryError

if TYPE_CHECKING:
    from kb.jobs.queue.heartbeat import WorkerInfo

SILENT_S = 10.0  # a worker whose heartbeat is older may hang
END_TIMEOUT_S = 10.0
START_SLACK_S = 2.0  # between a process's start time as two programs read it
STARTUP_S = 300.0  # between the start of a process and its first heartbeat
CRASHES_MIN, CRASHES_WITHIN_S = 3, 600.0


@dataclass(frozen=True, slots=True)
class CrashLoop:
    """A worker that ended `count` times since `since` (epoch seconds) without signing off.

    `lasts_s` is the time since then, `finished` the number of items that ended in this time.
    """

    executor_id: str
    count: int
    since: float
    lasts_s: float
    finished: int


def process_of(worker: WorkerInfo) -> psutil.Process | None:
    """Return the process of a worker of this machine; None if it has ended or is elsewhere."""
    if not worker.is_here or worker.pid <= 0:
        return None
    try:
        process = psutil.Process(worker.pid)
        started_at = process.create_time()
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        if worker.process_started is not None:
            same = abs(started_at - worker.process_started) < START_SLACK_S
        else:  # recorded by an older version
            early = worker.started_at - STARTUP_S < started_at <= worker.started_at + START_SLACK_S
            same = early and "worker" in process.cmdline()
    except psutil.Error:
        return None
    return process if same else None


def hung_workers(workers: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """Return the workers of this machine whose process lives without a heartbeat."""
    return [
        worker
        for worker in workers
        if abs(worker.silent_s) > SILENT_S and process_of(worker) is not None
    ]


def end(worker: WorkerInfo) -> bool:
    """End a worker's process and the processes that it started; return False if it had ended.

    Raises LibraryError if this account may not end it.
    """
    return end_process(process_of(worker), worker.executor_id)


def end_process(process: psutil.Process | None, name: str) -> bool:
    """End a process of a worker as `end` does."""
    if process is None:
        return False
    try:
        family = [process]
        with suppress(psutil.Error):
            family += process.children(recursive=True)
        # Killed and not asked: a stopped process does not handle a request.
        process.kill()
        for child in family[1:]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(family, timeout=END_TIMEOUT_S)
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            raise _cannot_end(name, process.pid)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        raise _cannot_end(name, process.pid) from None
    return True


def _cannot_end(name: str, pid: int) -> LibraryError:
    return LibraryError(
        "worker.hung",
        "The worker {name!r} (process {pid}) does not answer and cannot be ended by this account.",
        hint="End process {pid} as its owner or as administrator, then try again.",
        name=name,
        pid=pid,
    )


@repeated
def crash_loops(
    database: Database, workers: Sequence[WorkerInfo], now: float | None = None
) -> list[CrashLoop]:
    """Return the workers that ended without signing off several times in ten minutes."""
    now = database.time() if now is None else now
    found = []
    for worker in workers:
        recent = [at for at in worker.crashes if 0 <= now - at <= CRASHES_WITHIN_S]
        if len(recent) < CRASHES_MIN:
            continue
        query = sa.select(sa.func.count()).where(items.c.ended_at >= min(recent))
        with database.begin() as connection:
            finished = connection.scalar(query) or 0
        found.append(
            CrashLoop(
                worker.executor_id, len(recent), min(recent), now - min(recent), int(finished)
            )
        )
    return found
