"""Processes that the product starts and that go on after their parent has ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

END_S = 60.0


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the processes of a library: programs of `kb` with its folder as their `KB_HOME`.

    A detached worker or task is found in this way before it has signed on, too.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_ours = any(part.startswith("kb.") or "spawn_main" in part
                          for part in process.cmdline())  # fmt: skip
            if is_ours and process.environ().get("KB_HOME") == str(home):
                found.append(process)
    return found


def end_processes_of(home: Path) -> None:
    """Kill the processes of a library; one may be starting another one meanwhile."""
    while found := [each for each in processes_of(home) if _lives(each)]:
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        _, alive = psutil.wait_procs(found, timeout=END_S)
        assert not [each for each in alive if _lives(each)], alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
