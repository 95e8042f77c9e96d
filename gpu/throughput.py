"""Measured speed of a device: calibrations and estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gpu.devices import Device

SATURATION_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed at which one item was transcribed; `rtfx` counts the recognizer's own time."""

    item_id: str
    executor_id: str
    ended_at: float
    engine: str
    model: str
    preset: str
    media_s: float
    asr_s: float
    total_s: float

    @property
    def rtfx(self) -> float:
        """Seconds of sound per second of the recognizer's own time; 0 if unknown."""
        return self.media_s / self.asr_s if self.asr_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class BatchSpeed:
    """The time of one batch size, in seconds for the whole batch.

    `hear_s`: log-mel and encoder; `decode_s`: the text; `align_s`: word times. `rtfx`: seconds of
    sound per second; `peak_bytes`: peak of the device's memory above the model alone (0 if
    unknown).
    """

    batch: int
    hear_s: float
    decode_s: float
    align_s: float
    rtfx: float
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The measured speed of one machine with one model; times in seconds, rates in RTFx.

    `decode_rtfx` and `detect_rtfx`: one core that reads a medium, and that detects its speech.
    `window_s`: seconds of sound in a window; `window_bytes`: device memory of one more window (0 if
    unknown). `refused`: the smallest batch that did not fit, 0 if all fitted.
    """

    at: float
    host: str
    device: Device
    engine: str
    model: str
    threads: int
    cores: int
    versions: Mapping[str, str]
    window_s: float
    decode_rtfx: float
    detect_rtfx: float
    batches: tuple[BatchSpeed, ...]
    window_bytes: int = 0
    refused: int = 0
    took_s: float = 0.0

    @property
    def key(self) -> str:
        """The machine, device and model, as one text."""
        return calibration_key(self.host, self.device, self.engine, self.model)

    @property
    def best(self) -> BatchSpeed | None:
        """The smallest batch that is about as fast as the fastest."""
        if not self.batches:
            return None
        fastest = max(each.rtfx for each in self.batches)
        return next(each for each in self.batches if each.rtfx >= SATURATION_SHARE * fastest)

    @property
    def saturating_batch(self) -> int:
        """The batch above which no larger one was measured to be faster; 0 if none is known."""
        best = self.best
        return best.batch if best and best.batch < self.batches[-1].batch else 0

    @property
    def largest_fitting_batch(self) -> int:
        """The largest batch that fitted, if a larger one did not; 0 if all fitted."""
        if not self.refused:
            return 0
        return max((each.batch for each in self.batches if each.batch < self.refused), default=1)

    def at_batch(self, batch: int) -> float:
        """Return seconds of sound per second for a batch size; 0 if nothing was measured."""
        below = [each for each in self.batches if each.batch <= batch]
        above = [each for each in self.batches if each.batch > batch]
        if not below or not above:
            return (below or above)[-1 if below else 0].rtfx if self.batches else 0.0
        low, high = below[-1], above[0]
        share = (batch - low.batch) / (high.batch - low.batch)
        return low.rtfx + share * (high.rtfx - low.rtfx)

    def speed(self, batch: int, workers: int) -> float:
        """Return seconds of sound per second for preparation and recognition together.

        With a card, preparation and recognition run at the same time, and the slower of the two
        counts; on a CPU both share the same cores.
        """
        model, prepare = self.at_batch(batch), self.prepare_rtfx
        if not model or not prepare:
            return model
        if self.device.kind != "CPU":
            return min(model, prepare * min(workers, self.cores))
        # The model keeps `threads` cores busy for 1 / model seconds per second of sound.
        return 1 / max(
            (self.threads / model + 1 / prepare) / self.cores,  # all cores always busy
            1 / model,
            1 / prepare / min(workers, self.cores),
        )

    @property
    def prepare_rtfx(self) -> float:
        """Seconds of sound that one core prepares per second."""
        if not self.decode_rtfx or not self.detect_rtfx:
            return 0.0
        return 1 / (1 / self.decode_rtfx + 1 / self.detect_rtfx)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with the best batch named."""
        best = self.best
        return {
            **asdict(self),
            "device": self.device.as_dict(),
            "best_batch": best.batch if best else 0,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration of an `as_dict`.

        Raises TypeError or KeyError for a document of another version.
        """
        known = {name: value for name, value in values.items() if name != "best_batch"}
        known["device"] = Device(**values["device"])
        known["batches"] = tuple(BatchSpeed(**each) for each in values["batches"])
        return cls(**known)


def calibration_key(host: str, device: Device, engine: str, model: str) -> str:
    """Return a calibration's key; it depends on the machine, card, engine, model and dtype."""
    return "|".join((host, device.kind, device.name, device.dtype, engine, model))


@dataclass(frozen=True, slots=True)
class Estimate:
    """The expected speed and memory of a preset on this machine.

    `rtfx`: seconds of sound per second, None if nothing was measured; `basis` is the source of the
    estimate, as a clause. `batch`: windows in a batch; `batch_reason`: the reason for its limit
    (empty if it is the preset's own figure). `memory_bytes`: weights and windows together, 0 if
    unknown.
    """

    preset: str
    rtfx: float | None
    basis: str
    batch: int
    batch_reason: str = ""
    memory_bytes: int = 0
