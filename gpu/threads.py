"""Threads of numerical libraries, in processes that compute beside others.

numpy's OpenBLAS starts a thread for each core and uses them for every larger product. Eight
processes on sixteen cores would then have 128 such threads, which wait for each other. Each library
reads its number once, when it is loaded, so that a process gets it from the one that starts it.
"""

from __future__ import annotations

import os

_OPENBLAS = "OPENBLAS_NUM_THREADS"
_LIBRARIES = (
    _OPENBLAS,
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def one_thread() -> dict[str, str]:
    """Return the variables that give each numerical library of a process one thread.

    They are for a process that is one of several equal ones, and replace those of the user, whose
    `OMP_NUM_THREADS` is the number for the recognition on a CPU (`gpu.devices.cpu_threads`).
    """
    return dict.fromkeys(_LIBRARIES, "1")


def limit_started_processes() -> None:
    """Have numpy compute with one thread in the processes that this one starts from now on.

    They are processes of models: their large products are those of torch, CTranslate2 and
    onnxruntime, each with its own number of threads, and numpy's would come on top. A number of
    the user stays. (torch asks OpenMP for its number, also where it is built with OpenBLAS.)
    """
    os.environ.setdefault(_OPENBLAS, "1")
