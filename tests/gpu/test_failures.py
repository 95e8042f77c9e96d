"""The kinds of a device's failures, by the messages of the libraries."""

from __future__ import annotations

import pytest
import torch

from gpu.failures import Failure, device_lost, failure, out_of_memory, refused
from kb.errors import GPUError

Accelerator = type("AcceleratorError", (RuntimeError,), {})

MESSAGES: list[tuple[str, Failure]] = [
    # Memory: a handle that cannot be made says "not initialized".
    ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", "memory"),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "memory"),
    ("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", "memory"),
    ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "memory"),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "memory"),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED", "memory"),
    ("cuFFT error: CUFFT_ALLOC_FAILED", "memory"),
    ("cusolver error: CUSOLVER_STATUS_NOT_INITIALIZED, when calling `cusolverDnCreate`", "memory"),
    ("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`", "memory"),
    ("HIPBLAS_STATUS_NOT_INITIALIZED when calling `hipblasCreate(handle)`", "memory"),
    ("rocblas_status_memory_error", "memory"),
    ("MIOpen Error: miopenStatusAllocFailed", "memory"),
    ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", "memory"),
    ("CUDA driver error: out of memory", "memory"),
    ("Triton Error [CUDA]: out of memory", "memory"),
    ("CUDA failed with error out of memory", "memory"),
    ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", "memory"),
    ("cuBLAS failed with status CUBLAS_STATUS_NOT_INITIALIZED", "memory"),
    ("MPS backend out of memory (MPS allocated: 9.00 GB, max allowed: 9.07 GB)", "memory"),
    ("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory", "memory"),
    # A shape or a type without code: the context is whole.
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a "
     "non-contiguous input.", "refused"),
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED_SHAPE", "refused"),
    ("cuDNN error: CUDNN_STATUS_BAD_PARAM", "refused"),
    ("cuDNN error: CUDNN_STATUS_ARCH_MISMATCH", "refused"),
    ("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmulAlgoGetHeuristic(...)`",
     "refused"),
    ("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx( handle, opa, opb )`",
     "refused"),
    ("CUDA error: CUBLAS_STATUS_ARCH_MISMATCH when calling `cublasGemmEx`", "refused"),
    ("cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED", "refused"),  # int8 on some cards
    ("cuDNN failed with status CUDNN_STATUS_NOT_SUPPORTED", "refused"),
    ("cuFFT error: CUFFT_INVALID_SIZE", "refused"),
    ("GET was unable to find an engine to execute this computation", "refused"),
    ("FIND was unable to find an engine to execute this computation", "refused"),
    ("cuDNN Frontend error: [cudnn_frontend] Error: No valid execution plans built.", "refused"),
    ("CUDA error: invalid configuration argument", "refused"),
    ("CUDA error: invalid argument", "refused"),
    ("CUDA error: too many resources requested for launch", "refused"),
    ("CUDA failed with error invalid configuration argument", "refused"),
    ("CUDA error: HIPBLAS_STATUS_NOT_SUPPORTED when calling `hipblasGemmEx`", "refused"),
    ("miopenStatusBadParm", "refused"),
    # The context is broken.
    ("CUDA error: an illegal memory access was encountered", "lost"),
    ("CUDA error: unspecified launch failure", "lost"),
    ("CUDA error: device-side assert triggered", "lost"),
    ("CUDA error: the launch timed out and was terminated", "lost"),  # Windows' watchdog
    ("CUDA error: uncorrectable ECC error encountered", "lost"),
    ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", "lost"),
    ("CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasGemmEx`", "lost"),
    ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "lost"),
    ("cuDNN error: CUDNN_STATUS_MAPPING_ERROR", "lost"),
    ("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED", "lost"),
    ("CUDA failed with error an illegal memory access was encountered", "lost"),
    ("Triton Error [CUDA]: an illegal memory access was encountered", "lost"),
    ("CUDA driver error: unspecified launch failure", "lost"),
    ("HIP error: the operation cannot be performed in the present state", "lost"),
    # No failure of a device.
    ("The size of tensor a (51865) must match the size of tensor b (51866)", ""),
    ("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)", ""),
    ("Library libcublas.so.12 is not found or cannot be loaded", ""),
]  # fmt: skip


@pytest.mark.parametrize(("message", "kind"), MESSAGES, ids=[text[:60] for text, _ in MESSAGES])
def test_the_kind_of_a_message(message: str, kind: Failure) -> None:
    error = RuntimeError(message)
    assert failure(error) == kind
    found = (out_of_memory(error), refused(error), device_lost(error))
    assert found == (kind == "memory", kind == "refused", kind == "lost")
    if kind:
        # torch's own class for CUDA's errors alone does not make the device a lost one.
        assert failure(Accelerator(message)) == kind
        assert failure(ValueError(message)) == ""


def test_an_accelerator_error_with_an_unknown_text_is_a_lost_device() -> None:
    assert failure(Accelerator("a text of a later version")) == "lost"


def _raise(error: Exception) -> None:
    raise error


def _while_handling(first: Exception, second: Exception, *, hidden: bool = False) -> Exception:
    try:
        try:
            raise first
        except Exception:
            if hidden:
                raise second from None
            _raise(second)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


OOM = "CUDA out of memory. Tried to allocate 2.00 GiB"
LOST = "CUDA error: an illegal memory access was encountered"


@pytest.mark.parametrize(
    ("first", "second", "hidden", "kind"),
    [
        (torch.OutOfMemoryError(OOM), ValueError("the step failed"), False, "memory"),
        (torch.OutOfMemoryError(OOM), GPUError("decoding failed"), False, "memory"),
        (MemoryError(), KeyError("x"), False, "memory"),
        (RuntimeError(LOST), TypeError("'NoneType' is not iterable"), False, "lost"),
        # The later error decides if it is a device's failure itself.
        (torch.OutOfMemoryError(OOM), RuntimeError(LOST), False, "lost"),
        (RuntimeError("CUDNN_STATUS_NOT_SUPPORTED"), torch.OutOfMemoryError(OOM), False, "memory"),
        (torch.OutOfMemoryError(OOM), ValueError("settled, another case"), True, ""),
        (RuntimeError(LOST), ValueError("settled, another case"), True, ""),
        (KeyError("cache"), ValueError("no number"), False, ""),
    ],
)
def test_an_error_raised_while_another_is_handled(
    first: Exception, second: Exception, hidden: bool, kind: Failure
) -> None:
    assert failure(_while_handling(first, second, hidden=hidden)) == kind


def test_errors_that_refer_to_each_other_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert failure(one) == ""
