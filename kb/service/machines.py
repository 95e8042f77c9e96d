"""What a face may ask about machines: what they do, how fast they are, which models there are."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu.presets import Preset, load_presets
from gpu.status import Machine
from gpu.throughput import Calibration, Estimate, Speed
from kb.errors import LibraryError
from kb.inference.downloads import ModelFacts
from kb.inference.estimate import ThroughputEstimator
from kb.inference.session import InferenceSession, TranscriptionOptions
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.heartbeat import executor_id
from kb.jobs.queue.telemetry import (
    read_calibrations,
    read_machines,
    read_speeds,
    this_machine,
    write_calibration,
)
from kb.options import RunOptions
from kb.settings import Settings

if TYPE_CHECKING:
    from kb.asr.engines.model_lookup import ModelRef

HISTORY_S = 30 * 86400.0  # older items tell nothing of this machine's speed


class Hardware:
    """The machines of one library, this one first of all."""

    def __init__(self, settings: Settings, queue: JobQueue) -> None:
        self._settings = settings
        self._queue = queue

    def machines(self) -> tuple[Machine, ...]:
        """Every machine with a live worker, and this one where it has none; this one first.

        Where no worker tells of this machine, the asking program looks itself. Never raises:
        without a database there is this machine alone.
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
            looked = this_machine(self._settings.device)
            if not own:
                return (looked, *found)
            completed = replace(own[0], now=looked.now)
            if not completed.device.name:
                completed = replace(
                    completed, snapshot=replace(completed.snapshot, device=looked.device)
                )
            own[0] = completed
        own.sort(key=lambda machine: machine.executor_id != executor_id(self._settings))
        return (*own, *(machine for machine in found if machine.host != hostname))

    def with_workers(self) -> list[Machine]:
        """The machines that workers tell of. Raises LibraryError."""
        return read_machines(self._queue.database)

    def machine(self) -> Machine:
        """This machine: what its worker tells, or what this program sees itself."""
        return self.machines()[0]

    def calibrate(
        self,
        session: InferenceSession,
        options: TranscriptionOptions,
        seconds: float = 60.0,
        progress: Callable[[float], None] | None = None,
    ) -> Calibration:
        """Measures this machine with the recipe's model, and keeps the result in the library.

        Raises what loading the model raises, and LibraryError.
        """
        from kb.inference.calibrate import calibrate

        presets = self._presets()
        roomy = replace(
            options.preset, vram_budget_gb=max(p.vram_budget_gb for p in presets.values())
        )
        most = max(preset.batch_size for preset in presets.values())
        found = calibrate(session, replace(options, preset=roomy), seconds, most, progress)
        write_calibration(self._queue.database, found)
        return found

    def calibrations(self) -> list[Calibration]:
        """What was measured, on whatever machine, newest first; nothing without a library."""
        if not self._settings.home.is_dir():
            return []
        try:
            return read_calibrations(self._queue.database)
        except LibraryError:
            return []

    def estimates(self, options: RunOptions | None = None) -> list[Estimate]:
        """What each preset will do on this machine, for its card. Loads no model, nor torch.

        Raises SettingsError for a bad presets file.
        """
        run_options = options or RunOptions()
        figures = ThroughputEstimator(self._settings, self.calibrations(), self._recent_speeds())
        return [
            figures.estimate(
                replace(run_options, preset=name).resolve_preset(self._settings), run_options
            )
            for name in self._presets()
        ]

    def estimate(self, options: RunOptions | None = None) -> Estimate:
        """What a run with these options will do on this machine. Raises SettingsError."""
        run_options = options or RunOptions()
        figures = ThroughputEstimator(self._settings, self.calibrations(), self._recent_speeds())
        return figures.estimate(run_options.resolve_preset(self._settings), run_options)

    def models(self, session: InferenceSession) -> list[ModelFacts]:
        """The recognizers that can be chosen, what they need, and which are here."""
        from kb.inference.downloads import list_models

        number_bytes = 4 if session.device.dtype == "float32" else 2
        return list_models(session.model_name(), number_bytes)

    def pull(self, name: str) -> ModelRef:
        """Fetches a model's files. Raises ModelUnavailable."""
        from kb.inference.downloads import pull

        return pull(name)

    def _presets(self) -> dict[str, Preset]:
        file = self._settings.presets_file
        return load_presets(Path(file) if file else None)

    def _recent_speeds(self) -> list[Speed]:
        """How fast this machine transcribed of late."""
        if not self._settings.home.is_dir():
            return []
        since = time.time() - HISTORY_S
        try:
            return read_speeds(self._queue.database, since=since, host=socket.gethostname())
        except LibraryError:
            return []

    def speeds(self, item_ids: Sequence[str] = (), *, limit: int = 200) -> list[Speed]:
        """How fast items were transcribed, newest first. Raises LibraryError."""
        return read_speeds(self._queue.database, item_ids=item_ids, limit=limit)
