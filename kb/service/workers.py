"""Worker processes of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from kb.options import RunOptions
from kb.settings import Settings


@dataclass
class Workers:
    """Starts workers on one library."""

    settings: Settings

    def start(self, *, exit_when_idle: bool = False, options: RunOptions | None = None) -> int:
        """Start a worker that outlives this process; return its pid."""
        from kb.jobs.worker.spawn import start_detached

        return start_detached(self.settings, exit_when_idle=exit_when_idle, options=options)
