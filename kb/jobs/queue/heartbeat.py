"""Live workers: a lock for each name, a heartbeat in the database, and the search for dead ones."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import sqlalchemy as sa
from filelock import FileLock, Timeout

from kb import storage
from kb.database import Database, workers
from kb.database.deadlines import BEAT
from kb.database.repeating import repeated
from kb.errors import UsageError
from kb.jobs.queue import hung_worker
from kb.jobs.queue.worker_names import (
    executor_id,
    ignores_case,
    is_here,
    other_name,
    remove_local,
    stop_file,
    workers_folder,
    write_local,
)
from kb.settings import Settings
from kb.sources.ytdlp.version import installed_version
from kb.storage.machine_boot import boot_id

HEARTBEAT_S = 2.0
HEARTBEAT_TIMEOUT_S = 10.0  # a worker whose heartbeat is older is shown as ended
WATCH_S = 6.0  # a silent worker is watched for at least this time before it is replaced
WATCH_POLL_S = 0.5
UNWATCHED_S = 15.0  # after a longer gap between two looks, silence is counted from the beginning
CRASHES_KEPT = 50

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as recorded in the database; times in seconds since the epoch."""

    executor_id: str
    host: str
    pid: int
    started_at: float
    seen_at: float
    ended: bool
    process_started: float | None = None  # start time of the process; None: not recorded
    crashes: tuple[float, ...] = ()  # last heartbeats of workers that did not sign off
    silent_s: float = 0.0  # since the last heartbeat, by the database's clock
    boot: str = ""  # of the machine; empty: recorded by an older version
    instance: str = ""
    serves: tuple[tuple[str, str], ...] = ()  # answers, see `machine_needs`
    steps: frozenset[str] = frozenset()  # those after the words whose parts it has
    ytdlp: str = ""  # the version that it has loaded, in the form of `kb.sources.ytdlp.version`

    def is_alive(self) -> bool:
        """Return whether the worker's heartbeat is recent and its process exists."""
        if self.ended or abs(self.silent_s) > HEARTBEAT_TIMEOUT_S:
            return False
        return not self.is_here or psutil.pid_exists(self.pid)

    @property
    def is_here(self) -> bool:
        """True if the worker runs, or ran, on this machine."""
        return is_here(self.host, self.boot)


