"""Hardware: the device for the computation, its limits, and the presets that set them.

No device is probed and torch is not loaded before the first use of a `GPUManager`.
"""

from __future__ import annotations

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
