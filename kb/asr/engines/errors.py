"""Failures of an engine as errors with a next step."""

from __future__ import annotations

from gpu.manager import GPUManager
from kb.errors import DeviceLost, GPUError, KBError, TranscriptionError


def recognizer_closed() -> TranscriptionError:
    """The batcher was closed while somebody waited for it."""
    return TranscriptionError(
        "The recognizer was closed before it had read everything.", hint="Try again."
    )


def explain(error: Exception, manager: GPUManager) -> KBError:
    """Any failure of the engine as an error with a next step."""
    if isinstance(error, KBError):
        return error
    first = _first_line(error)
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


def loading_error(error: Exception, model: str, manager: GPUManager) -> KBError | None:
    """What the device has against a model that is being loaded; None if it is not the device."""
    if isinstance(error, KBError):
        return error
    if manager.out_of_memory(error):
        return GPUError(
            f"Model {model} does not fit into the memory of {manager.name}.",
            hint="Choose a smaller model, close other programs, or set KB_DEVICE=cpu.",
            retryable=False,
        )
    if manager.device_lost(error):
        return DeviceLost(
            f"{manager.name} failed while the model was loaded: {_first_line(error)}",
            hint="Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.",
        )
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
