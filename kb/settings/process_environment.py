"""Environment variables of this process and of the processes that it starts.

Libraries read variables when they are imported, and the processes that this one starts inherit
them. The files of the folder where a user happens to stand are data: no program, Python module
or `.env` of it may be used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_ALLOCATOR = "max_split_size_mb:512"
# Set before torch and transformers are imported, unless the environment or `.env` has others.
LIBRARY_ENVIRONMENT = {
    "PYTORCH_CUDA_ALLOC_CONF": _ALLOCATOR,
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

# Variables of the libraries that take effect from `.env`, by the beginning of their names.
LIBRARY_PREFIXES = (
    *("CUDA_", "CUBLAS_", "CUDNN_", "NVIDIA_", "PYTORCH_", "TORCH_", "TORCHINDUCTOR_"),
    *("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "SENTENCE_TRANSFORMERS_"),
    *("OMP_", "MKL_", "CT2_", "NUMPY_"),
)

_ISOLATION = {
    # `python -m`, `-c` and multiprocessing put the current folder before the library.
    "PYTHONSAFEPATH": "1",
    # Windows looks for programs in the current folder before PATH.
    "NoDefaultCurrentDirectoryInExePath": "1",
    # moviepy loads the nearest `.env` into the environment when it is imported.
    "PYTHON_DOTENV_DISABLED": "1",
}


def is_library_variable(name: str) -> bool:
    """Return True for a variable of PyTorch, CUDA, transformers or another library."""
    return name in LIBRARY_ENVIRONMENT or name.startswith(LIBRARY_PREFIXES)


def apply(from_file: Mapping[str, str]) -> None:
    """Set the variables of libraries that `.env` gives, their defaults, and the isolation.

    A variable that the environment has already is not changed, except those of the isolation.
    """
    given = {name: value for name, value in from_file.items() if is_library_variable(name)}
    if os.environ.get("PYTORCH_ALLOC_CONF"):
        # PyTorch prefers the old name of this variable, and the environment precedes the file.
        given.pop("PYTORCH_CUDA_ALLOC_CONF", None)
    elif given.get("PYTORCH_ALLOC_CONF") and given.get("PYTORCH_CUDA_ALLOC_CONF") == _ALLOCATOR:
        del given["PYTORCH_CUDA_ALLOC_CONF"]  # the line of `.env.example`
    for name, value in given.items():
        if value:
            os.environ.setdefault(name, value)
    for name, value in LIBRARY_ENVIRONMENT.items():
        others = ("PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
        if name == "PYTORCH_CUDA_ALLOC_CONF" and any(os.environ.get(each) for each in others):
            continue
        os.environ.setdefault(name, value)
    os.environ.update(_ISOLATION)
    _exclude_current_folder_from_libraries()


def python_command(*arguments: str) -> list[str]:
    """Return the command line of a Python process that imports nothing from the current folder."""
    return [sys.executable, "-P", *arguments]


def _exclude_current_folder_from_libraries() -> None:
    """Remove the current folder from the places where Windows looks for DLLs."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetDllDirectoryW("")
