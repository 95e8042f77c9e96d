"""Choose the build of PyTorch that fits this machine, and print pip's arguments for it.

    python tools/torch_choice.py            # reads the driver: nvidia-smi, rocminfo
    python tools/torch_choice.py --torch cpu

`make setup` and `setup.ps1` install what is printed on standard output; the reason is on standard
error. Only the standard library is used: nothing is installed yet.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

INDEX = "https://download.pytorch.org/whl/"
BUILDS = {"cuda13": "cu130", "cuda12": "cu126", "rocm": "rocm7.2", "cpu": "cpu"}
AUTO, PYPI = "auto", "pypi"
CUDA13_DRIVER, CUDA12_DRIVER = 580, 525  # CUDA's release notes; gpu/remedies.py has them, too
CUDA13_ARCHITECTURE = 7.5  # CUDA 13 has no code for older cards (Maxwell, Pascal, Volta)
ANSWER_S = 15.0


@dataclass(frozen=True)
class Choice:
    """A build, and why it was chosen."""

    build: str
    reason: str

    @property
    def arguments(self) -> list[str]:
        """Arguments of `pip install`; a build of an index has a larger version than PyPI's."""
        if self.build == PYPI:
            return ["torch"]
        return ["torch", "--extra-index-url", INDEX + BUILDS[self.build]]


def choose(system: str = "", asked: str = AUTO) -> Choice:
    """Return the build for this machine, or the one that was asked for by its name."""
    if asked != AUTO:
        return Choice(asked, "asked for")
    if (system or platform.system()) == "Darwin":
        return Choice(PYPI, "macOS: the build of PyPI uses Apple's GPU")
    return (
        _nvidia() or _amd() or Choice(PYPI, "no graphics driver was found; --torch cpu is smaller")
    )


def _nvidia() -> Choice | None:
    """Return the build for the NVIDIA driver; None without one that answers."""
    printed = _output(
        "nvidia-smi", "--query-gpu=driver_version,compute_cap", "--format=csv,noheader"
    )
    rows = re.findall(r"^\s*(\d+)[\d.]*\s*,\s*(\d+\.\d+|\S*)", printed, re.MULTILINE)
    if not rows:
        # Drivers before 510 do not know `compute_cap`.
        match = re.search(r"Driver Version:\s*(\d+)", _output("nvidia-smi"))
        rows = [(match[1], "")] if match else []
    if not rows:
        return None
    driver = int(rows[0][0])
    newest = max((float(cap) for _, cap in rows if re.fullmatch(r"\d+\.\d+", cap)), default=None)
    if driver < CUDA12_DRIVER:
        reason = f"NVIDIA driver {driver} is too old for CUDA 12, which needs {CUDA12_DRIVER}"
        return Choice("cpu", f"{reason}; update the driver and run this again")
    if driver < CUDA13_DRIVER:
        return Choice("cuda12", f"NVIDIA driver {driver}: CUDA 12 (CUDA 13 needs {CUDA13_DRIVER})")
    if newest is not None and newest < CUDA13_ARCHITECTURE:
        return Choice(
            "cuda12", f"a card of architecture {newest:g}, which CUDA 13 dropped: CUDA 12"
        )
    return Choice("cuda13", f"NVIDIA driver {driver}: CUDA 13")


def _amd() -> Choice | None:
    """Return the build for AMD cards; None where rocminfo names none."""
    cards = re.findall(r"^\s*Name:\s*(gfx\w+)", _output("rocminfo"), re.MULTILINE)
    return Choice("rocm", f"AMD card {cards[0]}: ROCm") if cards else None


def _output(program: str, *arguments: str) -> str:
    """Return what a program prints; empty if it is not there, fails or does not answer."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, errors="replace",
            timeout=ANSWER_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def main(arguments: list[str] | None = None) -> None:
    """Print the arguments of pip on standard output and the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--torch", default=AUTO, choices=[AUTO, *BUILDS, PYPI], help="A build, in place of auto."
    )
    choice = choose(asked=parser.parse_args(arguments).torch)
    print(f"PyTorch: {choice.build} ({choice.reason})", file=sys.stderr)
    print(*choice.arguments)


if __name__ == "__main__":
    main()
