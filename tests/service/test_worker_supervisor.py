"""Supervision of the worker: real worker processes that start, are killed, stopped or end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kb.errors import LibraryError
from kb.jobs.worker.spawn import start_detached
from kb.options import RunOptions
from kb.service import Service, uploads
from kb.service.worker_supervisor import MAX_STARTS, Chore, WorkerSupervisor
from kb.service.workers import Workers
from kb.settings import get_settings
from tests.support.processes import end_processes_of
from tests.support.raising import raises
from tests.support.waiting import WAIT_S, until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library; yield its folder."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    monkeypatch.setenv("KB_SINKS", "local")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


@pytest.mark.slow
def test_the_worker_is_started_and_comes_back_when_killed_but_not_when_stopped(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_CPU_THREADS", "1")
    monkeypatch.setenv("KB_WORKER_TIMEOUT_S", "5")
    get_settings.cache_clear()
    service = Service()
    supervisor = WorkerSupervisor()

    def alive() -> list[int]:
        return [worker.pid for worker in service.queue.workers()]

    def one_is_at_work() -> bool:
        seen[:] = alive()
        return len(seen) == 1 and supervisor.view(service).state == "running"

    seen: list[int] = []
    try:
        supervisor.start_polling()
        until(one_is_at_work, "a worker")
        (first,) = seen
        assert supervisor.started_by_itself()
        psutil.Process(first).kill()
        # On a busy machine a heartbeat may be late, and no worker seems to be alive for a moment.
        until(lambda: [pid != first for pid in alive()] == [True], "another worker in its place")
        assert supervisor.started_by_itself()
        supervisor.stop(service)
        until(lambda: not alive(), "the end of the worker")
        assert supervisor.view(service).state in ("stopped", "stopping")
        polls = supervisor.poll_count
        until(lambda: supervisor.poll_count >= polls + 3, "three more polls")
        assert not alive() and not supervisor.started_by_itself()
        supervisor.start(service)
        supervisor.start(service)  # the worker is already starting
        until(
            lambda: one_is_at_work() and not supervisor.started_by_itself(),
            "the worker that was asked for",
        )
        supervisor.ensure_running(service)  # no effect
        until(lambda: len(alive()) == 1, "one worker")
    finally:
        supervisor.stop_polling()
        end_processes_of(home)
        service.close()


@pytest.mark.slow
def test_a_worker_that_is_stopped_while_it_starts_stays_stopped(home: Path) -> None:
    service, supervisor = Service(), WorkerSupervisor()
    service.library.prepare()
    assert not service.queue.workers()  # its tables are made
    catalogue = sqlite3.connect(home / "kb.sqlite", isolation_level=None)
    try:
        catalogue.execute("BEGIN IMMEDIATE")  # the worker cannot sign on meanwhile
        supervisor.start(service)
        pid = supervisor.pid
        assert pid is not None and not service.queue.workers()
        supervisor.stop(service)
        catalogue.execute("ROLLBACK")
        until(lambda: not psutil.pid_exists(pid), "the end of its process")
        assert service.queue.workers() == [] and supervisor.view(service).state == "stopped"
    finally:
        catalogue.close()
        end_processes_of(home)
        service.close()


def test_a_second_start_after_a_late_heartbeat_hides_no_worker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process goes on; the second one ends at once, because the name is taken."""
    service, supervisor = Service(), WorkerSupervisor()
    programs = ["import time; time.sleep(600)", "pass"]
    started = [subprocess.Popen([sys.executable, "-c", each]) for each in programs]
    pids = [each.pid for each in started]
    monkeypatch.setattr(Workers, "start", lambda *_, **__: pids.pop(0))
    supervisor._launch(service, by_itself=True)
    supervisor._launch(service, by_itself=True)
    started[1].wait()
    assert supervisor.started_by_itself()
    monkeypatch.undo()
    started[0].kill()
    started[0].wait()
    assert not supervisor.started_by_itself()
    service.close()


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    supervisor = WorkerSupervisor()
    monkeypatch.setenv("KB_PRESET", "nonsense")  # read by the worker, which ends at once
    supervisor.start(service)
    until(lambda: supervisor.view(service).state == "ends", "the end")
    assert (home / "logs" / "worker.log").stat().st_size > 0
    service.close()


@pytest.mark.slow
def test_waiting_for_items_ends_when_no_worker_comes_up(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    supervisor = WorkerSupervisor()
    monkeypatch.setenv("KB_PRESET", "nonsense")
    started: set[int | None] = set()
    with raises(LibraryError, "worker.ends_at_once", log=home / "logs" / "worker.log") as caught:
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends:
            supervisor.ensure_running(service, RunOptions())
            started.add(supervisor.pid)
            time.sleep(0.1)
    assert len(started) == MAX_STARTS
    assert str(home / "logs" / "worker.log") in caught.value.hint
    service.close()


@pytest.mark.slow
def test_chores_are_repeated_and_one_that_fails_stops_no_other(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_PRESET", "nonsense")  # no worker starts; only the chores run
    calls: list[str] = []

    def fail(service: Service) -> None:
        calls.append("fails")
        raise ValueError("a defect")

    unused = home / uploads.FOLDER / ("0" * 32)
    unused.mkdir(parents=True)
    supervisor = WorkerSupervisor()
    supervisor.start_polling(
        [
            Chore(fail, 0.0),
            Chore(lambda service: uploads.sweep(service, time.time() + 2 * uploads.UNUSED_S), 0.0),
            Chore(lambda service: calls.append("is due much later"), 3600.0),
        ]
    )
    until(lambda: not unused.exists(), "the sweep of uploads")
    until(lambda: calls.count("fails") >= 2, "the next poll")
    supervisor.stop_polling()
    assert set(calls) == {"fails"}


@pytest.mark.slow
def test_a_detached_process_gets_its_environment_and_writes_its_log(home: Path) -> None:
    settings = get_settings()
    log_file = home / "logs" / "one.log"
    command = [
        "python3", "-c", "import os; print(os.environ['KB_HOME'], os.environ['KB_EXTRA'])",
    ]  # fmt: skip
    for extra in ("first", "second"):
        pid = start_detached(command, settings, log_file, {"KB_EXTRA": extra})
        assert pid > 0
        until(lambda: extra in log_file.read_text(), "its output")  # noqa: B023
    assert log_file.read_text().split() == [str(home), "first", str(home), "second"]
    until(lambda: not psutil.pid_exists(pid), "the end, collected by this process")


def test_a_detached_process_that_cannot_start_is_an_error(home: Path) -> None:
    with pytest.raises(LibraryError):
        start_detached([str(home / "missing")], get_settings(), home / "logs" / "one.log")
