"""The manager of the device: engines get the device from it and do not probe the hardware."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
from dataclasses import dataclass, replace
from typing import Any, Self

import psutil

from gpu.devices import (
    Device,
    Kind,
    choose_device,
    cpu_device,
    cpu_threads,
    first_line,
    unrequested_cpu,
)
from gpu.devices import parse_request as _parse_request
from gpu.failures import device_lost, out_of_memory, refused
from gpu.preset_figures import RANGES, Preset
from gpu.remedies import torch_install
from kb.errors import GPUError

log = logging.getLogger(__name__)

GB = 2**30  # the unit in which the memory of graphics cards is stated
SMALLEST_BUDGET_BYTES = GB // 2  # remains where the reserve would take the whole card

# On a CPU a larger batch has no gain and costs memory (measured: best at 5 to 8).
CPU_BATCH_CEILING = 8


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes of the device's memory (of the machine's, on a CPU).

    `free` is the memory that this process may still allocate within `budget`; `used` and `peak`
    are its own; the peak counts from the start or the last `reset_peak`.
    """

    total: int
    budget: int
    free: int
    used: int
    peak: int


@dataclass(frozen=True, slots=True)
class BatchCeiling:
    """The most windows for one call, and why it is less than the preset's (or empty)."""

    size: int
    reason: str = ""


