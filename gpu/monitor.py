"""Samples of the machine: utilisation, memory, temperature and power, in a ring buffer.

The card is read through NVML, the driver's own library, and the rest through psutil. This module
needs no torch and starts no CUDA context. Figures that a driver does not provide are None; without
a driver only processor and main memory are sampled. A sample takes well under a millisecond of
processor time, so the sampler runs as long as a model is loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from types import TracebackType
from typing import Any, Self

import psutil

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
HISTORY_SAMPLES = 450  # samples in the ring: a quarter of an hour


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the machine; None marks an unknown figure.

    `at`: seconds since the epoch. Shares are 0..1: `gpu` is the card's busy time in the driver's
    last sample period, `cpu` the load of all cores, `desktop` the card's time used by programs with
    windows on the screen. `memory_*` is the card's memory in bytes, of all programs; `own_used` and
    `own_peak` are this program's. `slowed` names the driver's reason for a lower clock. `rtfx`:
    seconds of sound recognized per second since the previous sample.
    """

    at: float
    cpu: float
    ram_used: int
    ram_total: int
    gpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    own_used: int | None = None
    own_peak: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    desktop: float | None = None
    slowed: str = ""
    rtfx: float | None = None

    def as_row(self) -> list[Any]:
        """Return the values in the fields' order, for storing."""
        return list(astuple(self))

    @classmethod
    def from_row(cls, row: Iterable[Any]) -> Sample:
        """Return the sample of an `as_row`, also of a version with fewer or more fields."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, row, strict=False)))


@dataclass(frozen=True, slots=True)
class GpuCardState:
    """One card's figures from NVML; the fields are those of `Sample`."""

    gpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    desktop: float | None = None
    slowed: str = ""


