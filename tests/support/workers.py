"""Real worker processes over a separate library, for tests and benchmarks.

A `Lab` ends all processes that it started, by process id and never by name: workers, detached
workers and their inference processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import psutil

from kb.jobs.queue.client import JobQueue
from kb.library import Library
from kb.options import RunOptions
from kb.service import ItemStatus, Service
from kb.settings import PROJECT_ROOT, Settings
from tests.support.commands import run_command
from tests.support.compose import WordBank, compose, random_plan, write_wav
from tests.support.processes import end_processes_of
from tests.support.waiting import WAIT_S

ACTIVE_STATES = ("queued", "running")
NO_SETTINGS = tuple(str(field.alias) for field in Settings.model_fields.values())


def write_talks(
    folder: Path, count: int, *, words: int = 10, seed: int = 1, start: int = 0
) -> list[Path]:
    """Write `count` different WAV files of `words` random words each; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    bank = WordBank.load()
    paths = []
    for number in range(start, start + count):
        rng = np.random.default_rng((seed, number))
        composition = compose(bank, random_plan(bank, words, rng), rng=rng)
        paths.append(write_wav(folder / f"talk {number:02d}.wav", composition))
    return paths


class Lab:
    """A library folder with its settings and its worker processes."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Create the library; `settings` are environment variables."""
        self.folder = folder
        self.home = folder / "home"
        self.values: dict[str, str] = {
            "KB_HOME": str(self.home),
            "KB_MODEL": os.environ.get("KB_TEST_MODEL", "demo"),
            "KB_CPU_THREADS": "1",
            "KB_HOLD_BELOW": "0",
            "KB_EXECUTOR_ID": "one",
            "KB_PRESET": "stabil",
            "KB_STEPS": "none",
            **settings,
        }
        self.settings = Settings.model_validate(self.values)
        self.service = Service(self.settings)
        self.processes: list[psutil.Process] = []
        self._popen: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "workers.log"

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.log_file.exists():
            print(self.log_file.read_text(encoding="utf-8", errors="replace")[-8000:])
        self.kill_all()
        self.service.close()

    @property
    def jobs(self) -> JobQueue:
        return self.service.queue

    @property
    def library(self) -> Library:
        return self.service.library

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of this library's processes, without the settings of the shell."""
        clean = {name: value for name, value in os.environ.items() if name not in NO_SETTINGS}
        return {**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **self.values, **more}

    # Processes

    def kb(
        self, *arguments: str, check: int | None = 0, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `kb` to its end; check its exit code unless `check` is None.

        Commands that work with processes (`worker`, `--wait`) run in one of their own.
        """
        environment = self.environment(**more)
        if arguments[0] == "worker" or "--wait" in arguments:
            done = subprocess.run(
                [sys.executable, "-m", "kb.cli", *arguments],
                env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True,
                timeout=WAIT_S, check=False,
            )  # fmt: skip
        else:
            done = run_command(arguments, environment, PROJECT_ROOT)
        assert check is None or done.returncode == check, (done.stdout, done.stderr)
        return done

    def start(self, *arguments: str, name: str = "one", **more: str) -> psutil.Process:
        """Start `kb worker`, with `more` settings, and wait until it has signed on."""
        with self.log_file.open("ab") as log:
            popen = subprocess.Popen(
                [sys.executable, "-m", "kb.cli", "worker", *arguments],
                env=self.environment(KB_EXECUTOR_ID=name, **more), cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._popen.append(popen)
        process = psutil.Process(popen.pid)
        self.processes.append(process)
        self.wait(
            lambda: (
                popen.poll() is not None or any(w.pid == popen.pid for w in self.jobs.workers())
            ),
            "a worker at work",
        )
        assert popen.poll() is None, "the worker ended at once"
        return process

    def track(self, pid: int) -> psutil.Process:
        """Track a process that another process started, so that `kill_all` ends it."""
        process = psutil.Process(pid)
        self.processes.append(process)
        return process

    def inference_process_of(self, worker: psutil.Process) -> psutil.Process | None:
        """Return the inference process of a worker, None if it has none."""
        with suppress(psutil.Error):
            for child in worker.children():
                with suppress(psutil.Error):
                    if any("spawn_main" in part for part in child.cmdline()):
                        return child
        return None

    def kill(self, worker: psutil.Process) -> None:
        """Send SIGKILL to a worker and wait for its end; its inference process must end with it."""
        with suppress(psutil.NoSuchProcess):
            worker.kill()
        self._reap(worker)

    def stop(self, worker: psutil.Process, timeout_s: float = WAIT_S) -> None:
        """Send SIGTERM to a worker and wait for its end."""
        worker.terminate()
        self._reap(worker, timeout_s)

    def kill_all(self) -> None:
        """Kill every tracked process and its children, and what they started on this library."""
        family = list(self.processes)
        for process in self.processes:
            with suppress(psutil.Error):
                family.extend(process.children(recursive=True))
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        for process in self.processes:
            self._reap(process)
        self.processes.clear()
        end_processes_of(self.home)

    def _reap(self, process: psutil.Process, timeout_s: float = WAIT_S) -> None:
        for popen in self._popen:
            if popen.pid == process.pid:
                popen.wait(timeout_s)
                return
        with suppress(psutil.Error):
            process.wait(timeout_s)

    # Work

    def ingest(self, paths: Iterable[Path], **options: object) -> list[str]:
        """Queue files; return the ids of the queued items."""
        chosen = RunOptions(**options)  # type: ignore[arg-type]
        report = self.service.ingest.run([str(path) for path in paths], chosen)
        return list(report.enqueued)

    def states(self, ids: Sequence[str] | None = None) -> dict[str, ItemStatus]:
        """Return the states of items, by id."""
        return {status.id: status for status in self.service.items.statuses(ids=ids)}

    def wait(
        self,
        condition: Callable[[], object],
        what: str,
        timeout_s: float = WAIT_S,
        every_s: float = 0.1,
    ) -> None:
        """Wait until the condition holds; after the time limit, fail the test and name `what`."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come; {self.jobs.counts()}"
            time.sleep(every_s)

    def wait_finished(
        self, ids: Sequence[str] | None = None, timeout_s: float = WAIT_S
    ) -> dict[str, ItemStatus]:
        """Wait until none of the items is queued or running; return these very states.

        An item that waits may be queued again at any moment after that.
        """
        found: dict[str, ItemStatus] = {}

        def finished() -> bool:
            nonlocal found
            if ids is None:  # a count costs less than the states of hundreds of items
                counts = self.jobs.items.row_counts()  # a listing queues more
                if any(counts[state] for state in ACTIVE_STATES):
                    return False
            found = self.states(ids)
            return all(each.state not in ACTIVE_STATES for each in found.values())

        self.wait(finished, "the end", timeout_s)
        return found

    # What must hold at the end

    def words(self) -> Mapping[str, list[tuple[str, float]]]:
        """Return the words of every item with their start times, by item id."""
        return {
            entry.item.id: [
                (word.text, round(word.start_s, 2))
                for word in self.service.items.transcript(entry.item.id).words
            ]
            for entry in self.library.entries()
            if entry.transcript_path is not None
        }

    def leftovers(self) -> list[str]:
        """Return the temporary files that stay in the library.

        A worker that runs makes some for a moment, such as those of its own records: only a file
        that stays for the whole limit of a wait was left behind.
        """

        def there() -> set[tuple[str, int]]:
            found = set()
            for path in self.home.rglob("*"):
                with suppress(FileNotFoundError):
                    if path.name.endswith((".tmp", ".part")):
                        found.add((str(path), path.stat().st_ino))
            return found

        left, ends_at = there(), time.monotonic() + WAIT_S
        while left and time.monotonic() < ends_at:
            time.sleep(0.1)
            left &= there()
        return sorted(path for path, _ in left)

    def passages(self) -> list[str]:
        """Return the ids of all passages in the local knowledge base, with duplicates."""
        import lancedb

        database = lancedb.connect(self.home / "index.lance")
        names = database.table_names()
        return [
            str(row["id"])
            for name in names
            for row in database.open_table(name).search().select(["id"]).limit(10**6).to_list()
        ]
