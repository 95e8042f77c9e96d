"""What is told about a machine at work: its device, its batch, its samples, its speed.

Plain values that the model host makes, the catalogue keeps and the faces show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpu.monitor import Sample
from gpu.presets import Preset
from gpu.throttle import Throttle

ABOUT_AS_FAST = 0.95
PUT_TO_USE = 0.9  # of the memory budget: more cannot be asked for
LARGEST_BATCH = 256  # that a preset may have
OWN_MEMORY = ("faster-whisper",)  # engines that keep memory which torch does not count

Bound = Literal["idle", "recognition", "preparation", "throttle", "loading"]


@dataclass(frozen=True, slots=True)
class BatchState:
    """The batcher at one moment. Counts are windows, times seconds, since the model was loaded.

    `size` is the batch in force, `ceiling` the preset's; `reason` says why it is not larger, as
    a clause (never empty). `last` windows were in the newest batch; `waiting` wait, of `items`
    items. `halved` counts falls after "out of memory", `repeated` batches that went through
    after a clean-up alone. `heard_s` seconds of sound were read in `busy_s` of the model's time;
    `rested_s` the device rested because it was told to.
    """

    size: int
    ceiling: int
    reason: str
    last: int = 0
    waiting: int = 0
    items: int = 0
    batches: int = 0
    windows: int = 0
    halved: int = 0
    repeated: int = 0
    heard_s: float = 0.0
    busy_s: float = 0.0
    rested_s: float = 0.0
    window_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """The device in use; `reason` says why it is the CPU although a GPU was wanted."""

    address: str
    kind: str
    name: str
    dtype: str = ""
    reason: str = ""
    budget_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a model host tells of itself every few seconds; `media` are with its model."""

    device: Device
    engine: str = ""
    model: str = ""
    preset: str = ""
    batch: BatchState | None = None
    throttle: Throttle = field(default_factory=Throttle)
    media: int = 0
    sample: Sample | None = None

    @property
    def bound(self) -> Bound:
        """What keeps it from being faster."""
        if self.batch is None:
            return "loading" if self.model else "idle"
        if self.throttle.rest > 0:
            return "throttle"
        if self.batch.waiting >= self.batch.size or self.batch.last >= self.batch.size:
            return "recognition"
        return "preparation" if self.media or self.batch.items else "idle"

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "sample": self.sample.as_row() if self.sample else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Snapshot:
        """What `as_dict` gave; raises TypeError or KeyError for what another version wrote."""
        batch, sample = values["batch"], values["sample"]
        return cls(
            **{
                **values,
                "device": Device(**values["device"]),
                "batch": BatchState(**batch) if batch else None,
                "throttle": Throttle(**values["throttle"]),
                "sample": Sample.from_row(sample) if sample else None,
            }
        )


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """How much of the card's memory budget the recognizer took at most, and what keeps it there.

    `limit`: `full` (nothing does), `work` (too few windows wait to fill a batch), `device` (the
    batch is smaller than the preset's, for `reason`) or `preset` (its batch, of `ceiling`
    windows, is a limit by design; about `filling` windows would fill the budget, 0 if unknown).
    """

    used_bytes: int
    budget_bytes: int
    limit: Literal["full", "work", "device", "preset"]
    reason: str
    ceiling: int
    filling: int = 0

    @property
    def share(self) -> float:
        """0..1 of the budget."""
        return min(1.0, self.used_bytes / self.budget_bytes)

    def larger(self, presets: Iterable[Preset]) -> str:
        """The preset with the next larger batch; empty if there is none."""
        more = [preset for preset in presets if preset.batch_size > self.ceiling]
        return min(more, key=lambda preset: preset.batch_size).name if more else ""

    def words(self, presets: Iterable[Preset] = ()) -> str:
        """The same as a clause, with the knob that would use more."""
        gb = 2**30
        figures = (
            f"at most {self.used_bytes / gb:.1f} of the budget of {self.budget_bytes / gb:.0f} GB "
            f"in use ({self.share:.0%})"
        )
        if self.limit == "full":
            return figures
        if self.limit == "work":
            return f"{figures}: too few windows wait to fill a batch"
        if self.limit == "device":
            return f"{figures}: {self.reason}"
        knobs = [f"--preset {name}" for name in [self.larger(presets)] if name]
        if self.filling:
            knobs.append(f"--batch-size {self.filling}")
        more = f" (more: {' or '.join(knobs)})" if knobs else ""
        return f"{figures}: the preset ends at {self.ceiling} windows a batch{more}"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as a face shows it.

    `executor_id` is empty where no worker runs: then it is this machine, looked at by the
    asking program itself, and only `now` is filled. `live`: told within the last seconds.
    `history` holds a sample every ten seconds of the last hour, oldest first. `rtfx_hour`:
    seconds of sound per second of the recognizer's own time, of the `items_hour` items
    (`media_hour_s` seconds) that ended within the last hour; None if none did. `restarts`
    counts the times its device failed and its recognizer was begun anew.
    """

    executor_id: str
    host: str
    live: bool
    at: float
    snapshot: Snapshot
    now: Sample | None
    history: tuple[Sample, ...] = ()
    rtfx_hour: float | None = None
    items_hour: int = 0
    media_hour_s: float = 0.0
    restarts: int = 0
    trouble: str = ""

    @property
    def device(self) -> Device:
        return self.snapshot.device

    @property
    def batch(self) -> BatchState | None:
        return self.snapshot.batch

    @property
    def throttle(self) -> Throttle:
        return self.snapshot.throttle

    @property
    def bound(self) -> Bound:
        return self.snapshot.bound

    @property
    def budget(self) -> BudgetUse | None:
        """What became of the memory budget; None without a card, a batch or its figures."""
        now, batch, budget = self.now, self.batch, self.device.budget_bytes
        if batch is None or now is None or not batch.batches or self.device.kind == "CPU":
            return None
        used = now.own_peak or now.own_used or 0
        if not used or not budget or self.snapshot.engine in OWN_MEMORY:
            return None
        limit: Literal["full", "work", "device", "preset"] = "preset"
        filling = 0
        if used >= PUT_TO_USE * budget:
            limit = "full"
        elif batch.last < batch.size and batch.waiting < batch.size:
            limit = "work"
        elif batch.size < batch.ceiling:
            limit = "device"
        elif batch.window_bytes:
            left = int(PUT_TO_USE * budget) - used
            filling = min(LARGEST_BATCH, batch.size + -(-left // batch.window_bytes))
            filling = filling if filling > batch.ceiling else 0
        return BudgetUse(used, budget, limit, batch.reason, batch.ceiling, filling)

    def as_dict(self, *, history: bool = True) -> dict[str, Any]:
        """The document that `--json` prints."""
        use = self.budget
        return {
            "executor_id": self.executor_id,
            "host": self.host,
            "live": self.live,
            "at": self.at,
            "device": asdict(self.device),
            "engine": self.snapshot.engine,
            "model": self.snapshot.model,
            "preset": self.snapshot.preset,
            "batch": asdict(self.batch) if self.batch else None,
            "throttle": asdict(self.throttle),
            "bound": self.bound,
            "budget": {**asdict(use), "share": round(use.share, 3)} if use else None,
            "media": self.snapshot.media,
            "now": asdict(self.now) if self.now else None,
            "history": [asdict(sample) for sample in self.history] if history else [],
            "rtfx_hour": self.rtfx_hour,
            "items_hour": self.items_hour,
            "media_hour_s": self.media_hour_s,
            "restarts": self.restarts,
            "trouble": self.trouble,
        }


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one item was transcribed; `rtfx` counts the recognizer's own time."""

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
    """What one batch size took, in seconds for the whole batch.

    `hear_s`: log-mel and encoder; `decode_s`: the text; `align_s`: word times. `rtfx` seconds of
    sound a second; `peak_bytes` of the device's memory, above the model alone (0 if unknown).
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

    `decode_rtfx` and `detect_rtfx`: one core reading a medium, and finding its speech.
    `window_s`: sound in a window; `window_bytes` what one more takes on the device (0 if
    unknown). `refused`: the smallest batch that did not fit, 0 if all did.
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
        """Which machine, device and model it is about."""
        return calibration_key(self.host, self.device, self.engine, self.model)

    @property
    def best(self) -> BatchSpeed | None:
        """The smallest batch that is about as fast as the fastest."""
        if not self.batches:
            return None
        fastest = max(each.rtfx for each in self.batches)
        return next(each for each in self.batches if each.rtfx >= ABOUT_AS_FAST * fastest)

    @property
    def enough(self) -> int:
        """The batch beyond which larger ones were measured to gain nothing; 0 if none is known."""
        best = self.best
        return best.batch if best and best.batch < self.batches[-1].batch else 0

    @property
    def fitting(self) -> int:
        """The largest batch that was measured to fit where a larger one did not; 0 if all did."""
        if not self.refused:
            return 0
        return max((each.batch for each in self.batches if each.batch < self.refused), default=1)

    def at_batch(self, batch: int) -> float:
        """Seconds of sound a second with so many windows at once; 0 if nothing was measured."""
        below = [each for each in self.batches if each.batch <= batch]
        above = [each for each in self.batches if each.batch > batch]
        if not below or not above:
            return (below or above)[-1 if below else 0].rtfx if self.batches else 0.0
        low, high = below[-1], above[0]
        share = (batch - low.batch) / (high.batch - low.batch)
        return low.rtfx + share * (high.rtfx - low.rtfx)

    def speed(self, batch: int, workers: int) -> float:
        """Seconds of sound a second for the whole way, with so many preparing at once.

        On a card preparation goes on beside it, and the slower of the two counts; on a
        processor both take from the same cores.
        """
        model, prepare = self.at_batch(batch), self.prepare_rtfx
        if not model or not prepare:
            return model
        if self.device.kind != "CPU":
            return min(model, prepare * min(workers, self.cores))
        # The model keeps `threads` cores busy for 1 / model seconds a second of sound.
        return 1 / max(
            (self.threads / model + 1 / prepare) / self.cores,  # all cores always busy
            1 / model,
            1 / prepare / min(workers, self.cores),
        )

    @property
    def prepare_rtfx(self) -> float:
        """Seconds of sound that one core prepares a second."""
        if not self.decode_rtfx or not self.detect_rtfx:
            return 0.0
        return 1 / (1 / self.decode_rtfx + 1 / self.detect_rtfx)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the best batch named."""
        best = self.best
        return {**asdict(self), "best_batch": best.batch if best else 0}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """What `as_dict` gave; raises TypeError or KeyError for what another version wrote."""
        known = {name: value for name, value in values.items() if name != "best_batch"}
        known["device"] = Device(**values["device"])
        known["batches"] = tuple(BatchSpeed(**each) for each in values["batches"])
        return cls(**known)


def calibration_key(host: str, device: Device, engine: str, model: str) -> str:
    """What a calibration is kept under: another card, model or number format is another one."""
    return "|".join((host, device.kind, device.name, device.dtype, engine, model))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a preset will do on this machine.

    `rtfx`: seconds of sound per second, None where nothing was measured; `basis` says what it
    is taken from, as a clause. `batch` windows go at once, and `batch_reason` says why not more
    (empty where it is the preset's own figure). `memory_bytes`: weights and windows together,
    0 if unknown.
    """

    preset: str
    rtfx: float | None
    basis: str
    batch: int
    batch_reason: str = ""
    memory_bytes: int = 0