class GpuCard:
    """One card, read through its driver. Its methods never raise."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._seen_us = 0  # time of the newest process sample that was counted, in microseconds
        self._unsupported: set[str] = set()

    @classmethod
    def find(cls, uuid: str = "", index: int = 0, *, nvml: Any | None = None) -> GpuCard | None:
        """Return the card with this UUID, else the one at this index; None without a driver.

        CUDA and the driver number cards differently, so the UUID has priority. `nvml` may be a
        replacement for pynvml in tests.
        """
        try:
            library = importlib.import_module("pynvml") if nvml is None else nvml
            library.nvmlInit()
        except Exception as error:  # for instance no driver or no permission, or a version mismatch
            log.debug("No NVML: %s", error)
            return None
        if uuid:
            for name in (uuid, f"GPU-{uuid}"):
                with contextlib.suppress(Exception):
                    return cls(library, library.nvmlDeviceGetHandleByUUID(name))
        with contextlib.suppress(Exception):
            return cls(library, library.nvmlDeviceGetHandleByIndex(index))
        return None

    @property
    def name(self) -> str:
        """The manufacturer's name of the card; empty if unknown."""
        name = self._query("nvmlDeviceGetName")
        return name.decode() if isinstance(name, bytes) else str(name or "")

    def read(self) -> GpuCardState:
        """Return the card's figures."""
        nvml = self._nvml
        rates = self._query("nvmlDeviceGetUtilizationRates")
        memory = self._query("nvmlDeviceGetMemoryInfo")
        sensor = getattr(nvml, "NVML_TEMPERATURE_GPU", 0)
        temperature = self._query("nvmlDeviceGetTemperature", sensor)
        power_mw = self._query("nvmlDeviceGetPowerUsage")
        limit_mw = self._query("nvmlDeviceGetEnforcedPowerLimit")
        return GpuCardState(
            gpu=None if rates is None else rates.gpu / 100,
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            temperature_c=None if temperature is None else float(temperature),
            power_w=None if power_mw is None else power_mw / 1000,
            power_limit_w=None if limit_mw is None else limit_mw / 1000,
            desktop=self._desktop(),
            slowed=self._throttle_reasons(),
        )

    def _query(self, name: str, *more: Any) -> Any:
        """Return one figure, None if the driver has none; unsupported queries are not repeated."""
        if name in self._unsupported:
            return None
        try:
            return getattr(self._nvml, name)(self._handle, *more)
        except Exception as error:
            if isinstance(error, AttributeError) or "not supported" in str(error).lower():
                self._unsupported.add(name)
            return None

    def _desktop(self) -> float | None:
        """Return the share of the card's time used by other programs with windows."""
        shown = self._query("nvmlDeviceGetGraphicsRunningProcesses")
        if shown is None:
            return None
        others = {process.pid for process in shown} - {os.getpid()}
        if not others:
            return 0.0
        samples = self._query("nvmlDeviceGetProcessUtilization", self._seen_us)
        if samples is None:
            # The driver reports "not found" if no program has used the card since.
            return 0.0 if "nvmlDeviceGetProcessUtilization" not in self._unsupported else None
        newest: dict[int, Any] = {}
        for sample in samples:
            if sample.timeStamp > self._seen_us:
                newest[sample.pid] = sample
        if newest:
            self._seen_us = max(sample.timeStamp for sample in newest.values())
        busy = sum(int(s.smUtil) for pid, s in newest.items() if pid in others)
        return min(1.0, busy / 100)

    def _throttle_reasons(self) -> str:
        """Return the driver's reasons for a lower clock, in one or two words each; else empty."""
        bits = self._query("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            bits = self._query("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        reasons = {
            "heat": ("HwThermalSlowdown", "SwThermalSlowdown"),
            "power limit": ("SwPowerCap",),
            "power supply": ("HwPowerBrakeSlowdown",),
        }
        return ", ".join(
            word
            for word, names in reasons.items()
            if any(bits & getattr(self._nvml, f"nvmlClocksThrottleReason{n}", 0) for n in names)
        )


def poll(
    card: GpuCard | None,
    *,
    own: tuple[int, int] | None = None,
    rtfx: float | None = None,
    cpu_over_s: float | None = None,
) -> Sample:
    """Return a sample of the machine. `own`: (used, peak) bytes of this program on the card.

    `cpu_over_s`: seconds over which the CPU load is measured; None: since the previous call.
    """
    ram = psutil.virtual_memory()
    state = card.read() if card is not None else GpuCardState()
    return Sample(
        at=time.time(),
        cpu=psutil.cpu_percent(cpu_over_s) / 100,
        ram_used=int(ram.total - ram.available),
        ram_total=int(ram.total),
        gpu=state.gpu,
        memory_used=state.memory_used,
        memory_total=state.memory_total,
        own_used=own[0] if own else None,
        own_peak=own[1] if own else None,
        temperature_c=state.temperature_c,
        power_w=state.power_w,
        power_limit_w=state.power_limit_w,
        desktop=state.desktop,
        slowed=state.slowed,
        rtfx=rtfx,
    )


class Monitor:
    """A thread that samples the machine every `interval_s` and keeps `history_size` samples.

    `own` gives (used, peak) bytes of this program on the card, `audio_s` the seconds of sound
    recognized so far; `on_sample` is called with every sample on the sampler's thread.
    """

    def __init__(
        self,
        card: GpuCard | None,
        *,
        own: Callable[[], tuple[int, int] | None] = lambda: None,
        audio_s: Callable[[], float] | None = None,
        on_sample: Callable[[Sample], None] | None = None,
        interval_s: float = INTERVAL_S,
        history_size: int = HISTORY_SAMPLES,
    ) -> None:
        self._card = card
        self._own = own
        self._audio_s = audio_s
        self._on_sample = on_sample
        self._interval_s = interval_s
        self._ring: deque[Sample] = deque(maxlen=history_size)
        self._last: tuple[float, float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="monitor", daemon=True)

    def start(self) -> Self:
        """Start the thread; a second call has no effect."""
        psutil.cpu_percent(None)  # the first call has no earlier value to compare with
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def now(self) -> Sample | None:
        """The newest sample, None before the first."""
        return self._ring[-1] if self._ring else None

    @property
    def history(self) -> tuple[Sample, ...]:
        """The samples kept, oldest first."""
        return tuple(self._ring)

    def _work(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                sample = poll(self._card, own=self._own(), rtfx=self._speed())
                self._ring.append(sample)
                if self._on_sample:
                    self._on_sample(sample)
            except Exception:
                # An error in sampling must neither reach the recognizer nor end the sampling.
                log.debug("A look at the machine failed", exc_info=True)

    def _speed(self) -> float | None:
        if self._audio_s is None:
            return None
        now, audio_s = time.monotonic(), self._audio_s()
        last, self._last = self._last, (now, audio_s)
        if last is None or now <= last[0] or audio_s < last[1]:
            return None
        return (audio_s - last[1]) / (now - last[0])


def downsample(samples: Iterable[Sample]) -> Sample:
    """Return one sample for several consecutive ones: mean values, and the peak of memory.

    Raises ValueError if there is no sample.
    """
    found = list(samples)
    if not found:
        raise ValueError("no samples to join")
    last = found[-1]

    def mean(name: str) -> float | None:
        values = [v for v in (getattr(sample, name) for sample in found) if v is not None]
        return round(sum(values) / len(values), 4) if values else None

    def most(name: str) -> int | None:
        values = [v for v in (getattr(sample, name) for sample in found) if v is not None]
        return max(values) if values else None

    return Sample(
        at=last.at,
        cpu=mean("cpu") or 0.0,
        ram_used=most("ram_used") or 0,
        ram_total=last.ram_total,
        gpu=mean("gpu"),
        memory_used=most("memory_used"),
        memory_total=last.memory_total,
        own_used=most("own_used"),
        own_peak=most("own_peak"),
        temperature_c=mean("temperature_c"),
        power_w=mean("power_w"),
        power_limit_w=last.power_limit_w,
        desktop=mean("desktop"),
        slowed=last.slowed,
        rtfx=mean("rtfx"),
    )
