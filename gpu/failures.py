"""Recognizes out-of-memory and lost-device errors of several libraries."""

from __future__ import annotations

from collections.abc import Iterator

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, HIP and MPS
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "hipblas_status_alloc_failed",
    "can't allocate memory",  # torch on the CPU, Linux
    "not enough memory",  # torch on the CPU, Windows
)


# Messages of CUDA, HIP and their libraries for a broken context: every later call in the same
# process fails as well (cudaErrorIllegalAddress and similar errors).
_DEVICE_LOST = (
    "cuda error",
    "hip error",
    "cudnn_status",
    "cublas_status",
    "mps backend",
    "cuda failed with error",  # CTranslate2, before cudaGetErrorString's text
)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, reports that memory ran out.

    Covers torch.OutOfMemoryError, the RuntimeErrors of CUDA, HIP, cuBLAS, cuDNN, MPS and the
    CPU's allocator, and Python's MemoryError. Does not need torch.
    """
    return any(
        isinstance(link, MemoryError)
        or any(base.__name__ == "OutOfMemoryError" for base in type(link).__mro__)
        or (isinstance(link, RuntimeError) and _is_out_of_memory_message(str(link)))
        for link in _chain(error)
    )


def device_lost(error: BaseException) -> bool:
    """Return whether an error reports that the device's context is broken for this process.

    Out of memory is not such an error: the process can continue. Does not need torch.
    """
    return not out_of_memory(error) and any(
        type(link).__name__ == "AcceleratorError"
        or (
            isinstance(link, RuntimeError)
            and any(sign in str(link).lower() for sign in _DEVICE_LOST)
        )
        for link in _chain(error)
    )


def _is_out_of_memory_message(text: str) -> bool:
    return any(phrase in text.lower() for phrase in _OUT_OF_MEMORY)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        yield error
        error = error.__cause__
