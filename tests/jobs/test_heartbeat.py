"""Live and dead workers: found by this process's clock, and noticed by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.database import Database
from kb.jobs.queue import heartbeat
from kb.settings import Settings
from tests.support.queue_store import ME, OTHER


def test_a_worker_without_a_heartbeat_is_found_by_our_own_clock() -> None:
    watch = heartbeat.DeadWorkerDetector(timeout_s=60)
    # The clock of the other machine is years off, which must not matter.
    seen = heartbeat.WorkerInfo(OTHER, "elsewhere", 1, 0.0, 12345.0, ended=False)
    for second in range(60):
        assert watch.find([seen], ME, 1000.0 + second) == []
    assert watch.find([seen], ME, 1060.0) == [OTHER]
    beaten = heartbeat.WorkerInfo(OTHER, "elsewhere", 1, 0.0, 12300.0, ended=False)
    assert watch.find([beaten], ME, 1061.0) == []  # any change shows that it is alive
    mine = heartbeat.WorkerInfo(ME, "here", 1, 0.0, 0.0, ended=False)
    assert watch.find([mine], ME, 1e9) == []


@pytest.mark.parametrize(
    ("looks", "dead_at"),
    [
        # No gap: silence counts from the first look.
        ([0, 5, 10, 15], 15),
        ([0, 4, 15], 15),  # a slow answer is no gap
        # The network was away for a minute: silence counts from the first look after it.
        ([0, 60, 65, 70, 75], 75),
        ([0, 5, 60, 65, 70, 75], 75),
        ([0, 5, 10, 26, 31, 36, 41], 41),
        ([0, 10_000, 10_005, 10_010, 10_015], 10_015),  # this machine slept
        # Away twice.
        ([0, 60, 65, 120, 125, 130, 135], 135),
    ],
)
def test_time_without_a_look_is_no_silence(looks: list[float], dead_at: float) -> None:
    watch = heartbeat.DeadWorkerDetector(timeout_s=15)
    seen = heartbeat.WorkerInfo(OTHER, "elsewhere", 1, 0.0, 1.0, ended=False)
    found = [at for at in looks if watch.find([seen], ME, at)]
    assert found == [dead_at]


def test_a_worker_that_was_declared_dead_notices_it(tmp_path: Path, database: Database) -> None:
    settings = Settings(home=tmp_path / "home", executor_id=ME)
    here = heartbeat.Heartbeat(settings, database)
    here.acquire()
    assert here.beat()
    heartbeat.mark_dead(database, ME, OTHER)
    assert not here.beat()
    (other,) = [w for w in heartbeat.list_workers(database) if w.executor_id == ME]
    assert other.ended
    here.release()
