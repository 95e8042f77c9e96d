"""Machines: their present load, their speed, and the estimated cost of a run."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from gpu.status import Machine
from gpu.throughput import Calibration, Estimate, Speed
from kb.errors import LibraryError
from kb.inference.estimate import ThroughputEstimator
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.telemetry import (
    read_calibrations,
    read_machines,
    read_speeds,
    this_machine,
    write_calibration,
)
from kb.jobs.queue.worker_names import executor_id
from kb.options import RunOptions
from kb.service.presets import Presets
from kb.settings import Settings

HISTORY_S = 30 * 86400.0  # older items say nothing about this machine's speed


class Machines:
    """The machines of one library, this one first."""

    def __init__(
        self, settings: Settings, queue: JobQueue, session: InferenceSession, presets: Presets
    ) -> None:
        self._settings = settings
        self._queue = queue
        self._session = session
        self._presets = presets

    def list(self) -> tuple[Machine, ...]:
        """Return this machine, then every other machine with a live worker.

        If no worker reports on this machine, the calling process measures it. Raises nothing:
        without a database the result holds only this machine.
        """
        found: list[Machine] = []
        if self._settings.home.is_dir():
            try:
                found = read_machines(self._queue.database)
            except LibraryError:
                found = []
        hostname = socket.gethostname()
        own = [machine for machine in found if machine.host == hostname]
        if not any(machine.live and machine.now for machine in own):
            measured = this_machine(self._settings.device)
            if not own:
                return (measured, *found)
            completed = replace(own[0], now=measured.now)
            if not completed.device.name:
                completed = replace(
                    completed, snapshot=replace(completed.snapshot, device=measured.device)
                )
            own[0] = completed
        own.sort(key=lambda machine: machine.executor_id != executor_id(self._settings))
        return (*own, *(machine for machine in found if machine.host != hostname))

    def with_workers(self) -> Sequence[Machine]:
        """Return the machines that workers report on. Raises LibraryError."""
        return read_machines(self._queue.database)

    def current(self) -> Machine:
        """Return this machine with the last hour's history. Raises nothing.

        The figures are those of its worker or, without a worker, measured by this process.
        """
        return self.list()[0]

    def calibrate(
        self,
        options: TranscriptionOptions,
        seconds: float = 60.0,
        progress: Callable[[float], None] | None = None,
    ) -> Calibration:
        """Measure this machine with the options' model, and store the result in the library.

        Raises the errors of loading the model, and LibraryError.
        """
        from kb.inference.calibrate import calibrate

        presets = self._presets.all()
        roomy = replace(
            options.preset, vram_budget_gb=max(p.vram_budget_gb for p in presets.values())
        )
        most = max(preset.batch_size for preset in presets.values())
        found = calibrate(self._session, replace(options, preset=roomy), seconds, most, progress)
        write_calibration(self._queue.database, found)
        return found

    def calibrations(self) -> Sequence[Calibration]:
        """Return the calibrations of all machines, newest first; none without a library."""
        if not self._settings.home.is_dir():
            return []
        try:
            return read_calibrations(self._queue.database)
        except LibraryError:
            return []

    def estimates(self, options: RunOptions | None = None) -> Sequence[Estimate]:
        """Return the estimate of each preset on this machine. Loads neither a model nor torch.

        Raises SettingsError for a bad presets file.
        """
        run_options = options or RunOptions()
        figures = ThroughputEstimator(self._settings, self.calibrations(), self._recent_speeds())
        return [
            figures.estimate(
                replace(run_options, preset=name).resolve_preset(self._settings), run_options
            )
            for name in self._presets.all()
        ]

    def estimate(self, options: RunOptions | None = None) -> Estimate:
        """Return the estimate of a run with these options on this machine. Raises SettingsError."""
        run_options = options or RunOptions()
        figures = ThroughputEstimator(self._settings, self.calibrations(), self._recent_speeds())
        return figures.estimate(run_options.resolve_preset(self._settings), run_options)

    def _recent_speeds(self) -> Sequence[Speed]:
        """Return the transcription speeds of this machine in the last `HISTORY_S` seconds."""
        if not self._settings.home.is_dir():
            return []
        try:
            database = self._queue.database
            since = database.time() - HISTORY_S
            return read_speeds(database, since=since, host=socket.gethostname())
        except LibraryError:
            return []

    def speeds(self, item_ids: Sequence[str] | None = None, *, limit: int = 200) -> Sequence[Speed]:
        """Return the transcription speeds of items, newest first; `item_ids` None: of all.

        Raises LibraryError.
        """
        return read_speeds(self._queue.database, item_ids=item_ids, limit=limit)
