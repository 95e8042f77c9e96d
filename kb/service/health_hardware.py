"""Checks of device, driver, PyTorch and CUDA for `kb doctor`, with the command that repairs each.

The device is the one that the inference session chose. A fault is reported where a graphics card
is there, or was requested, and is not used; a machine without a card has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from gpu.devices import Device, parse_request, unrequested_cpu
from gpu.driver import Driver, read_driver
from gpu.monitor import GpuCard
from gpu.remedies import (
    OLD_CARDS_INDEX,
    OLDEST_DRIVER,
    driver_install,
    pip_install,
    torch_install,
    visible_devices,
)
from kb.errors import KBError, StoredProblem
from kb.settings import Settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager

GB = 2**30


@dataclass(frozen=True, slots=True)
class HardwareCheck:
    """The result of one check; `state` is ok, warn or fail, `fix` the next step."""

    name: str
    state: str
    detail: str
    fix: str = ""
    problem: StoredProblem | None = None


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """The installed torch: its version, and the CUDA or ROCm it was built for (or empty)."""

    version: str = ""
    cuda: str = ""
    hip: str = ""

    @property
    def cuda_major(self) -> int:
        """The first number of the CUDA version; 0 for a build without CUDA."""
        return int(self.cuda.partition(".")[0] or 0)


def torch_build() -> TorchBuild:
    """Return the installed torch; empty if it cannot be loaded."""
    try:
        import torch

        return TorchBuild(torch.__version__, torch.version.cuda or "", torch.version.hip or "")
    except (ImportError, OSError):
        try:
            return TorchBuild(version("torch"))
        except PackageNotFoundError:
            return TorchBuild()


def check_hardware(
    settings: Settings, manager: GPUManager, model: str, driver: Driver | None = None
) -> list[HardwareCheck]:
    """Return the checks of the device and of what it needs. Raises KBError without torch."""
    driver = driver or read_driver()
    build = torch_build()
    device = manager.describe()
    parts = [
        f"{device.name} ({device.address}, {device.dtype}, {manager.threads} threads)",
        *_memory(settings, device),
        f"PyTorch {build.version}" + _built_for(build),
        f"driver {driver.version}" if driver.version else "",
    ]
    detail = ", ".join(part for part in parts if part)
    named = unrequested_cpu(settings.device, device)
    fault = diagnose(settings.device, device, driver, build)
    if fault:
        detail = f"{detail}: {named or device.reason}"
        found = [HardwareCheck("Hardware", "warn", detail, fault)]
    elif device.reason:
        found = [HardwareCheck("Hardware", "ok", f"{detail}: {device.reason}")]
    else:
        found = [HardwareCheck("Hardware", "ok", detail)]
    if manager.ignored_dtype:
        found.append(
            HardwareCheck("Arithmetic", "warn", manager.ignored_dtype, "Set KB_DTYPE=auto.")
        )
    if manager.on_gpu:
        found += [
            *check_size(model, device),
            *_cublas(settings, device),
            *_desktop(settings, manager),
        ]
    return found


def diagnose(request: str, device: Device, driver: Driver, build: TorchBuild) -> str:
    """Return the next step if a card is there or was requested, and the CPU is used; else empty."""
    kind, _ = parse_request(request)
    if device.kind != "CPU" or not device.reason or kind == "cpu":
        return ""
    auto = "To end this warning: KB_DEVICE=cpu."
    if kind == "mps":
        return "Set KB_DEVICE=auto."
    if not driver.present:
        if kind == "auto":
            return ""
        return f"No NVIDIA driver is found. {driver_install(build.cuda_major or 13)} {auto}"
    if "mismatch" in f"{driver.problem} {device.reason}".lower():
        return "The driver was updated while it was in use: restart the machine."
    if driver.problem:
        return f"The driver does not answer ({driver.problem}). {driver_install()} {auto}"
    if not driver.version and not driver.cards:
        return f"A card is there without a driver. {driver_install()} {auto}"
    oldest = OLDEST_DRIVER.get(build.cuda_major or 13, 0)
    if driver.major and driver.major < oldest:
        step = f"CUDA {build.cuda or '13'} needs driver {oldest} or newer, not {driver.version}. "
        step += driver_install(build.cuda_major or 13)
        return step if build.cuda else f"{step} And run: {torch_install()}"
    if not build.cuda and not build.hip:
        return f"Run: {torch_install()}"
    if build.hip:
        return f"This PyTorch is built for AMD cards. Run: {torch_install()}"
    if "is older than this PyTorch" in device.reason:
        command = pip_install("torch", "--index-url", OLD_CARDS_INDEX)
        return f"CUDA 12.6 has code for older cards: {command}. {auto}"
    if "holds no code" in device.reason:
        return f"Run: {torch_install()}"
    if hidden := visible_devices():
        return f"Remove {hidden} from the environment."
    if "does not exist" in device.reason:
        return "Correct KB_DEVICE; auto takes the first card that works."
    return f"Restart the machine; if it stays: {driver_install()} {auto}"


def check_size(model: str, device: Device) -> list[HardwareCheck]:
    """Return a warning for a model that does not fit into the device's budget with one window."""
    from kb.asr.engines.model_lookup import shape_of
    from kb.asr.engines.model_registry import known_models
    from kb.asr.engines.spec import batch_bytes

    number_bytes = 4 if device.dtype == "float32" else 2
    shape = shape_of(model)
    if shape is None or not device.budget_bytes:
        return []
    needed = batch_bytes(shape, 1, number_bytes)
    if needed <= device.budget_bytes:
        return []
    detail = (
        f"{device.name} has {device.budget_bytes / GB:.1f} GB for the recognizer, and {model} "
        f"needs {needed / GB:.1f} GB"
    )
    smaller = [
        known
        for known in known_models()
        if known.engine == "whisper"
        and known.languages > 1
        and batch_bytes(known.shape, 1, number_bytes) <= device.budget_bytes
    ]
    best = max(smaller, key=lambda known: known.parameters, default=None)
    fix = f"Choose a smaller one: KB_MODEL={best.name}" if best else "Set KB_DEVICE=cpu."
    return [HardwareCheck("Card memory", "warn", detail, fix)]


