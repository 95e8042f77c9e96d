"""Starts a worker as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from kb import storage
from kb.options import RunOptions
from kb.settings import Settings


def _command(*, exit_when_idle: bool) -> list[str]:
    idle = ["--exit-when-idle"] if exit_when_idle else []
    return [sys.executable, "-m", "kb.cli", "worker", *idle]


def start_detached(
    settings: Settings, *, exit_when_idle: bool = False, options: RunOptions | None = None
) -> int:
    """Starts a worker that outlives this process and its terminal; returns its pid.

    A run's own preset and number of workers become the worker's.
    Its output goes to `logs/worker.log` in the library folder.
    """
    log_file = settings.home / "logs" / "worker.log"
    # The choices of this process (KB_HOME above all) must be the worker's too.
    environment = {**os.environ, "KB_HOME": str(settings.home)}
    if options is not None and options.preset:
        environment["KB_PRESET"] = options.preset
    if options is not None and options.workers:
        environment["KB_WORKERS"] = str(options.workers)
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        output = log_file.open("ab")
    except OSError as error:
        raise storage.library_error(error, log_file, "write") from error
    with output:
        apart: dict[str, object] = {"start_new_session": True}
        if sys.platform == "win32":
            detached = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            apart = {"creationflags": detached}
        process = subprocess.Popen(
            _command(exit_when_idle=exit_when_idle),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=Path.cwd(),
            **apart,  # type: ignore[call-overload]
        )
    # Whoever started it must take note of its end, or its process id stays taken for alive.
    threading.Thread(target=process.wait, name="worker-end", daemon=True).start()
    return int(process.pid)
