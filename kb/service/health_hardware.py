"""Checks of device, driver, PyTorch and CUDA for `kb doctor`, with the command that repairs each.

The device is the one that the inference session chose. A fault is reported where a graphics card
is there, or was requested, and is not used; a machine without a card has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

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
from kb.errors import KBError
from kb.service.health_check import HealthCheck, with_commas
from kb.settings import Settings

if TYPE_CHECKING:
    from gpu.manager import GPUManager

GB = 2**30


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
) -> list[HealthCheck]:
    """Return the checks of the device and of what it needs. Raises KBError without torch."""
    driver = driver or read_driver()
    build = torch_build()
    device = manager.describe()
    facts = with_commas(
        [
            KBError(
                "clause.device",
                "{name} ({address}, {number}, {threads} threads)",
                name=device.name,
                address=device.address,
                number=device.dtype,
                threads=manager.threads,
            ),
            *_memory(settings, device),
            _torch(build),
            *([KBError("clause.driver", "driver {version}", version=driver.version)]
              if driver.version else []),
        ]
    )  # fmt: skip
    found = [_device(settings, device, driver, build, facts)]
    if manager.ignored_dtype:
        ignored = KBError(
            "check.dtype_ignored",
            "{reason}",
            hint="Set KB_DTYPE=auto.",
            reason=manager.ignored_dtype,
        )
        found.append(HealthCheck.of("Arithmetic", "warn", ignored))
    if manager.on_gpu:
        found += [
            *check_size(model, device),
            *_cublas(settings, device),
            *_desktop(settings, manager),
        ]
    return found


def _device(
    settings: Settings, device: Device, driver: Driver, build: TorchBuild, facts: KBError | str
) -> HealthCheck:
    named = unrequested_cpu(settings.device, device)
    step = next_step(settings.device, device, driver, build)
    if step is not None:
        fault = KBError(
            "check.hardware_fault",
            "{facts}: {reason}",
            hint="{step}",
            facts=facts,
            reason=named or device.reason,
            step=step,
        )
        return HealthCheck.of("Hardware", "warn", fault)
    if device.reason:
        on_cpu = KBError(
            "check.hardware_reason", "{facts}: {reason}", facts=facts, reason=device.reason
        )
        return HealthCheck.of("Hardware", "ok", on_cpu)
    return HealthCheck.of("Hardware", "ok", KBError("check.hardware", "{facts}", facts=facts))


def diagnose(request: str, device: Device, driver: Driver, build: TorchBuild) -> str:
    """Return the next step if a card is there or was requested, and the CPU is used; else empty."""
    step = next_step(request, device, driver, build)
    return step.message if step is not None else ""


def next_step(request: str, device: Device, driver: Driver, build: TorchBuild) -> KBError | None:
    """Return the sentence of `diagnose` with its code; None for a machine without a fault."""
    kind, _ = parse_request(request)
    if device.kind != "CPU" or not device.reason or kind == "cpu":
        return None
    if kind == "mps":
        return KBError("device_step.device_auto", "Set KB_DEVICE=auto.")
    if not driver.present:
        if kind == "auto":
            return None
        return KBError(
            "device_step.no_driver",
            "No NVIDIA driver is found. {install} To end this warning: KB_DEVICE=cpu.",
            install=driver_install(build.cuda_major or 13),
        )
    if "mismatch" in f"{driver.problem} {device.reason}".lower():
        return KBError(
            "device_step.restart",
            "The driver was updated while it was in use: restart the machine.",
        )
    if driver.problem:
        return KBError(
            "device_step.driver_silent",
            "The driver does not answer ({problem}). {install} To end this warning: KB_DEVICE=cpu.",
            problem=driver.problem,
            install=driver_install(),
        )
    if not driver.version and not driver.cards:
        return KBError(
            "device_step.card_without_driver",
            "A card is there without a driver. {install} To end this warning: KB_DEVICE=cpu.",
            install=driver_install(),
        )
    oldest = OLDEST_DRIVER.get(build.cuda_major or 13, 0)
    if driver.major and driver.major < oldest:
        return _old_driver(driver, build, oldest)
    return _build_step(device, build)


def _old_driver(driver: Driver, build: TorchBuild, oldest: int) -> KBError:
    step = KBError(
        "device_step.old_driver",
        "CUDA {cuda} needs driver {oldest} or newer, not {version}. {install}",
        cuda=build.cuda or "13",
        oldest=oldest,
        version=driver.version,
        install=driver_install(build.cuda_major or 13),
    )
    if build.cuda:
        return step
    return KBError(
        "device_step.and_torch", "{first} And run: {command}", first=step, command=torch_install()
    )


def _build_step(device: Device, build: TorchBuild) -> KBError:
    """Return the step where the driver is in order."""
    if not build.cuda and not build.hip:
        return KBError("device_step.torch", "Run: {command}", command=torch_install())
    if build.hip:
        return KBError(
            "device_step.torch_for_amd",
            "This PyTorch is built for AMD cards. Run: {command}",
            command=torch_install(),
        )
    if "is older than this PyTorch" in device.reason:
        return KBError(
            "device_step.old_card",
            "CUDA 12.6 has code for older cards: {command}. To end this warning: KB_DEVICE=cpu.",
            command=pip_install("torch", "--index-url", OLD_CARDS_INDEX),
        )
    if "holds no code" in device.reason:
        return KBError("device_step.torch", "Run: {command}", command=torch_install())
    if hidden := visible_devices():
        return KBError(
            "device_step.cards_hidden", "Remove {setting} from the environment.", setting=hidden
        )
    if "does not exist" in device.reason:
        return KBError(
            "device_step.device_unknown", "Correct KB_DEVICE; auto takes the first card that works."
        )
    return KBError(
        "device_step.restart_then_driver",
        "Restart the machine; if it stays: {install} To end this warning: KB_DEVICE=cpu.",
        install=driver_install(),
    )


def check_size(model: str, device: Device) -> list[HealthCheck]:
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
    smaller = [
        known
        for known in known_models()
        if known.engine == "whisper"
        and known.languages > 1
        and batch_bytes(known.shape, 1, number_bytes) <= device.budget_bytes
    ]
    best = max(smaller, key=lambda known: known.parameters, default=None)
    figures: dict[str, Any] = {
        "device": device.name,
        "room": device.budget_bytes / GB,
        "model": model,
        "needed": needed / GB,
    }
    if best is not None:
        problem = KBError(
            "check.card_memory",
            "{device} has {room:.1f} GB for the recognizer, and {model} needs {needed:.1f} GB",
            hint="Choose a smaller one: KB_MODEL={smaller}",
            smaller=best.name,
            **figures,
        )
    else:
        problem = KBError(
            "check.card_too_small",
            "{device} has {room:.1f} GB for the recognizer, and {model} needs {needed:.1f} GB",
            hint="Set KB_DEVICE=cpu.",
            **figures,
        )
    return [HealthCheck.of("Card memory", "warn", problem)]


def _memory(settings: Settings, device: Device) -> list[KBError | str]:
    if device.kind == "CPU":
        return []
    if allocator := _allocator():
        how = KBError("clause.allocator", "allocator {settings}", settings=allocator)
    else:
        how = KBError("clause.allocator_default", "allocator with its defaults")
    found: list[KBError | str] = [
        KBError(
            "clause.card_memory",
            "{total:.1f} GB of memory, {reserve:g} GB in reserve",
            total=device.total_bytes / GB,
            reserve=settings.gpu_reserve_gb,
        ),
        KBError("clause.attention", "attention {name}", name=device.attention),
        how,
    ]
    return [*found, "TF32"] if device.tf32 else found


def _allocator() -> str:
    """Return the allocator's configuration as torch has read it."""
    import torch

    read = getattr(torch._C, "_accelerator_getAllocatorSettings", None)
    if read is not None:
        return str(read() or "")
    # torch prefers the older of the two names.
    return os.environ.get("PYTORCH_CUDA_ALLOC_CONF") or os.environ.get("PYTORCH_ALLOC_CONF") or ""


