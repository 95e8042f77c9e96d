"""Hardware: which device computes, within which limits, and the presets that set them.

Nothing here is probed, and torch is not loaded, until a `GPUManager` is asked.
"""

from __future__ import annotations

from gpu.devices import Device
from gpu.failures import device_lost, out_of_memory
from gpu.manager import BatchCeiling, GPUManager, MemoryUse
from gpu.presets import Preset, find_preset, load_presets, override

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
]
