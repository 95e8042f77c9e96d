"""The requirements of a compiled encoder (KB_COMPILE_ENCODER)."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec

from gpu.devices import Kind
from kb.errors import SettingsError


def check_compiler(kind: Kind, platform: str = sys.platform) -> None:
    """Raise SettingsError if torch.compile cannot make code for this kind of device.

    For a graphics card it needs Triton and, except on Windows, a C compiler for Triton's
    launchers; for a CPU it needs a C++ compiler.
    """
    windows = platform == "win32"
    if kind in ("CUDA", "ROCm"):
        if find_spec("triton") is None:
            package = "triton-windows" if windows else "triton"
            raise _missing("Triton", f"pip install {package}")
        if not windows and not _found("CC", "gcc", "clang", "cc"):
            raise _missing("a C compiler", "sudo apt install gcc")
    elif kind == "CPU":
        if windows and not _found("CXX", "cl"):
            command = "winget install Microsoft.VisualStudio.2022.BuildTools"
            raise _missing("the C++ compiler of Visual Studio", command)
        if not windows and not _found("CXX", "g++", "clang++", "c++"):
            raise _missing("a C++ compiler", "sudo apt install g++")


def _found(variable: str, *programs: str) -> bool:
    chosen = os.environ.get(variable, "").split(" ")[0]
    return any(shutil.which(program) for program in (chosen, *programs) if program)


def _missing(part: str, command: str) -> SettingsError:
    return SettingsError(
        "engine.no_compiler",
        "KB_COMPILE_ENCODER needs {part}, which is not installed.",
        hint="Run: {command}, or set KB_COMPILE_ENCODER=false.",
        part=part,
        command=command,
    )
