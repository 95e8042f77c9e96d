"""Estimates if a model and its windows fit into memory: from its shape or a calibration."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gpu.preset_figures import Preset
from gpu.throughput import Calibration, calibration_key
from kb.asr.engines.spec import WORKSPACE_BYTES

if TYPE_CHECKING:
    from gpu.manager import BatchCeiling, GPUManager


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Memory that the windows of a loaded model use: `window_bytes` each (0 if unknown).

    `resting_bytes` are used by the loaded model without windows; None before it is loaded.
    `measured` is the result of `kb calibrate`.
    """

    window_bytes: int
    baseline_bytes: int | None = None
    weights_bytes: int = 0
    measured: Calibration | None = None

    def max_batch(self, preset: Preset, manager: GPUManager) -> BatchCeiling:
        """Return the largest possible batch at the moment, and the reason for its limit."""
        allowed = manager.batch_ceiling(
            preset,
            window_bytes=self.window_bytes,
            baseline_bytes=self.baseline_bytes,
            weights_bytes=(self.weights_bytes if self.baseline_bytes is None else 0)
            + (WORKSPACE_BYTES if manager.on_gpu else 0),
        )
        if self.measured is None:
            return allowed
        size, reason = measured_limit(self.measured, allowed.size)
        return replace(allowed, size=size, reason=reason) if reason else allowed


def measured_limit(measured: Calibration, size: int) -> tuple[int, str]:
    """Return a batch size limited by a calibration; the reason is empty if it is no limit."""
    day = time.strftime("%Y-%m-%d", time.localtime(measured.at))
    fitting, enough = measured.largest_fitting_batch, measured.saturating_batch
    reason = ""
    if 0 < fitting < size:
        reason = (
            f"{measured.refused} at a time did not fit into this machine's memory "
            f"(kb calibrate, {day})"
        )
        size = fitting
    if 0 < enough < size:
        reason = f"more at a time was no faster on this machine (kb calibrate, {day})"
        size = enough
    return size, reason


def estimate_memory(
    engine: str,
    model: str,
    manager: GPUManager,
    calibrations: Iterable[Calibration],
    baseline_bytes: int | None = None,
) -> MemoryEstimate:
    """Estimate the memory of this model's batches on the manager's device."""
    from kb.asr.engines.model_lookup import shape_of

    device = manager.describe()
    key = calibration_key(socket.gethostname(), device, engine, model)
    measured = next((c for c in calibrations if c.key == key), None)
    shape = shape_of(model)
    number_bytes = 4 if device.dtype == "float32" else 2
    window_bytes = measured.window_bytes if measured else 0
    if not window_bytes and shape is not None:
        window_bytes = shape.window_bytes(number_bytes)
    weights = shape.weights_bytes(number_bytes) if shape else 0
    return MemoryEstimate(window_bytes, baseline_bytes, weights, measured)


@dataclass(frozen=True, slots=True)
class MemoryRoom:
    """The memory for models: `budget_bytes` of `device` (a GPU's name, or `CPU`), 0 if unknown."""

    device: str
    budget_bytes: int
    number_bytes: int = 2

    def fits(self, need_bytes: int) -> bool:
        """Return False for a need that is known and larger than the budget."""
        return not (self.budget_bytes and need_bytes > self.budget_bytes)


def memory_room(manager: GPUManager, preset: Preset | None = None) -> MemoryRoom:
    """Return the memory that models may use on the manager's device, with a preset's budget.

    Memory that is in use now counts: a model that is loaded there makes way for the next one.
    """
    from gpu.manager import GB

    device = manager.describe()
    budget = device.budget_bytes
    if preset is not None and manager.on_gpu and budget:
        budget = min(budget, int(preset.vram_budget_gb * GB))
    number_bytes = 4 if device.dtype == "float32" else 2
    return MemoryRoom(device.name if manager.on_gpu else "CPU", budget, number_bytes)
