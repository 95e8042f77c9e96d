"""The status of a machine at work: its device, its batch, its samples and its speed.

The values are plain: the inference process creates them, the database stores them, the screens
display them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpu.devices import Device
from gpu.monitor import Sample
from gpu.preset_figures import RANGES, Preset
from gpu.throttle import Throttle

USABLE_BUDGET_SHARE = 0.9  # share of the memory budget that is usable at most

Bound = Literal["idle", "recognition", "preparation", "throttle", "loading"]


@dataclass(frozen=True, slots=True)
class BatchState:
    """The batcher's state. Counts are windows, times seconds, since the model was loaded.

    `size` is the current batch size, `ceiling` the preset's; `reason` is the reason for the limit,
    as a clause (never empty). `last` is the number of windows in the newest batch; `waiting`
    windows of `items` items are in the queue. `halved` counts reductions after "out of memory",
    `repeated` batches that succeeded after a clean-up alone. `heard_s` seconds of sound were
    decoded in `busy_s` of the model's time; `rested_s`: time that the device rested because of the
    throttle.
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
class Snapshot:
    """The state that an inference process reports every few seconds, with `media` in progress.

    `preparing` media are decoded and cut now, of at most `preparation_slots`; the preset asks for
    `preparation_floor` slots, the others were given because the device waited for windows.
    """

    device: Device
    engine: str = ""
    model: str = ""
    preset: str = ""
    batch: BatchState | None = None
    throttle: Throttle = field(default_factory=Throttle)
    media: int = 0
    sample: Sample | None = None
    preparing: int = 0
    preparation_slots: int = 0
    preparation_floor: int = 0

    @property
    def preparation(self) -> str:
        """The use of the preparation slots as a clause; empty without slots."""
        if not self.preparation_slots:
            return ""
        grown = self.preparation_slots > self.preparation_floor
        more = f", grown from {self.preparation_floor}" if grown else ""
        return f"{self.preparing} of {self.preparation_slots} preparations in use{more}"

    @property
    def bound(self) -> Bound:
        """The part of the work that limits the speed."""
        if self.batch is None:
            return "loading" if self.model else "idle"
        if self.throttle.rest > 0:
            return "throttle"
        if self.batch.waiting >= self.batch.size or self.batch.last >= self.batch.size:
            return "recognition"
        return "preparation" if self.media or self.batch.items else "idle"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        sample = self.sample.as_row() if self.sample else None
        return {**asdict(self), "device": self.device.as_dict(), "sample": sample}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot of an `as_dict`.

        Raises TypeError or KeyError for a document of another version.
        """
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
    """The peak of the recognizer's memory on the card, with the budget and what limits it.

    `limit`: `full` (no limit besides the budget), `work` (too few windows in the queue to fill a
    batch), `device` (the batch is smaller than the preset's, for `reason`) or `preset` (its batch
    of `ceiling` windows is a limit by design; about `filling` windows would fill the budget, 0 if
    unknown).
    """

    used_bytes: int
    budget_bytes: int
    limit: Literal["full", "work", "device", "preset"]
    reason: str
    ceiling: int
    filling: int = 0

    @property
    def share(self) -> float:
        """The used share of the budget, 0..1."""
        return min(1.0, self.used_bytes / self.budget_bytes)

    def next_larger_preset(self, presets: Iterable[Preset]) -> str:
        """Return the name of the preset with the next larger batch; empty if there is none."""
        more = [preset for preset in presets if preset.batch_size > self.ceiling]
        return min(more, key=lambda preset: preset.batch_size).name if more else ""

    def describe(self, presets: Iterable[Preset] = ()) -> str:
        """Return the use as a clause, with the option that would use more memory."""
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
        knobs = [f"--preset {name}" for name in [self.next_larger_preset(presets)] if name]
        if self.filling:
            knobs.append(f"--batch-size {self.filling}")
        more = f" (more: {' or '.join(knobs)})" if knobs else ""
        return f"{figures}: the preset ends at {self.ceiling} windows a batch{more}"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as a screen displays it.

    `executor_id` is empty if no worker runs: then the object is this machine, sampled by the
    calling program itself, and only `now` is filled. `live`: reported within the last seconds.
    `history` holds a sample every ten seconds of the last hour, oldest first. `rtfx_hour`:
    seconds of sound per second of the recognizer's own time, of the `items_hour` items
    (`media_hour_s` seconds) that ended within the last hour; None if there were none. `restarts`
    counts the failures of its device after which its recognizer was started again.
    `memory_outside_torch`: the engine's memory is not counted, so `budget` is None.
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
    memory_outside_torch: bool = False

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
        """The use of the memory budget; None without a card, a batch or its figures."""
        now, batch, budget = self.now, self.batch, self.device.budget_bytes
        if batch is None or now is None or not batch.batches or self.device.kind == "CPU":
            return None
        used = now.own_peak or now.own_used or 0
        if not used or not budget or self.memory_outside_torch:
            return None
        limit: Literal["full", "work", "device", "preset"] = "preset"
        filling = 0
        if used >= USABLE_BUDGET_SHARE * budget:
            limit = "full"
        elif batch.last < batch.size and batch.waiting < batch.size:
            limit = "work"
        elif batch.size < batch.ceiling:
            limit = "device"
        elif batch.window_bytes:
            left = int(USABLE_BUDGET_SHARE * budget) - used
            largest = int(RANGES["batch_size"].high)
            filling = min(largest, batch.size + -(-left // batch.window_bytes))
            filling = filling if filling > batch.ceiling else 0
        return BudgetUse(used, budget, limit, batch.reason, batch.ceiling, filling)

    def as_dict(self, *, history: bool = True) -> dict[str, Any]:
        """Return the document printed by `--json`."""
        use = self.budget
        return {
            "executor_id": self.executor_id,
            "host": self.host,
            "live": self.live,
            "at": self.at,
            "device": self.device.as_dict(),
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
