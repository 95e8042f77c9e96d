"""The log of detached processes begins again when it is large; one earlier file is kept."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from kb.jobs.worker.spawn import LOG_BYTES, start_detached
from kb.settings import Settings
from tests.support.waiting import until


def test_a_large_log_is_put_aside_once_and_a_small_one_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "worker.log"
    earlier = log.with_name("worker.log.1")
    settings = Settings(home=tmp_path)

    def run(word: str) -> None:
        pid = start_detached([sys.executable, "-c", f"print({word!r})"], settings, log)
        until(lambda: not psutil.pid_exists(pid), "the end")

    run("one")
    run("two")
    assert log.read_text().split() == ["one", "two"] and not earlier.exists()
    with log.open("ab") as file:
        file.truncate(LOG_BYTES + 1)
    run("three")
    assert log.read_text().split() == ["three"]
    assert earlier.read_bytes().startswith(b"one") and earlier.stat().st_size == LOG_BYTES + 1
    with log.open("ab") as file:
        file.truncate(LOG_BYTES + 1)
    run("four")
    assert log.read_text().split() == ["four"] and earlier.read_bytes().startswith(b"three")
