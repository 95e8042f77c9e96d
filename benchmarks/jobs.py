"""The overhead of the queue: submitting, starting, polling, idling and cancelling.

    python benchmarks/jobs.py [--full]

The overhead of an item is measured with a real worker process whose stages do nothing: it
covers the queue, the workflow, three recorded steps and the item's row. All other figures are
measured on an unchanged `kb worker` with the bundled recognizer. `--full` adds the library of
5,000 items.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure, median, p95, timed_ms
from kb.jobs.queue.item_states import DONE, QUEUED, RUNNING
from kb.jobs.worker.item_steps import ItemSteps, StepResult
from kb.jobs.worker.worker import Worker
from kb.options import RunOptions
from kb.settings import get_settings
from kb.types import MediaItem
from tests.support.workers import Lab, write_talks

ROOT = Path(__file__).resolve().parent.parent

PAGE = 50
IDLE_S = 20.0
NO_STAGES = "--no-stages"  # runs this script as a worker


class NoStages(ItemSteps):
    """The steps of an item without their work."""

    def fetch(self) -> StepResult:
        return self._pass()

    def transcribe(self) -> StepResult:
        return self._pass()

    def publish(self) -> StepResult:
        with self._guard():
            self._finish(DONE, error="", hint="")
        return StepResult.ENDED

    def _pass(self) -> StepResult:
        self._wait_for_lane()
        with self._guard() as row:
            return StepResult.CONTINUE if row else StepResult.ENDED
        return StepResult.ENDED


class EmptyWorker(Worker):
    """`kb worker` with stages that do nothing."""

    steps_class = NoStages


def items(count: int, start: int = 0) -> list[MediaItem]:
    """Return `count` generated items."""
    return [
        MediaItem(
            f"youtube:{number:011x}", "youtube", f"https://youtu.be/{number:011x}",
            f"A talk about something, part {number}", f"2024-{number % 12 + 1:02d}-01",
            description="What is said in it, in a few sentences. " * 5,
        )
        for number in range(start, start + count)
    ]  # fmt: skip


@contextmanager
def empty_worker(lab: Lab) -> Iterator[psutil.Process]:
    """Run a worker of the lab whose stages do nothing."""
    process = subprocess.Popen(
        [sys.executable, __file__, NO_STAGES], env=lab.environment(), cwd=ROOT
    )
    lab.track(process.pid)
    lab.wait(lambda: any(w.pid == process.pid for w in lab.jobs.workers()), "a worker")
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def overhead(folder: Path, count: int) -> bool:
    """Queue `count` items, run an empty worker until all are done, and print the times."""
    with Lab(folder / f"empty-{count}") as lab:
        queued = items(count)
        _ = lab.jobs.database
        began = time.perf_counter()
        for first in range(0, count, 500):
            lab.jobs.submit(queued[first : first + 500], RunOptions())
        rate = count / (time.perf_counter() - began)
        figure(f"jobs.enqueue_rate.{count}", rate, "items/s")
        with empty_worker(lab):
            began = time.perf_counter()
            lab.wait(lambda: lab.jobs.counts()[DONE] == count, "the end", 900, 0.2)
            each = (time.perf_counter() - began) / count * 1000
            met = figure(f"jobs.overhead_per_item.{count}", each, "ms", at_most=50)
            if count == 100:
                waits = [start_latency(lab, number) for number in range(10)]
                figure("jobs.start_latency", median(waits), "s")
        return met


def start_latency(lab: Lab, number: int) -> float:
    """Return the seconds from queueing one item to its start (and, here, its end)."""
    time.sleep(0.13 * number)  # different phases between two polls of the queue
    (item,) = items(1, start=10**6 + number)
    began = time.perf_counter()
    lab.jobs.submit([item], RunOptions())
    while True:
        row = lab.jobs.items.read(item.id)
        if row is not None and row.state != QUEUED:
            return time.perf_counter() - began
        time.sleep(0.01)


def status_page(folder: Path) -> bool:
    """Time the dashboard's queries over 10,000 items of all states, some of a dead worker."""
    with Lab(folder / "many") as lab:
        lab.jobs.submit(items(10_000), RunOptions())
        store = lab.jobs.items
        with store.database.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE kb_items SET state = CASE WHEN serial % 2 = 1 AND id < "
                f"'youtube:{5000:011x}' THEN 'done' ELSE state END"
            )
            connection.exec_driver_sql(
                "UPDATE kb_items SET state = 'running', executor = 'gone' WHERE id >= "
                f"'youtube:{9900:011x}'"
            )

        def page(state: str | None) -> None:
            lab.service.items.statuses(state=state, limit=PAGE)
            lab.jobs.counts()
            lab.jobs.lanes()

        page(None)
        asked = [None, QUEUED, RUNNING, DONE] * 10
        met = figure("jobs.status_page.10000", p95(timed_ms(page, asked)), "ms", at_most=100)
        whole = timed_ms(lambda _: lab.service.items.statuses(), range(3))
        figure("jobs.status_all.10000", median(whole), "ms")
        return met


