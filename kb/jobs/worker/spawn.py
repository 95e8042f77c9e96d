"""Start of processes that outlive the starting process: workers and tasks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from kb import storage
from kb.options import RunOptions
from kb.settings import Settings, python_command

LOG_BYTES = 10_000_000  # a larger log is put aside at the next start


def _begin_anew(log_file: Path) -> None:
    """Put a large log aside as its one earlier file; one that another process holds goes on."""
    with suppress(OSError):
        if log_file.stat().st_size > LOG_BYTES:
            log_file.replace(log_file.with_name(f"{log_file.name}.1"))


def start_detached(
    command: Sequence[str],
    settings: Settings,
    log_file: Path,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Start a process that outlives this one and its terminal; return its pid.

    It gets this process's environment with `KB_HOME` of the settings and the values of
    `environment`, and appends its output to `log_file`, which begins again when it is large.
    Raises LibraryError when it cannot be started or the log file cannot be written.
    """
    # The settings of this process (above all KB_HOME) must be those of the new one.
    variables = {**os.environ, "KB_HOME": str(settings.home), **(environment or {})}
    apart: dict[str, object] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        apart = {"creationflags": detached}
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        _begin_anew(log_file)
        with log_file.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=variables,
                cwd=Path.cwd(),
                **apart,  # type: ignore[call-overload]
            )
    except OSError as error:
        raise storage.library_error(error, log_file, "write") from error
    # Its exit status must be collected here, or its process id still counts as a live process.
    threading.Thread(target=process.wait, name=f"end-of-{process.pid}", daemon=True).start()
    return int(process.pid)


def worker_command(*, exit_when_idle: bool) -> list[str]:
    """Return the command line of a worker."""
    idle = ["--exit-when-idle"] if exit_when_idle else []
    return python_command("-m", "kb.cli", "worker", *idle)


def worker_log_file(settings: Settings) -> Path:
    """Return the log file of detached workers."""
    return settings.home / "logs" / "worker.log"


def start_worker(
    settings: Settings, *, exit_when_idle: bool = False, options: RunOptions | None = None
) -> int:
    """Start a worker that outlives this process; return its pid.

    The preset and the number of preparation threads in `options` become the worker's. Raises the
    errors of `start_detached`.
    """
    environment: dict[str, str] = {}
    if options is not None and options.preset:
        environment["KB_PRESET"] = options.preset
    if options is not None and options.workers:
        environment["KB_WORKERS"] = str(options.workers)
    command = worker_command(exit_when_idle=exit_when_idle)
    return start_detached(command, settings, worker_log_file(settings), environment)