def _memory(settings: Settings, device: Device) -> list[str]:
    if device.kind == "CPU":
        return []
    words = [
        f"{device.total_bytes / GB:.1f} GB of memory, {settings.gpu_reserve_gb:g} GB in reserve",
        f"attention {device.attention}",
        f"allocator {_allocator() or 'with its defaults'}",
    ]
    return [*words, "TF32"] if device.tf32 else words


def _allocator() -> str:
    """Return the allocator's configuration as torch has read it."""
    import torch

    read = getattr(torch._C, "_accelerator_getAllocatorSettings", None)
    if read is not None:
        return str(read() or "")
    # torch prefers the older of the two names.
    return os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or os.environ.get("PYTORCH_ALLOC_CONF") or ""


def _built_for(build: TorchBuild) -> str:
    if build.cuda:
        return f" for CUDA {build.cuda}"
    return f" for ROCm {build.hip}" if build.hip else ", without CUDA"


def _cublas(settings: Settings, device: Device) -> list[HardwareCheck]:
    """Return the check of CTranslate2's cuBLAS where the settings use its engine on a card."""
    engines = {settings.engine, settings.repair_engine.partition(":")[0]}
    if device.kind != "CUDA" or "faster-whisper" not in engines:
        return []
    from kb.asr.engines.faster_whisper.cublas import load_cublas

    name = "cuBLAS for faster-whisper"
    try:
        load_cublas()
    except KBError as error:
        return [HardwareCheck(name, "fail", error.message, error.hint, error.problem)]
    return [HardwareCheck(name, "ok", "CUDA 12")]


def _desktop(settings: Settings, manager: GPUManager) -> list[HardwareCheck]:
    card = GpuCard.find(manager.uuid) if manager.kind == "CUDA" else None
    if not settings.gpu_give_way or (card is not None and card.read().desktop is not None):
        return []
    return [
        HardwareCheck(
            "Desktop",
            "warn",
            "KB_GPU_GIVE_WAY has no effect: the driver does not report which programs use the card",
            "To leave time to the desktop: KB_GPU_MAX_UTILISATION=80. To end this warning: "
            "KB_GPU_GIVE_WAY=false.",
        )
    ]
