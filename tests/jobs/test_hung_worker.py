"""A worker that holds its name and does not answer is replaced; one that answers never is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from kb.cli import run
from kb.cli.commands import worker as commands
from kb.database import Database, items, workers
from kb.errors import UsageError
from kb.jobs.queue import heartbeat, hung_worker
from kb.jobs.queue.heartbeat import Heartbeat, list_workers
from kb.settings import PROJECT_ROOT, Settings, get_settings
from tests.support.raising import raises
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGSTOP")

HOLDER = """
import sys, time
from kb.database import Database
from kb.jobs.queue.heartbeat import Heartbeat
from kb.settings import Settings
settings = Settings(KB_HOME=sys.argv[2], KB_EXECUTOR_ID="one")
beat = Heartbeat(settings, Database.open(settings))
beat.acquire()
print("holds", flush=True)
while not beat.stop_requested():
    beat.beat()
    time.sleep(0.1)
beat.release()
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for module, name, value in (
        (heartbeat, "HEARTBEAT_TIMEOUT_S", 0.5),
        (hung_worker, "SILENT_S", 0.5),
        (heartbeat, "WATCH_S", 0.6),
        (heartbeat, "WATCH_POLL_S", 0.05),
        (commands, "STOP_S", 1.0),
    ):
        monkeypatch.setattr(module, name, value)
    return Settings(KB_HOME=str(tmp_path / "home"), KB_EXECUTOR_ID="one", KB_WORKER_TIMEOUT_S="2")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def holder(settings: Settings, database: Database) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that holds the name `one` and gives its heartbeat."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, "worker", str(settings.home)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def patient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a holder that lives answer late, on whatever machine."""
    monkeypatch.setattr(heartbeat, "WATCH_S", WAIT_S)
    monkeypatch.setattr(commands, "STOP_S", WAIT_S)


def stop(database: Database, process: subprocess.Popen[str], silent_s: float = 0.7) -> None:
    # Stopped while this process has the database: a stopped holder must not lock it.
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(pid=workers.c.pid))
        process.send_signal(signal.SIGSTOP)
    time.sleep(silent_s)


def is_gone(process: subprocess.Popen[str]) -> bool:
    process.wait(timeout=WAIT_S)
    return not psutil.pid_exists(process.pid)


def change_row(database: Database, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(sa.update(workers).values(**values))


@pytest.mark.slow
def test_a_stopped_worker_is_ended_and_its_name_taken(
    settings: Settings, database: Database, holder: subprocess.Popen[str]
) -> None:
    stop(database, holder)
    new = Heartbeat(settings, database)
    new.acquire()
    assert is_gone(holder)
    (row,) = list_workers(database)
    assert (row.pid, len(row.crashes)) == (os.getpid(), 1)
    new.release()


@pytest.mark.slow
def test_a_hung_worker_that_another_one_declared_dead_is_replaced_too(
    settings: Settings, database: Database, holder: subprocess.Popen[str]
) -> None:
    stop(database, holder)
    heartbeat.mark_dead(database, "one", "two")
    facts = {"python": "3.11"}  # as an older version recorded it, without the process's start
    change_row(database, facts=facts)
    Heartbeat(settings, database).acquire()
    assert is_gone(holder)


def beats(_: Database, holder: subprocess.Popen[str]) -> None:
    pass


def clock_jumped(database: Database, holder: subprocess.Popen[str]) -> None:
    with database.begin() as connection:  # as in `stop`
        connection.execute(sa.update(workers).values(seen_at=time.time() - 9000))
        holder.send_signal(signal.SIGSTOP)
    threading.Timer(0.3, holder.send_signal, [signal.SIGCONT]).start()


def woke_up(database: Database, holder: subprocess.Popen[str]) -> None:
    stop(database, holder)
    threading.Timer(0.4, holder.send_signal, [signal.SIGCONT]).start()


@pytest.mark.slow
@pytest.mark.parametrize("prepare", [beats, clock_jumped, woke_up])
def test_a_worker_that_answers_is_not_ended(
    patient: None,
    settings: Settings,
    database: Database,
    holder: subprocess.Popen[str],
    prepare: Callable[[Database, subprocess.Popen[str]], None],
) -> None:
    prepare(database, holder)
    with raises(UsageError, "worker.running", name="one"):
        Heartbeat(settings, database).acquire()
    assert holder.poll() is None


@pytest.mark.slow
def test_no_process_is_ended_that_may_be_another_one(
    settings: Settings, database: Database, holder: subprocess.Popen[str]
) -> None:
    stop(database, holder)
    with database.begin() as connection:
        row = dict(connection.execute(sa.select(workers)).mappings().one())
    for case in (
        {"host": "elsewhere"},
        {"facts": {"process_started": time.time() - 5000}},  # the id was given to another process
        {"facts": None, "started_at": time.time() - 5000},
        {"pid": 0},
    ):
        change_row(database, **{**row, **case})
        code = "worker.silent_elsewhere" if "host" in case else "worker.running"
        with raises(UsageError, code, name="one") as caught:
            Heartbeat(settings, database).acquire()
        if "host" in case:
            assert "elsewhere" in caught.value.hint and str(row["pid"]) in caught.value.hint
        assert holder.poll() is None, case


def test_the_wait_ends_with_a_request_to_stop(
    settings: Settings, database: Database, holder: subprocess.Popen[str]
) -> None:
    stop(database, holder)
    with raises(UsageError, "worker.running"):
        Heartbeat(settings, database).acquire(stopped=lambda: True)
    assert holder.poll() is None


@pytest.mark.slow
@pytest.mark.parametrize("hangs", [True, False])
def test_kb_worker_stop_ends_a_worker_that_answers_and_one_that_does_not(
    settings: Settings,
    database: Database,
    holder: subprocess.Popen[str],
    hangs: bool,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KB_HOME", str(settings.home))
    get_settings.cache_clear()
    if hangs:
        stop(database, holder, silent_s=0.0)  # a moment ago: it still counts as alive
    else:
        request.getfixturevalue("patient")
    try:
        assert run(["worker", "--stop"]) == 0
    finally:
        get_settings.cache_clear()
    assert is_gone(holder)
    (row,) = list_workers(database)
    assert row.ended != hangs  # one that is ended by force does not sign off
    shown = capsys.readouterr().err
    assert "one" in shown
    assert ("does not answer" in shown) == hangs


def test_a_crash_loop_is_told_from_work(settings: Settings, database: Database) -> None:
    def crash() -> None:
        beat = Heartbeat(settings, database)
        beat.acquire()
        beat._lock.release()  # the process is gone without signing off

    def loops() -> list[tuple[str, int, int]]:
        found = hung_worker.crash_loops(database, list_workers(database))
        return [(each.executor_id, each.count, each.finished) for each in found]

    for _ in range(3):
        crash()
    assert loops() == []  # two ends without signing off
    crash()
    assert loops() == [("one", 3, 0)]
    now = time.time()
    row = {
        "id": "file:1", "state": "done", "item": {}, "options": {}, "enqueued_at": now,
        "updated_at": now, "ended_at": now,
    }  # fmt: skip
    with database.begin() as connection:
        connection.execute(sa.insert(items).values(**row))
    assert loops() == [("one", 3, 1)]
    (worker,) = list_workers(database)
    assert hung_worker.crash_loops(database, [worker], now + 3600) == []  # long ago
    beat = Heartbeat(settings, database)
    beat.acquire()
    beat.release()
    Heartbeat(settings, database).acquire()
    assert loops() == []  # it signed off: the loop has ended
