"""The rate of downloads: one distance between all starts of a machine, kept by every process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from kb.database import Database
from kb.errors import Cancelled
from kb.settings import Settings
from kb.sources.rate_limit.download_lane import DownloadRateLimiter
from kb.sources.rate_limit.machine_lock import MachineWideLock
from tests.support.keys import Clock
from tests.support.waiting import WAIT_S


@pytest.mark.slow
def test_the_limiter_spaces_all_starts(tmp_path: Path) -> None:
    """The starts of threads and of another process keep their distance."""
    pause_s, threads, each = 0.05, 4, 6
    settings = Settings(KB_HOME=tmp_path, KB_DOWNLOAD_PAUSE_S=pause_s, KB_DOWNLOAD_PAUSE_MAX_S=0)
    catalogue = Database.open(settings)
    script = (
        "import sys, time\n"
        "from kb.database import Database\n"
        "from kb.settings import get_settings\n"
        "from kb.sources.rate_limit.download_lane import DownloadRateLimiter\n"
        "lane = DownloadRateLimiter(Database.open(get_settings()), get_settings())\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"for _ in range({each}):\n"
        "    lane.acquire(); print(time.time(), flush=True)\n"
    )
    environment = {
        "KB_HOME": str(tmp_path),
        "KB_DOWNLOAD_PAUSE_S": str(pause_s),
        "KB_DOWNLOAD_PAUSE_MAX_S": str(pause_s),
    }
    other = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    times: list[float] = []

    def run() -> None:
        lane = DownloadRateLimiter(catalogue, settings)
        for _ in range(each):
            lane.acquire()
            times.append(time.time())

    workers = [threading.Thread(target=run) for _ in range(threads)]
    started_at = time.time()
    for worker in workers:
        worker.start()
    out, _ = other.communicate("go\n", timeout=WAIT_S)
    for worker in workers:
        worker.join()
    times += map(float, out.split())
    assert len(times) == (threads + 1) * each
    for number, moment in enumerate(sorted(times)):
        assert moment - started_at >= number * pause_s - 0.005


def test_two_libraries_share_the_rate_of_the_machine(tmp_path: Path) -> None:
    clock = Clock()
    lanes = []
    for name in ("one", "two"):
        settings = Settings(
            KB_HOME=tmp_path / name, KB_DOWNLOAD_PAUSE_S=10, KB_DOWNLOAD_PAUSE_MAX_S=10
        )
        (tmp_path / name).mkdir()
        catalogue = Database.open(settings)
        lanes.append(
            DownloadRateLimiter(
                catalogue,
                settings,
                clock=clock,
                sleep=clock.sleep,
                machine_lock=MachineWideLock(tmp_path, clock=clock),
            )
        )
    starts = []
    for lane in [*lanes, *lanes, lanes[1]]:
        lane.acquire()
        starts.append(clock.now)
    assert all(after - before >= 9.999 for before, after in pairwise(starts))


def test_the_shared_time_is_kept_in_a_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the temporary folder of all users another one could lay a link in its place."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(shared))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    lock = MachineWideLock()
    with lock.acquire():
        lock.set_next_at(12.5)
    assert lock.next_at() == 12.5
    assert not list(shared.iterdir())
    if sys.platform == "linux":
        folder = tmp_path / "state" / "kb-ingest"
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"nan", b"inf", b"\xff\xfe", b"soon", b"-inf"])
def test_a_damaged_shared_time_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "downloads.pace").write_bytes(content)
    assert MachineWideLock(tmp_path).next_at() == 0.0


def test_pauses_are_random_and_can_be_cancelled(tmp_path: Path) -> None:
    clock = Clock()
    settings = Settings(KB_HOME=tmp_path)  # the defaults: 10 to 20 s
    lane = DownloadRateLimiter(Database.open(settings), settings, clock=clock, sleep=clock.sleep)
    starts = []
    for _ in range(30):
        lane.acquire()
        starts.append(clock.now)
    gaps = [after - before for before, after in pairwise(starts)]
    assert min(gaps) >= 10
    assert max(gaps) <= 20.01
    assert len({round(gap, 3) for gap in gaps}) > 20

    def stop() -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        lane.acquire(stop)
    # A clock that was set back does not stop the lane for days.
    clock.now -= 30 * 86_400
    before = clock.now
    lane.acquire()
    assert clock.now - before <= 20
