"""Worker processes of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kb.jobs.queue.client import JobQueue
from kb.options import RunOptions
from kb.settings import Settings

if TYPE_CHECKING:
    from kb.jobs.worker.companion import Companion


@dataclass
class Workers:
    """The worker processes of one library."""

    settings: Settings
    queue: JobQueue

    @property
    def log_file(self) -> Path:
        """The log file of detached workers."""
        from kb.jobs.worker.spawn import worker_log_file

        return worker_log_file(self.settings)

    def start(self, *, exit_when_idle: bool = False, options: RunOptions | None = None) -> int:
        """Start a detached worker, which continues after this process; return its process id.

        Raises LibraryError.
        """
        from kb.jobs.worker.spawn import start_worker

        self.queue.prepare()
        return start_worker(self.settings, exit_when_idle=exit_when_idle, options=options)

    def is_process(self, pid: int) -> bool:
        """Return True while the process that `start` started has not ended."""
        import psutil

        return bool(psutil.pid_exists(pid))

    def run_here(
        self,
        *,
        preset: str | None = None,
        preparations: int | None = None,
        exit_when_idle: bool = False,
        companion: Companion | None = None,
    ) -> None:
        """Run a worker in this process until it is stopped; None means the settings' value.

        `companion` is a server that runs beside it and uses its model.
        """
        from kb.jobs.worker.worker import Worker

        settings = self.settings.replace(
            preset=preset or self.settings.preset, workers=preparations or self.settings.workers
        )
        Worker(settings, exit_when_idle=exit_when_idle, companion=companion).run()