def _torch(build: TorchBuild) -> KBError:
    if build.cuda:
        return KBError(
            "clause.torch_cuda",
            "PyTorch {version} for CUDA {cuda}",
            version=build.version,
            cuda=build.cuda,
        )
    if build.hip:
        return KBError(
            "clause.torch_rocm",
            "PyTorch {version} for ROCm {rocm}",
            version=build.version,
            rocm=build.hip,
        )
    return KBError("clause.torch_cpu", "PyTorch {version}, without CUDA", version=build.version)


def _cublas(settings: Settings, device: Device) -> list[HealthCheck]:
    """Return the check of CTranslate2's cuBLAS where the settings use its engine on a card."""
    engines = {settings.engine, settings.repair_engine.partition(":")[0]}
    if device.kind != "CUDA" or "faster-whisper" not in engines:
        return []
    from kb.asr.engines.faster_whisper.cublas import load_cublas

    name = "cuBLAS for faster-whisper"
    try:
        load_cublas()
    except KBError as error:
        return [HealthCheck.of(name, "fail", error)]
    return [HealthCheck.of(name, "ok", KBError("check.cublas", "CUDA 12"))]


def _desktop(settings: Settings, manager: GPUManager) -> list[HealthCheck]:
    card = GpuCard.find(manager.uuid) if manager.kind == "CUDA" else None
    if not settings.gpu_give_way or (card is not None and card.read().desktop is not None):
        return []
    problem = KBError(
        "check.no_desktop",
        "KB_GPU_GIVE_WAY has no effect: the driver does not report which programs use the card",
        hint="To leave time to the desktop: KB_GPU_MAX_UTILISATION=80. To end this warning: "
        "KB_GPU_GIVE_WAY=false.",
    )
    return [HealthCheck.of("Desktop", "warn", problem)]