def idle(lab: Lab, worker: psutil.Process) -> bool:
    """Measure the share of a core that an idle worker and its inference process use."""

    def spent() -> float:
        times = [p.cpu_times() for p in (worker, *worker.children(recursive=True))]
        return sum(t.user + t.system for t in times)

    time.sleep(3)
    before, began = spent(), time.perf_counter()
    time.sleep(IDLE_S)
    share = (spent() - before) / (time.perf_counter() - began) * 100
    return figure("jobs.idle_cpu", share, "% of a core", at_most=3)


def while_working(lab: Lab, folder: Path) -> bool:
    """Time `kb status --json` beside a busy worker, and the cancelling of a transcription."""
    long, short = (
        write_talks(folder / "in", 2, words=2000),
        write_talks(folder / "in2", 1, words=5, seed=9),
    )
    (first,) = lab.ingest(long[:1])

    def is_running() -> bool:
        status = lab.states([first])[first]
        return status.stage == "transcribe" and status.progress > 0

    lab.wait(is_running, "a running transcription", 120)

    def ask(_: int) -> None:
        document = json.loads(lab.kb("status", "--json").stdout)
        assert any(item["id"] == first for item in document["items"])

    command = timed_ms(ask, range(5))
    met = figure("jobs.status_latency_while_working", p95(command) / 1000, "s", at_most=1)
    response_ms = timed_ms(lambda _: lab.service.items.statuses(limit=PAGE), range(50))
    figure("jobs.status_call_while_working", p95(response_ms), "ms")
    assert lab.states([first])[first].state == RUNNING, "too short to be looked at"
    # The lane has one slot: the next item starts only after the cancelled one has released it.
    (second,) = lab.ingest(short)
    began = time.perf_counter()
    lab.jobs.cancel([first])
    lab.wait(lambda: lab.states([second])[second].state != QUEUED, "the next item", 60, 0.02)
    met &= figure("jobs.cancel", time.perf_counter() - began, "s", at_most=3)
    lab.wait_finished([second])
    return met


def main() -> int:
    """Run the benchmark; return 0 if every target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--full", action="store_true", help="with 5,000 items")
    parser.add_argument(NO_STAGES, action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.no_stages:
        EmptyWorker(get_settings()).run()
    with tempfile.TemporaryDirectory(prefix="kb-jobs-") as name:
        folder = Path(name)
        sizes = (100, 1000, 5000) if chosen.full else (100, 1000)
        met = [overhead(folder, count) for count in sizes]
        met.append(status_page(folder))
        with Lab(folder / "real", KB_IN_FLIGHT="1") as lab:
            worker = lab.start()
            lab.wait_finished(
                lab.ingest(write_talks(folder / "warm", 1, seed=5))
            )  # loads the recognizer
            met.append(idle(lab, worker))
            met.append(while_working(lab, folder))
    return 0 if all(met) else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
