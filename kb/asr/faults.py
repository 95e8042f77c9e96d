"""Failures of an engine as errors with a next step."""

from __future__ import annotations

from gpu.manager import GPUManager
from kb.errors import DeviceLost, GPUError, KBError, TranscriptionError


def closed() -> TranscriptionError:
    """The batcher was closed while somebody waited for it."""
    return TranscriptionError(
        "The recognizer was closed before it had read everything.", hint="Try again."
    )


def explain(error: Exception, manager: GPUManager) -> KBError:
    """Any failure of the engine as an error with a next step."""
    if isinstance(error, KBError):
        return error
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if manager.out_of_memory(error):
        return GPUError(
            f"Not even one window fits into the device's memory: {first}",
            hint="Close other programs that use the GPU, choose a smaller model, or KB_DEVICE=cpu.",
        )
    if manager.device_lost(error):
        return DeviceLost(
            f"The device failed: {first}",
            hint="Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.",
        )
    return TranscriptionError(
        f"The recognizer failed: {type(error).__name__}: {first}",
        hint="Try again; with the same result, try another model or a smaller --batch-size.",
    )
