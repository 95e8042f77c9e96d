"""Recognizes the failures of a device by the messages of several libraries.

The status names are those of cuBLAS, cuDNN, cuFFT, hipBLAS, rocBLAS and MIOpen, as torch and
CTranslate2 quote them; the texts of CUDA's own errors are those of cudaGetErrorString.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

Failure = Literal["memory", "refused", "lost", ""]
"""`memory`: memory ran out. `refused`: the library has no code for this shape or type; nothing is
broken. `lost`: the context of the device is broken for this process. Empty: another error."""

_OUT_OF_MEMORY = re.compile(
    r"""
      out\ of\ memory                                    # CUDA, HIP, MPS, Triton
    | can(?:'|no)?t\ allocate\ memory                    # torch on the CPU, Linux
    | not\ enough\ memory                                # torch on the CPU, Windows
    | status_\w*alloc(?:ation)?_?failed | cufft_alloc_failed | miopenstatusallocfailed
    | rocblas_status_memory_error
    # A handle or its workspace did not fit: the libraries have no better name for it.
    | (?:cublas|cudnn|cusolver|cusparse|hipblas)_status_not_initialized
    | cuda_error_out_of_memory | cudaerrormemoryallocation
    """,
    re.VERBOSE,
)
_REFUSED = re.compile(
    r"""
      (?:cublas|cudnn|cusolver|cusparse|hipblas)_status_
          (?:not_supported|bad_param|invalid_value|arch_mismatch)
    | cufft_(?:invalid_(?:size|value)|not_supported)
    | rocblas_status_(?:not_implemented|invalid_size|invalid_value|invalid_pointer)
    | miopenstatus(?:badparm|notimplemented|unsupportedop)
    | unable\ to\ find\ an\ engine\ to\ execute          # torch, no plan of cuDNN
    | no\ (?:valid\ )?(?:execution\ plans|engine\ config)  # the frontend of cuDNN
    # Errors of a single launch: CUDA documents no others as leaving the context usable.
    | (?:cuda|hip)\ (?:error:|driver\ error:|failed\ with\ error)\ (?:
          invalid\ configuration\ argument | invalid\ argument | operation\ not\ supported
        | too\ many\ resources\ requested\ for\ launch )
    | error\ \[cuda\]:\ (?:invalid\ argument|operation\ not\ supported)
    """,
    re.VERBOSE,
)
# Every later call in the same process fails as well (cudaErrorIllegalAddress and similar errors).
_LOST = re.compile(
    r"""
      (?:cuda|hip)\ (?:driver\ )?error | error\ \[(?:cuda|hip)\]
    | cuda\ failed\ with\ error                          # CTranslate2
    | (?:cudnn|cublas|hipblas|cusolver|cusparse)_status
    | mps\ backend
    """,
    re.VERBOSE,
)


def failure(error: BaseException) -> Failure:
    """Return the kind of a device's failure, of the error or the nearest of its causes.

    The causes are those that a traceback shows: `__cause__`, else `__context__` unless it is
    suppressed. Does not need torch.
    """
    return _of_one(failed_link(error))


def failed_link(error: BaseException) -> BaseException:
    """Return the error, or the nearest of its causes, that reports a device's failure.

    Without such a cause the error itself.
    """
    return next(filter(_of_one, _chain(error)), error)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports that memory ran out.

    Covers torch.OutOfMemoryError, the RuntimeErrors of CUDA, HIP, cuBLAS, cuDNN, MPS and the
    CPU's allocator, and Python's MemoryError.
    """
    return failure(error) == "memory"


def refused(error: BaseException) -> bool:
    """Return whether a library has no code for a shape or a type; fewer windows may help."""
    return failure(error) == "refused"


def device_lost(error: BaseException) -> bool:
    """Return whether an error reports that the device's context is broken for this process.

    Out of memory is not such an error, nor is a refused shape: the process can continue.
    """
    return failure(error) == "lost"


def _of_one(error: BaseException) -> Failure:
    names = {base.__name__ for base in type(error).__mro__}
    if isinstance(error, MemoryError) or "OutOfMemoryError" in names:
        return "memory"
    if not isinstance(error, RuntimeError) and "AcceleratorError" not in names:
        return "refused" if "OutOfResources" in names else ""  # Triton: a kernel too large
    text = str(error).lower()
    if _OUT_OF_MEMORY.search(text):
        return "memory"
    if _REFUSED.search(text):
        return "refused"
    return "lost" if _LOST.search(text) or "AcceleratorError" in names else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
