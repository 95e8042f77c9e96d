"""The cuBLAS of CUDA 12, which CTranslate2 needs on a card beside a torch of another CUDA."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu.remedies import pip_install
from kb.errors import SettingsError

_LIBRARIES = {
    "win32": ("cublasLt64_12.dll", "cublas64_12.dll"),
    "linux": ("libcublasLt.so.12", "libcublas.so.12"),
}  # in the order of loading: the second needs the first


def load_cublas(platform: str = sys.platform, load: Callable[[str], Any] | None = None) -> None:
    """Load the libraries that CTranslate2 opens by their names, so that it finds them.

    They are searched where the system searches, then in the package nvidia-cublas-cu12, whose
    folder the system does not search. Raises SettingsError with the command that installs it.
    """
    for name in _LIBRARIES.get(platform, ()):
        candidates = [name, *(str(folder / name) for folder in _package_folders())]
        if not any(_loaded(each, load or _load) for each in candidates):
            raise SettingsError(
                "engine.no_cublas",
                "The engine faster-whisper needs {library} of CUDA 12 on a card, which is not "
                "found; the libraries of PyTorch are of another CUDA.",
                hint="Run: {command}, or use --engine whisper.",
                library=name,
                command=pip_install("nvidia-cublas-cu12"),
            )


def _loaded(path: str, load: Callable[[str], Any]) -> bool:
    try:
        load(path)
    except OSError:
        return False
    return True


def _load(path: str) -> Any:
    # On Windows, 0 also searches PATH, as CTranslate2 does; the current folder is excluded by
    # kb.settings.process_environment.
    return ctypes.CDLL(path, ctypes.RTLD_GLOBAL, winmode=0)


def _package_folders() -> list[Path]:
    try:
        spec = find_spec("nvidia.cublas")
    except ModuleNotFoundError:
        return []
    places = list(spec.submodule_search_locations or ()) if spec else []
    return [Path(place) / sub for place in places for sub in ("lib", "bin")]