class GPUManager:
    """The device, chosen once on first use, with its memory and its limits.

    `request` is auto, cuda, cuda:N, rocm, mps or cpu; `preset` sets the memory budget and the
    batch; `cpu_threads` 0 means the physical cores; `reserve_gb` of a card's memory are left to
    other programs; `dtype` is the arithmetic on a GPU, auto the card's own; `torch` may be a
    replacement in tests. A GPU that is absent, too old or
    broken raises no error: the CPU is used and `fallback_reason` gives the reason. Raises
    SettingsError for a request that names no device, and GPUError, on first use, if torch cannot
    be loaded.
    """

    def __init__(
        self,
        request: str = "auto",
        *,
        preset: Preset | None = None,
        cpu_threads: int = 0,
        torch: Any | None = None,
        reserve_gb: float = 0.0,
        dtype: str = "auto",
    ) -> None:
        _parse_request(request)
        self.request = request
        self.preset = preset
        self.reserve_bytes = int(reserve_gb * GB)
        self._dtype = dtype
        self._threads = cpu_threads
        self._torch_module = torch
        self._chosen: Device | None = None
        self._applied = False
        self._permanent_bytes = 0
        # Reentrant: the choice of the device loads torch under the same lock.
        self._lock = threading.RLock()

    @property
    def device(self) -> str:
        """The device's address for torch: `cuda:0`, `mps` or `cpu`."""
        return self._device.address

    @property
    def kind(self) -> Kind:
        return self._device.kind

    @property
    def on_gpu(self) -> bool:
        return self._device.kind != "CPU"

    @property
    def name(self) -> str:
        """The device's name as its maker gives it."""
        return self._device.name

    @property
    def dtype(self) -> Any:
        """The torch.dtype for weights and activations."""
        return getattr(self._torch, self._device.dtype)

    @property
    def attention(self) -> str:
        """The attention implementation, by its name in transformers."""
        return self._device.attention

    @property
    def fallback_reason(self) -> str:
        """The reason, as a clause, for the CPU if a GPU was requested; empty otherwise."""
        return self._device.reason

    @property
    def ignored_dtype(self) -> str:
        """The reason, as a clause, for another dtype than the requested one; empty otherwise."""
        device = self._device
        if self._dtype in ("auto", device.dtype):
            return ""
        return f"KB_DTYPE={self._dtype} has no effect: {device.name} computes in {device.dtype}"

    @property
    def threads(self) -> int:
        """The number of CPU threads (see `gpu.devices.cpu_threads`)."""
        return cpu_threads(self._threads)

    def apply(self) -> Self:
        """Configure torch for this process: threads, or TF32, current device and memory budget.

        Only this method changes global state; call it in the process that computes.
        """
        self._applied = True
        device, torch = self._device, self._torch
        if device.kind in ("CUDA", "ROCm"):
            try:
                index = int(device.address.partition(":")[2])
                torch.cuda.set_device(index)
                if device.tf32:
                    torch.set_float32_matmul_precision("high")  # the default for convolutions
                if self.preset is not None and device.total_bytes:
                    # Beyond the budget torch now reports "out of memory"; on Windows it would
                    # otherwise continue without a message in the much slower main memory.
                    share = self._budget_bytes(device) / device.total_bytes
                    torch.cuda.set_per_process_memory_fraction(share, index)
            except Exception as error:
                self.fall_back(f"{device.name} cannot be set up: {first_line(error)}")
        if self._device.kind == "CPU":
            torch.set_num_threads(self.threads)
        return self

    def use_dtype(self, dtype: str) -> None:
        """Compute in another dtype from now on; models that are loaded keep theirs.

        A CPU computes in float32 always.
        """
        with self._lock:
            if dtype == self._dtype:
                return
            self._dtype = dtype
            if self._chosen is not None and self._chosen.kind != "CPU":
                self._chosen = choose_device(self._torch, self.request, dtype)

    def fall_back(self, reason: str) -> None:
        """Use the CPU from now on, for instance after the GPU has failed permanently.

        The owner of the models must load them again.
        """
        with self._lock:
            log.warning("Going on with the CPU: %s", reason)
            self._chosen = cpu_device(reason)
            if self._applied:
                self._torch.set_num_threads(self.threads)

    def memory(self) -> MemoryUse:
        """Return the memory's state; never raises (an unknown figure counts as free)."""
        device = self._device
        if device.kind == "CPU":
            return _main_memory()
        total, budget = device.total_bytes, self._budget_bytes(device)
        used = peak = cached = 0
        free = total
        with contextlib.suppress(Exception):
            if device.kind == "MPS":
                used = peak = int(self._torch.mps.current_allocated_memory())
                held = int(self._torch.mps.driver_allocated_memory())
                cached, free = held - used, total - held
            else:
                cuda = self._torch.cuda
                used = int(cuda.memory_allocated(device.address))
                peak = int(cuda.max_memory_allocated(device.address))
                cached = int(cuda.memory_reserved(device.address)) - used
                free = total - used - cached
                free = int(cuda.mem_get_info(device.address)[0])
        # The allocator's cached memory is free for this process; the driver counts it as used.
        free = min(free + cached - self.reserve_bytes, budget - used)
        return MemoryUse(total, budget, max(0, free), used, peak)

    def reset_peak(self) -> None:
        """Restart the peak of GPU memory at the present use."""
        if self._device.kind in ("CUDA", "ROCm"):
            with contextlib.suppress(Exception):
                self._torch.cuda.reset_peak_memory_stats(self._device.address)

    @property
    def permanent_bytes(self) -> int:
        """Bytes that stay in use besides the model: see `add_permanent`."""
        return self._permanent_bytes

    def add_permanent(self, count: int) -> None:
        """Count `count` bytes of the memory in use as permanent (a second model, fixed caches).

        The owner of the memory calls this; otherwise `batch_ceiling` counts it as windows' memory.
        """
        with self._lock:
            self._permanent_bytes += max(0, count)

    def cleanup(self) -> None:
        """Free memory that no live tensor uses; never raises, not even with a broken GPU."""
        gc.collect()
        with contextlib.suppress(Exception):
            if self._device.kind == "MPS":
                self._torch.mps.empty_cache()
            elif self.on_gpu:
                self._torch.cuda.empty_cache()

    def batch_ceiling(
        self,
        preset: Preset | None = None,
        *,
        weights_bytes: int = 0,
        window_bytes: int = 0,
        baseline_bytes: int | None = None,
    ) -> BatchCeiling:
        """Return the most windows for one call: the preset's batch, or less if memory is short.

        `weights_bytes` are still to be loaded; `window_bytes` is the memory of one window, and 0
        ignores the memory. `baseline_bytes` is the memory in use with the model loaded and no
        window, without the permanent bytes: memory in use beyond both belongs to windows
        already. Without a preset, this manager's is used, else the device's limit.
        """
        preset = preset or self.preset
        size = preset.batch_size if preset is not None else int(RANGES["batch_size"].high)
        if not self.on_gpu and size > CPU_BATCH_CEILING:
            reason = f"a CPU gains nothing from more than {CPU_BATCH_CEILING} windows at a time"
            ceiling = BatchCeiling(CPU_BATCH_CEILING, reason)
        else:
            ceiling = BatchCeiling(size)
        if window_bytes > 0:
            memory = self.memory()
            left = memory.free - weights_bytes
            if baseline_bytes is not None:
                left += max(0, memory.used - baseline_bytes - self._permanent_bytes)
            fitting = max(1, left // window_bytes)
            if fitting < ceiling.size:
                left_gb, each_gb = max(0, left) / GB, window_bytes / GB
                reason = f"{left_gb:.1f} GB are left for windows of {each_gb:.2f} GB each"
                return BatchCeiling(int(fitting), reason)
        return ceiling

    def describe(self) -> Device:
        """Return the device with its present memory budget; a GPU's failure raises no error."""
        return replace(self._device, budget_bytes=self.memory().budget)

    @staticmethod
    def out_of_memory(error: BaseException) -> bool:
        """Return whether a smaller batch may avoid the error (see `gpu.failures.out_of_memory`)."""
        return out_of_memory(error)

    @staticmethod
    def refused(error: BaseException) -> bool:
        """Return whether a library has no code for a shape or type (see `gpu.failures`)."""
        return refused(error)

    @staticmethod
    def device_lost(error: BaseException) -> bool:
        """Return whether only a new process can continue (see `gpu.failures.device_lost`)."""
        return device_lost(error)

    @property
    def uuid(self) -> str:
        """The card's UUID in its driver; empty if there is none."""
        if self._device.kind != "CUDA":
            return ""
        try:
            index = int(self._device.address.partition(":")[2])
            return str(self._torch.cuda.get_device_properties(index).uuid)
        except Exception:  # older builds of torch have no such attribute
            return ""

    @property
    def _torch(self) -> Any:
        with self._lock:
            if self._torch_module is None:
                try:
                    import torch
                except (ImportError, OSError) as error:  # OSError: a missing DLL on Windows
                    raise GPUError(
                        "device.no_pytorch",
                        "PyTorch cannot be loaded: {cause}.",
                        hint="Install it again: {command}",
                        retryable=False,
                        command=torch_install(),
                        cause=first_line(error),
                    ) from error
                self._torch_module = torch
            return self._torch_module

    @property
    def _device(self) -> Device:
        with self._lock:
            if self._chosen is None:
                self._chosen = choose_device(self._torch, self.request, self._dtype)
                if named := unrequested_cpu(self.request, self._chosen):
                    log.warning("Using the CPU: %s", named)
                elif self._chosen.reason:
                    log.info("Using the CPU: %s", self._chosen.reason)
                if self.ignored_dtype:
                    log.warning("%s", self.ignored_dtype)
            return self._chosen

    def _budget_bytes(self, device: Device) -> int:
        """Return the bytes that this process may use, without the reserve of other programs.

        A share of the whole card would let Windows move memory to the main memory unnoticed.
        """
        if self.preset is None:
            return device.total_bytes
        smallest = min(SMALLEST_BUDGET_BYTES, device.total_bytes)
        available = max(smallest, device.total_bytes - self.reserve_bytes)
        return min(int(self.preset.vram_budget_gb * GB), available)


def _main_memory() -> MemoryUse:
    machine, own = psutil.virtual_memory(), psutil.Process().memory_info()
    peak = getattr(own, "peak_wset", own.rss)  # only Windows records the peak
    return MemoryUse(machine.total, machine.total, machine.available, own.rss, max(peak, own.rss))
