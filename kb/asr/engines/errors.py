"""Failures of an engine as errors with a next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpu.failures import failed_link
from kb.errors import DeviceLost, GPUError, KBError, TranscriptionError
from kb.types.safe_text import without_unsafe_advice

if TYPE_CHECKING:
    from gpu.manager import GPUManager


def recognizer_closed() -> TranscriptionError:
    """Return the error of a call that waited when the batcher was closed."""
    return TranscriptionError(
        "recognizer.closed",
        "The recognizer was closed before it had read everything.",
        hint="Try again.",
    )


def explain(error: Exception, manager: GPUManager) -> KBError:
    """Return any failure of the engine as an error with a next step."""
    if isinstance(error, KBError):
        return error
    first = _first_line(error)
    if manager.out_of_memory(error):
        return GPUError(
            "device.window_too_large",
            "Not even one window fits into the device's memory: {cause}",
            hint="Close other programs that use the GPU, choose a smaller model, or KB_DEVICE=cpu.",
            cause=first,
        )
    if manager.device_lost(error):
        return DeviceLost(
            "device.failed",
            "The device failed: {cause}",
            hint="Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.",
            cause=first,
        )
    if manager.refused(error):
        return _refused(error)
    return failed(error)


def failed(error: Exception) -> KBError:
    """Return a failure that is not the device's as an error with a next step."""
    if isinstance(error, KBError):
        return error
    return TranscriptionError(
        "recognizer.failed",
        "The recognizer failed: {kind}: {cause}",
        hint="Try again; with the same result, try another model or a smaller --batch-size.",
        kind=type(error).__name__,
        cause=_first_line(error),
    )


def loading_error(error: Exception, model: str, manager: GPUManager) -> KBError | None:
    """Return the device's failure during loading; None if the device did not fail."""
    if isinstance(error, KBError):
        return error
    if manager.out_of_memory(error):
        return GPUError(
            "device.model_too_large",
            "Model {model} does not fit into the memory of {device}.",
            hint="Choose a smaller model, close other programs, or set KB_DEVICE=cpu.",
            retryable=False,
            model=model,
            device=manager.name,
        )
    if manager.device_lost(error):
        return DeviceLost(
            "device.failed_loading",
            "{device} failed while the model was loaded: {cause}",
            hint="Look at its driver with: kb doctor. To go on without it: KB_DEVICE=cpu.",
            device=manager.name,
            cause=_first_line(error),
        )
    return _refused(error) if manager.refused(error) else None


def _refused(error: Exception) -> GPUError:
    return GPUError(
        "device.refused",
        "The device's libraries have no code for this computation: {cause}",
        hint="Choose another arithmetic (KB_DTYPE for whisper, KB_COMPUTE_TYPE for "
        "faster-whisper), or KB_DEVICE=cpu.",
        retryable=False,
        cause=_first_line(error),
    )


def _first_line(error: Exception) -> str:
    """Return the first line of the device's own failure, else of the error."""
    link = failed_link(error)
    first = (str(link).strip().splitlines() or [""])[0]
    return without_unsafe_advice(first)[:300] or type(link).__name__
