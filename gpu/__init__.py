"""Hardware: the device for the computation, its limits, and the presets that set them.

No device is probed and torch is not loaded before the first use of a `GPUManager`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu.devices import Device
    from gpu.failures import device_lost, out_of_memory, refused
    from gpu.manager import BatchCeiling, GPUManager, MemoryUse
    from gpu.preset_figures import Preset, override
    from gpu.presets import find_preset, load_presets

__all__ = [
    "BatchCeiling",
    "Device",
    "GPUManager",
    "MemoryUse",
    "Preset",
    "device_lost",
    "find_preset",
    "load_presets",
    "out_of_memory",
    "override",
    "refused",
]

# A command that names a preset's figures alone loads none of the others.
_HOMES = {
    "Device": "gpu.devices",
    "device_lost": "gpu.failures",
    "out_of_memory": "gpu.failures",
    "refused": "gpu.failures",
    "BatchCeiling": "gpu.manager",
    "GPUManager": "gpu.manager",
    "MemoryUse": "gpu.manager",
    "Preset": "gpu.preset_figures",
    "override": "gpu.preset_figures",
    "find_preset": "gpu.presets",
    "load_presets": "gpu.presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gpu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