class Heartbeat:
    """One worker's heartbeat. Call `acquire` before any other method and `release` at the end."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """`database`: its connections have deadlines of their own here (see `close`)."""
        self.executor = executor_id(settings)
        self._settings = settings
        self._database = database.with_deadlines(BEAT)
        self._name(self.executor)
        self._timeout_s = settings.worker_timeout_s
        self._instance = secrets.token_hex(8)

    def _name(self, name: str) -> None:
        self.executor = name
        self._lock_file = workers_folder(self._settings) / f"{name}.lock"
        self._lock = FileLock(self._lock_file)
        self.stop_file = stop_file(self._settings, name)

    @property
    def database(self) -> Database:
        """The database through the heartbeat's own connection."""
        return self._database

    def acquire(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Acquire the name for this worker.

        A process that holds the name and gives no heartbeat for the time of
        `KB_WORKER_TIMEOUT_S` is ended; `stopped` ends the wait for it. A worker without a name of
        its own takes another one if another machine's has the name of this host. Raises UsageError
        if another worker has the name: two workers of one name would take each other's running
        items. Raises LibraryError when the folder cannot be written or a hung process cannot be
        ended.
        """
        while True:
            self._acquire_lock(stopped)
            holder = self._sign_on()
            if holder is None:
                write_local(self._settings, self.executor)
                return
            self._lock.release()
            if self._settings.executor_id or stopped():
                raise _name_taken(holder)
            self._name(other_name(executor_id(self._settings)))
            log.warning(
                "a worker on another machine has the name of this host (%s, process %d); this one "
                "takes the name %s", holder.host, holder.pid, self.executor,
            )  # fmt: skip

    def _acquire_lock(self, stopped: Callable[[], bool]) -> None:
        try:
            storage.make_folder(self._lock_file.parent)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                self._replace_hung(stopped)
            self.stop_file.unlink(missing_ok=True)
        except OSError as error:
            raise storage.library_error(error, self._lock_file, "write") from error

    @repeated
    def _sign_on(self) -> WorkerInfo | None:
        """Write this worker's row; return the worker of another machine that has the name.

        The row is the judge, because a share may not carry locks from one machine to another.
        """
        now = self._database.clock()
        own_row = workers.c.executor_id == self.executor
        with self._database.begin() as connection:
            twin = self._twin(connection)
            if twin is not None:
                return twin
            self._database.insert_if_missing(
                connection, workers, executor_id=self.executor, started_at=now, seen_at=now,
                ended_at=now,
            )  # fmt: skip
            row = connection.execute(_workers_query(self._database).where(own_row).with_for_update(
                of=workers
            )).one()  # fmt: skip
            before = _worker_info(row)
            if self._is_taken_by(before):
                return before
            crashes = () if before.ended else (*before.crashes, before.seen_at)
            values = {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_at": now,
                "seen_at": now,
                "ended_at": None,
                "instance": self._instance,
                "facts": {
                    "python": sys.version.split()[0],
                    "process_started": psutil.Process().create_time(),
                    "boot": boot_id(),
                    "crashes": list(crashes[-CRASHES_KEPT:]),
                    "ytdlp": installed_version(),
                },
            }
            connection.execute(sa.update(workers).where(own_row).values(**values))
        return None

    def _twin(self, connection: sa.Connection) -> WorkerInfo | None:
        """Return the worker of another machine whose files would be those of this one.

        Where a folder ignores upper and lower case, `GPU` and `gpu` have the same lock and the same
        request to stop.
        """
        if not ignores_case(self._lock_file):
            return None
        other = sa.and_(
            sa.func.lower(workers.c.executor_id) == self.executor.lower(),
            workers.c.executor_id != self.executor,
        )
        rows = connection.execute(_workers_query(self._database).where(other)).all()
        return next((each for row in rows if self._is_taken_by(each := _worker_info(row))), None)

    def _is_taken_by(self, holder: WorkerInfo) -> bool:
        """Return True if this worker of another machine lives, so that its name is taken."""
        return not (holder.ended or holder.is_here) and holder.silent_s < self._timeout_s

    def _replace_hung(self, stopped: Callable[[], bool]) -> None:
        """Wait until the holder of the name ends or counts as hung, end it, acquire the name.

        Raises UsageError when the holder is alive: it gives a heartbeat, or has another machine's.
        """
        holder = self._row()
        if holder is None:
            raise self._running()
        # A heartbeat in the future is that of a clock that was wrong: its holder is watched too.
        silent_s = abs(holder.silent_s)
        if silent_s <= HEARTBEAT_TIMEOUT_S:
            raise self._running()
        if not holder.is_here and not holder.ended:
            raise _silent_elsewhere(holder, silent_s)
        if hung_worker.process_of(holder) is None:
            raise self._running()
        # While another program locks the database, a healthy worker cannot write its heartbeat.
        with self._database.begin() as connection:
            own_row = workers.c.executor_id == self.executor
            connection.execute(sa.update(workers).where(own_row).values(pid=workers.c.pid))
        # The clock may have jumped and the machine may have slept: the holder is watched.
        watch_s = max(WATCH_S, self._timeout_s - silent_s)
        log.warning(
            "worker %s (process %d) has not answered for %.0f s; it is replaced in %.0f s",
            self.executor, holder.pid, silent_s, watch_s,
        )  # fmt: skip
        ends_at = time.monotonic() + watch_s
        while time.monotonic() < ends_at:
            time.sleep(WATCH_POLL_S)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                pass
            else:
                return
            now = self._row()
            if stopped() or now is None or now.seen_at != holder.seen_at:
                raise self._running()
        hung_worker.end(holder)
        log.warning(
            "worker %s (process %d) did not answer and was ended; its items go on",
            self.executor, holder.pid,
        )  # fmt: skip
        try:
            self._lock.acquire(timeout=hung_worker.END_TIMEOUT_S)
        except Timeout:
            raise self._running() from None

    def _running(self) -> UsageError:
        return UsageError(
            "worker.running",
            "A worker named {name!r} is running already on this library{holder}.",
            hint="One is enough for each GPU. For a second GPU give it another "
            "name: KB_EXECUTOR_ID=second kb worker. To stop the first: kb "
            "worker --stop",
            name=self.executor,
            holder=self._holder(),
        )

    def beat(self) -> bool:
        """Write the heartbeat; return False if this worker was declared dead (`mark_dead`)."""
        return self._update(seen_at=self._database.clock())

    def release(self) -> None:
        """Record the end of this worker and release its name."""
        remove_local(self._settings, self.executor)
        self._update(ended_at=self._database.clock())
        self._lock.release()

    def close(self) -> None:
        """Close the heartbeat's connection."""
        self._database.close()

    def library_available(self) -> bool:
        """Return whether the library folder exists (not moved, its disk connected)."""
        try:
            return self._lock_file.exists()
        except OSError:
            return False  # a disconnected network share raises errors of many kinds

    def stop_requested(self) -> bool:
        """Return whether the stop file exists, which requests the worker to stop."""
        try:
            return self.stop_file.exists()
        except OSError:
            return False

    @repeated
    def _update(self, **values: sa.ColumnElement[float]) -> bool:
        own_row = sa.and_(
            workers.c.executor_id == self.executor, workers.c.ended_at.is_(None),
            workers.c.instance == self._instance,
        )  # fmt: skip
        with self._database.begin() as connection:
            return bool(
                connection.execute(sa.update(workers).where(own_row).values(**values)).rowcount
            )

    def _row(self) -> WorkerInfo | None:
        found = list_workers(self._database)
        return next((each for each in found if each.executor_id == self.executor), None)

    def _holder(self) -> str:
        holder = self._row()
        if holder is None or holder.ended:
            return ""
        return f" (process {holder.pid} on {holder.host})"


def _silent_elsewhere(holder: WorkerInfo, silent_s: float) -> UsageError:
    return UsageError(
        "worker.silent_elsewhere",
        "The worker {name!r} on {host} (process {pid}) has the name and has not answered for "
        "{silent_s} s; from this machine it cannot be ended.",
        hint="On {host}: kb worker --stop, and if it stays, end process {pid}. Or start one of "
        "another name here: KB_EXECUTOR_ID=second kb worker",
        name=holder.executor_id,
        host=holder.host,
        pid=holder.pid,
        silent_s=round(silent_s),
    )


class DeadWorkerDetector:
    """Finds workers without a heartbeat, by this process's own clock.

    A worker is dead if its heartbeat did not change for the timeout. The age of the recorded time
    is not used: the clocks of two machines differ, and a clock may jump. Time in which this process
    could not look counts as no silence: after an outage of the network that all machines share, the
    others need a moment to give their next heartbeat.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._looked_at: float | None = None
        self._last_beats: dict[str, tuple[float, float]] = {}  # id -> (heartbeat, change time)

    def find(self, worker_infos: list[WorkerInfo], own_id: str, now: float) -> list[str]:
        """Return the names of dead workers. `now`: a monotonic time in seconds."""
        dead_ids: list[str] = []
        if self._looked_at is not None and now - self._looked_at > UNWATCHED_S:
            self._last_beats.clear()
        self._looked_at = now
        for worker in worker_infos:
            if worker.executor_id == own_id or worker.ended:
                self._last_beats.pop(worker.executor_id, None)
                continue
            beat, since = self._last_beats.get(worker.executor_id, (None, now))
            if beat != worker.seen_at:
                self._last_beats[worker.executor_id] = (worker.seen_at, now)
            elif now - since >= self._timeout_s:
                dead_ids.append(worker.executor_id)
        return dead_ids


def _name_taken(holder: WorkerInfo) -> UsageError:
    return UsageError(
        "worker.name_taken",
        "A worker named {name!r} works on another machine: {host}, process {pid}, last heartbeat "
        "{silent_s} s ago.",
        hint="Give this one another name: KB_EXECUTOR_ID=second kb worker. Or stop the other: "
        "kb worker --stop",
        name=holder.executor_id,
        host=holder.host,
        pid=holder.pid,
        silent_s=round(holder.silent_s),
    )


@repeated
def list_workers(database: Database) -> list[WorkerInfo]:
    """Return every worker that was started on this library, by name."""
    with database.begin() as connection:
        rows = connection.execute(
            _workers_query(database).order_by(workers.c.executor_id)
        ).all()  # fmt: skip
    return [_worker_info(row) for row in rows]


def _workers_query(database: Database) -> sa.Select[Any]:
    return sa.select(workers, (database.clock() - workers.c.seen_at).label("silent_s"))


def _worker_info(row: sa.Row[Any]) -> WorkerInfo:
    facts = row.facts if isinstance(row.facts, dict) else {}
    started, crashes = facts.get("process_started"), facts.get("crashes")
    return WorkerInfo(
        row.executor_id, row.host, row.pid, row.started_at, row.seen_at,
        row.ended_at is not None,
        started if isinstance(started, float) else None,
        tuple(crashes) if isinstance(crashes, list) else (),
        silent_s=float(row.silent_s),
        boot=str(facts.get("boot", "")),
        instance=str(row.instance or ""),
        serves=tuple((str(key), str(code)) for key, code in (facts.get("serves") or {}).items()),
        steps=frozenset(map(str, facts.get("steps") or ())),
        ytdlp=str(facts.get("ytdlp", "")),
    )  # fmt: skip


def mark_dead(database: Database, executor: str, reaper: str) -> None:
    """Record a dead worker as ended, so that its items are taken over once, and count it."""
    unfinished = sa.and_(workers.c.executor_id == executor, workers.c.ended_at.is_(None))
    with database.begin() as connection:
        change = sa.update(workers).where(unfinished).values(ended_at=database.clock())
        if not connection.execute(change).rowcount:
            return
    reaper_row = workers.c.executor_id == reaper
    # Apart from the change above: a lock of both rows would delay this worker's own heartbeat.
    with database.begin() as connection:
        own = sa.select(workers.c.facts).where(reaper_row).with_for_update()
        facts = dict(connection.scalar(own) or {})
        facts["reaped"] = facts.get("reaped", 0) + 1
        connection.execute(sa.update(workers).where(reaper_row).values(facts=facts))
