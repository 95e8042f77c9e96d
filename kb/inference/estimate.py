"""Estimates speed and memory of a preset from earlier measurements. Loads no torch."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gpu.manager import CPU_BATCH_CEILING, GB
from gpu.preset_figures import Preset
from gpu.throughput import Calibration, Estimate, Speed
from kb.asr.engines.model_lookup import shape_of
from kb.asr.engines.model_table import load_models
from kb.asr.engines.spec import WORKSPACE_BYTES
from kb.inference.memory_fit import measured_limit
from kb.options import RunOptions
from kb.settings import Settings

LEAST_PAST_S = 60.0  # seconds of sound; less sound in past items gives no estimate


@dataclass(frozen=True, slots=True)
class ThroughputEstimator:
    """Estimates from `calibrations` of any machine and `past` items of this one, newest first."""

    settings: Settings
    calibrations: Sequence[Calibration]
    history: Sequence[Speed]

    def estimate(self, preset: Preset, options: RunOptions) -> Estimate:
        """Estimate `preset` with the model and engine of `options`, or of the settings."""
        engine = options.engine or self.settings.engine
        measured = self._find_calibration(engine, options.model or self.settings.model)
        model = options.model or self.settings.model or (measured.model if measured else "")
        batch, reason = self._batch(preset, model, measured)
        rtfx, basis = self._speed(preset, engine, model, measured, batch)
        return Estimate(
            preset.name, rtfx, basis, batch, reason, self._memory(model, measured, batch)
        )

    def _find_calibration(self, engine: str, model: str) -> Calibration | None:
        """Return this machine's newest calibration; without a model, of its default model."""
        table = load_models(self.settings)
        defaults = tuple(row.model for row in table if row.default_on)
        models = (model,) if model else defaults
        hostname = socket.gethostname()
        return next(
            (
                found
                for found in self.calibrations
                if found.host == hostname and found.engine == engine and found.model in models
            ),
            None,
        )

    def _batch(self, preset: Preset, model: str, measured: Calibration | None) -> tuple[int, str]:
        """Return the batch size and the reason for its limit, by the rule of the batcher."""
        size, reason = preset.batch_size, ""
        if measured is None:
            return size, reason
        if measured.device.kind == "CPU" and size > CPU_BATCH_CEILING:
            size = CPU_BATCH_CEILING
            reason = f"a CPU gains nothing from more than {size} windows at a time"
        each = self._window_bytes(model, measured)
        if each and measured.device.kind != "CPU" and measured.device.budget_bytes:
            budget = min(int(preset.vram_budget_gb * GB), measured.device.budget_bytes)
            left = budget - self._weights_bytes(model, measured) - WORKSPACE_BYTES
            if left // each < size:
                size = max(1, left // each)
                left_gb, each_gb = max(0, left) / GB, each / GB
                reason = f"{left_gb:.1f} GB are left for windows of {each_gb:.2f} GB each"
        size, measured_reason = measured_limit(measured, size)
        return size, measured_reason or reason

    def _speed(
        self, preset: Preset, engine: str, model: str, measured: Calibration | None, batch: int
    ) -> tuple[float | None, str]:
        if measured is not None:
            workers = self.settings.workers or preset.workers
            speed = measured.speed(batch, workers)
            if speed > 0:
                day = time.strftime("%Y-%m-%d", time.localtime(measured.at))
                return round(speed, 2), f"measured (kb calibrate, {day})"
        history = [s for s in self.history if s.engine == engine and s.asr_s > 0]
        if model:
            history = [speed for speed in history if speed.model == model]
        elif history:
            history = [speed for speed in history if speed.model == history[0].model]
        same = [speed for speed in history if speed.preset == preset.name] or history
        media_s, asr_s = sum(s.media_s for s in same), sum(s.asr_s for s in same)
        if media_s < LEAST_PAST_S:
            return None, "not measured yet (kb calibrate)"
        return round(media_s / asr_s, 2), (
            f"the last {len(same)} items" if len(same) > 1 else "the last item"
        )

    def _memory(self, model: str, measured: Calibration | None, batch: int) -> int:
        each = self._window_bytes(model, measured)
        weights = self._weights_bytes(model, measured)
        return weights + batch * each if each and weights else 0

    def _window_bytes(self, model: str, measured: Calibration | None) -> int:
        if measured is not None and measured.window_bytes:
            return measured.window_bytes
        shape = shape_of(model) if model else None
        return shape.window_bytes(_number_bytes(measured)) if shape else 0

    def _weights_bytes(self, model: str, measured: Calibration | None) -> int:
        shape = shape_of(model) if model else None
        return shape.weights_bytes(_number_bytes(measured)) if shape else 0


def _number_bytes(measured: Calibration | None) -> int:
    return 4 if measured is not None and measured.device.dtype == "float32" else 2
