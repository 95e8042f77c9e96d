"""Commands that repair the installation of torch, of CUDA's libraries and of the driver."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
OLD_CARDS_INDEX = "https://download.pytorch.org/whl/cu126"  # CUDA 13 has no code for them
DRIVER_PAGE = "https://www.nvidia.com/drivers"

# The oldest driver for each major version of CUDA (CUDA's release notes, minor version
# compatibility).
OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}


def pip_install(*arguments: str) -> str:
    """Return the command that installs packages into this environment."""
    uv = find_spec("pip") is None and shutil.which("uv") is not None
    return " ".join(("uv pip install" if uv else "pip install", *arguments))


def torch_install(prefix: Path | None = None) -> str:
    """Return the command that installs torch for CUDA 13, in an environment of pip or conda.

    It names the build: a CPU build of the same version would otherwise count as installed.
    """
    folder = (prefix or Path(sys.prefix)) / "conda-meta"
    if any(folder.glob("pytorch-*.json")) or any(folder.glob("libtorch-*.json")):
        return "conda install -c conda-forge pytorch-gpu"
    try:
        release = version("torch").partition("+")[0]
    except PackageNotFoundError:
        return pip_install("torch", "--index-url", CUDA_INDEX)
    return pip_install(f"torch=={release}+cu130", "--extra-index-url", CUDA_INDEX)


def driver_install(cuda_major: int = 13, system: str = "", release: Path | None = None) -> str:
    """Return the command or the page that brings a driver for this version of CUDA."""
    oldest = OLDEST_DRIVER.get(cuda_major, OLDEST_DRIVER[13])
    page = f"Install driver {oldest} or newer from {DRIVER_PAGE}, then restart the machine."
    if (system or platform.system()) != "Linux":
        return page
    if "microsoft" in platform.release().lower():
        return f"In Windows, not in WSL: install driver {oldest} or newer from {DRIVER_PAGE}"
    try:
        text = (release or Path("/etc/os-release")).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return page
    if "ubuntu" in text.lower():
        return f"Run: sudo apt install nvidia-driver-{oldest}, then restart the machine."
    return page


def visible_devices() -> str:
    """Return the environment's setting that hides all cards, as `NAME=value`; else empty."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    if value is not None and (not value.strip() or value.strip().startswith(("-", "NoDevFiles"))):
        return f"CUDA_VISIBLE_DEVICES={value}"
    return ""
