"""The machine's figures, the rules that let the card rest, and what survives a sick driver.

The driver is played by `FakeNVML`, a namespace with the calls of pynvml; everything else is real.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gpu.monitor import GpuCard, GpuCardState, Monitor, Sample, downsample, poll
from gpu.throttle import BAND_REST, DESKTOP_REST, MOST_REST, Governor, Throttle, ThrottleLimits

GB = 2**30
PATIENCE_S = 90


class NVMLError(Exception):
    pass


class FakeNVML:
    """An NVML with one card; `broken` names calls that fail with these words."""

    NVML_TEMPERATURE_GPU = 0
    nvmlClocksThrottleReasonHwThermalSlowdown = 0x40  # noqa: N815
    nvmlClocksThrottleReasonSwPowerCap = 0x4  # noqa: N815

    def __init__(self, broken: dict[str, str] | None = None, **figures: Any) -> None:
        self.broken = broken or {}
        self.asked: list[str] = []
        self.figures = {
            "gpu": 93, "used": 9 * GB, "temperature": 61, "power": 310_000, "reasons": 0,
            "shown": [], "samples": [], **figures,
        }  # fmt: skip

    def _say(self, name: str, value: Any) -> Any:
        self.asked.append(name)
        if name in self.broken:
            raise NVMLError(self.broken[name])
        return value

    def nvmlInit(self) -> None:  # noqa: N802
        self._say("nvmlInit", None)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-1234":
            raise NVMLError("Not Found")
        return "the card"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if index:
            raise NVMLError("Invalid Argument")
        return "the first card"

    def nvmlDeviceGetName(self, _handle: str) -> str:  # noqa: N802
        return self._say("name", "A Card")

    def nvmlDeviceGetUtilizationRates(self, _handle: str) -> Any:  # noqa: N802
        return self._say("rates", SimpleNamespace(gpu=self.figures["gpu"]))

    def nvmlDeviceGetMemoryInfo(self, _handle: str) -> Any:  # noqa: N802
        return self._say("memory", SimpleNamespace(used=self.figures["used"], total=24 * GB))

    def nvmlDeviceGetTemperature(self, _handle: str, _sensor: int) -> int:  # noqa: N802
        return self._say("temperature", self.figures["temperature"])

    def nvmlDeviceGetPowerUsage(self, _handle: str) -> int:  # noqa: N802
        return self._say("power", self.figures["power"])

    def nvmlDeviceGetEnforcedPowerLimit(self, _handle: str) -> int:  # noqa: N802
        return self._say("limit", 450_000)

    def nvmlDeviceGetCurrentClocksEventReasons(self, _handle: str) -> int:  # noqa: N802
        return self._say("reasons", self.figures["reasons"])

    def nvmlDeviceGetGraphicsRunningProcesses(self, _handle: str) -> list[Any]:  # noqa: N802
        return self._say("shown", [SimpleNamespace(pid=pid) for pid in self.figures["shown"]])

    def nvmlDeviceGetProcessUtilization(self, _handle: str, since_us: int) -> list[Any]:  # noqa: N802
        newer = [s for s in self.figures["samples"] if s.timeStamp > since_us]
        if not newer:
            raise NVMLError("Not Found")
        return self._say("processes", newer)


def used(pid: int, share: int, at_us: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, smUtil=share, timeStamp=at_us)


def card(**figures: Any) -> GpuCard:
    found = GpuCard.find(nvml=FakeNVML(**figures))
    assert found is not None
    return found


def test_a_card_gives_all_figures() -> None:
    found = card(reasons=0x44)
    assert found.name == "A Card"
    assert found.read() == GpuCardState(
        gpu=0.93, memory_used=9 * GB, memory_total=24 * GB, temperature_c=61.0,
        power_w=310.0, power_limit_w=450.0, desktop=0.0, slowed="heat, power limit",
    )  # fmt: skip


def test_the_card_is_found_by_its_own_number() -> None:
    # What CUDA calls the first card may be another one to the driver.
    for uuid, expected in (("1234", "the card"), ("GPU-1234", "the card"), ("", "the first card")):
        found = GpuCard.find(uuid, nvml=FakeNVML())
        assert found is not None and found._handle == expected
    fallen_back = GpuCard.find("5678", nvml=FakeNVML())
    assert fallen_back is not None and fallen_back._handle == "the first card"
    assert GpuCard.find(index=3, nvml=FakeNVML()) is None


def test_without_a_driver_processor_and_memory_remain() -> None:
    nvml = FakeNVML({"nvmlInit": "NVML Shared Library Not Found"})
    assert GpuCard.find(nvml=nvml) is None
    sample = poll(None, cpu_over_s=0.01)
    assert 0 <= sample.cpu <= 1
    assert 0 < sample.ram_used < sample.ram_total
    absent = {f.name: getattr(sample, f.name) for f in dataclasses.fields(sample)}
    for told in ("at", "cpu", "ram_used", "ram_total", "slowed"):
        absent.pop(told)
    assert set(absent.values()) == {None}


def test_unsupported_figures_are_none_and_not_asked_again() -> None:
    nvml = FakeNVML({"temperature": "Not Supported", "power": "GPU is lost", "reasons": "Unknown"})
    found = GpuCard.find(nvml=nvml)
    assert found is not None
    for _ in range(3):
        state = found.read()
        assert state.gpu == 0.93
        assert state.temperature_c is None and state.power_w is None and state.slowed == ""
    assert nvml.asked.count("temperature") == 1  # it never will
    assert nvml.asked.count("power") == 3  # that may pass


def test_other_programs_with_windows_are_the_desktop() -> None:
    me = os.getpid()
    samples = [used(me, 80, 5), used(77, 20, 5), used(78, 15, 6), used(99, 50, 6)]
    nvml = FakeNVML(shown=[me, 77, 78], samples=samples)
    found = GpuCard.find(nvml=nvml)
    assert found is not None
    assert found.read().desktop == pytest.approx(0.35)  # neither we nor the one without a window
    assert found.read().desktop == 0.0  # nothing new since
    assert card(shown=[me], samples=[used(me, 80, 5)]).read().desktop == 0.0


def test_the_sampler_fills_a_ring_and_reports_each_sample() -> None:
    told: list[Sample] = []
    enough = threading.Event()
    heard = iter(range(0, 10**6, 60))

    def tell(sample: Sample) -> None:
        told.append(sample)
        if len(told) >= 12:
            enough.set()
        if len(told) == 3:
            raise RuntimeError("a listener that fails must not end the sampler")

    monitor = Monitor(
        card(), own=lambda: (GB, 2 * GB), audio_s=lambda: float(next(heard)), on_sample=tell,
        interval_s=0.01, history_size=5,
    )  # fmt: skip
    assert monitor.now is None
    with monitor:
        assert enough.wait(PATIENCE_S)
    history = monitor.history
    assert len(history) == 5  # a ring
    assert [s.at for s in history] == sorted(s.at for s in history)
    assert monitor.now == history[-1]
    assert (history[-1].own_used, history[-1].own_peak, history[-1].gpu) == (GB, 2 * GB, 0.93)
    assert told[0].rtfx is None
    assert all(s.rtfx is not None and s.rtfx > 60 for s in told[1:])  # 60 s in some 10 ms
    count = len(told)
    monitor.close()
    assert len(told) == count


def test_a_sample_can_be_kept_and_read_back_also_by_another_version() -> None:
    sample = poll(card(), own=(1, 2), rtfx=3.5, cpu_over_s=0.01)
    row = sample.as_row()
    assert Sample.from_row(row) == sample
    assert Sample.from_row([*row, "of a newer version"]) == sample
    assert Sample.from_row(row[:5]).gpu == sample.gpu


def test_several_samples_become_one() -> None:
    first = Sample(1.0, 0.2, 5, 9, gpu=0.5, own_used=7, temperature_c=50, slowed="heat")
    second = Sample(2.0, 0.4, 4, 9, gpu=1.0, own_used=3, rtfx=8.0)
    joined = downsample([first, second])
    assert joined == Sample(
        2.0, 0.3, 5, 9, gpu=0.75, own_used=7, temperature_c=50, slowed="", rtfx=8.0
    )
    with pytest.raises(ValueError, match="no samples"):
        downsample([])


# When the card must rest


def sample(gpu: float | None = None, **more: Any) -> Sample:
    return Sample(0.0, 0.5, 1, 2, gpu=gpu, **more)


def test_heat_makes_it_rest_more_and_more_until_it_cools() -> None:
    governor = Governor(ThrottleLimits(temperature_c=80, utilisation=1.0))
    assert governor.update(sample(temperature_c=79)) == Throttle()
    rests = [governor.update(sample(temperature_c=82)).rest for _ in range(8)]
    assert rests == sorted(rests) and rests[0] > 0 and rests[-1] == MOST_REST
    assert "82 °C, the limit is 80 °C" in governor.now.reason
    held = governor.update(sample(temperature_c=78))
    assert held.rest == MOST_REST  # cooler, but not yet by three degrees
    cooling = [governor.update(sample(temperature_c=70)).rest for _ in range(20)]
    assert cooling == sorted(cooling, reverse=True) and cooling[-1] == 0
    assert governor.now.reason == ""


def test_a_program_with_a_window_gets_half_of_the_card_for_a_while() -> None:
    governor = Governor(ThrottleLimits(utilisation=1.0))
    assert governor.update(sample(desktop=0.05)).rest == 0
    assert governor.update(sample(desktop=0.4)).rest == DESKTOP_REST
    assert "draws on the screen" in governor.now.reason
    rests = [governor.update(sample(desktop=0.0)).rest for _ in range(4)]
    assert rests[0] == DESKTOP_REST and rests[-1] == 0  # not in the first quiet moment
    assert Governor(ThrottleLimits(give_way=False)).update(sample(desktop=0.9)).rest == 0


def test_utilisation_settles_in_the_band() -> None:
    """A card that is busy whenever it does not rest: the rule finds 95 % by itself."""
    governor = Governor(ThrottleLimits(utilisation=0.95))
    seen = []
    for _ in range(100):
        busy = 1.0 - governor.now.rest
        governor.update(sample(busy))
        seen.append(busy)
    assert all(0.80 <= busy <= 0.96 for busy in seen[40:]), seen
    assert governor.now.rest <= BAND_REST and "95%" in governor.now.reason
    for _ in range(60):
        governor.update(sample(0.5))
    assert governor.now.rest == 0 and governor.now.hungry  # it waits for work: more at once
    off = Governor(ThrottleLimits(utilisation=1.0))
    assert all(off.update(sample(1.0)).rest == 0 for _ in range(10))
    assert not off.now.hungry


def test_without_figures_nothing_is_throttled() -> None:
    governor = Governor()
    assert all(governor.update(sample()) == Throttle() for _ in range(10))
