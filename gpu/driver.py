"""The NVIDIA driver and its cards, read without torch: through NVML, else nvidia-smi."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_QUERY_S = 10.0
_PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver of the NVIDIA cards.

    `version`: as `580.65.06`, empty if unknown; `cards`: their names; `problem`: the driver's
    first line if it does not answer. `present` is False if there is neither a driver nor a card;
    a card without a driver has `present` and no version.
    """

    present: bool = False
    version: str = ""
    cards: tuple[str, ...] = ()
    problem: str = ""

    @property
    def major(self) -> int:
        """The first number of the version; 0 if unknown."""
        match = re.match(r"\d+", self.version)
        return int(match[0]) if match else 0


def read_driver(nvml: Any | None = None, pci: Path = _PCI) -> Driver:
    """Return the driver's facts; never raises. `nvml` may be a replacement in tests."""
    found = _from_nvml(nvml)
    if found is None or not found.version:
        found = _from_smi() or found
    if found is not None:
        return found
    return Driver(present=_card_on_bus(pci))


def _from_nvml(nvml: Any | None) -> Driver | None:
    try:
        library = importlib.import_module("pynvml") if nvml is None else nvml
        library.nvmlInit()
    except Exception as error:
        text = str(error).strip()
        if "mismatch" in text.lower() or "not loaded" in text.lower():
            return Driver(present=True, problem=text)
        return None
    names: list[str] = []
    with contextlib.suppress(Exception):
        handles = [
            library.nvmlDeviceGetHandleByIndex(index)
            for index in range(library.nvmlDeviceGetCount())
        ]
        names = [_text(library.nvmlDeviceGetName(handle)) for handle in handles]
    with contextlib.suppress(Exception):
        return Driver(True, _text(library.nvmlSystemGetDriverVersion()), tuple(names))
    return Driver(True, "", tuple(names))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _from_smi() -> Driver | None:
    """Return what nvidia-smi prints; None without the program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_QUERY_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Driver(True, problem=f"nvidia-smi does not answer: {type(error).__name__}")
    printed = (done.stdout + done.stderr).strip()
    rows = re.findall(r"^\s*(\d+\.[\d.]+)\s*,\s*(.+?)\s*$", done.stdout, re.MULTILINE)
    if rows:
        return Driver(True, rows[0][0], tuple(name for _, name in rows))
    # Some versions print their usual table, whatever is asked.
    if match := re.search(r"Driver Version:\s*(\d+[\d.]*)", printed):
        return Driver(True, match[1])
    first = printed.splitlines()[0].strip() if printed else ""
    return Driver(True, problem=first if done.returncode else "")


def _card_on_bus(pci: Path) -> bool:
    """Return True for a display controller of NVIDIA on the PCI bus (Linux)."""
    with contextlib.suppress(OSError):
        for folder in pci.iterdir():
            with contextlib.suppress(OSError):
                vendor = (folder / "vendor").read_text().strip()
                if vendor == "0x10de" and (folder / "class").read_text().startswith("0x03"):
                    return True
    return False
