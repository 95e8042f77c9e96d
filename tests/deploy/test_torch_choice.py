"""The build of PyTorch that setup takes, with programs that stand in for the drivers' own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.remedies import OLDEST_DRIVER
from kb.settings import PROJECT_ROOT
from tools import torch_choice

TABLE = "| NVIDIA-SMI 470.82  Driver Version: 470.82.01  CUDA Version: 11.4 |"
AGENTS = (
    "Agent 1\n  Name:                    AMD Ryzen 9\nAgent 2\n  Name:                    gfx1100\n"
)

# What nvidia-smi and rocminfo print (None: the program is not there), the system, and the build.
MACHINES = {
    "RTX 4090, new driver": ("580.65.06, 8.9\n", None, "Linux", "cuda13"),
    "RTX 4090 on Windows": ("581.15, 8.9\r\n", None, "Windows", "cuda13"),
    "RTX 4090, older driver": ("550.120, 8.9\n", None, "Linux", "cuda12"),
    "GTX 1080, new driver": ("580.65.06, 6.1\n", None, "Linux", "cuda12"),
    "old and new card": ("580.65.06, 6.1\n580.65.06, 8.6\n", None, "Linux", "cuda13"),
    "architecture unknown": ("590.10, [N/A]\n", None, "Linux", "cuda13"),
    "driver too old": ("470.82.01, 8.6\n", None, "Linux", "cpu"),
    "driver that prints its table only": (TABLE, None, "Linux", "cpu"),
    "AMD": (None, AGENTS, "Linux", "rocm"),
    "AMD software without a card": (None, "Agent 1\n  Name: AMD Ryzen 9\n", "Linux", "pypi"),
    "both": ("580.65.06, 8.9\n", AGENTS, "Linux", "cuda13"),
    "nothing": (None, None, "Linux", "pypi"),
    "driver that does not answer": ("", AGENTS, "Linux", "rocm"),
    "Apple": (None, None, "Darwin", "pypi"),
}


def put(folder: Path, program: str, printed: str | None) -> None:
    if printed is None:
        return
    path = folder / program
    code = 0 if printed else 9
    path.write_text(f"#!{sys.executable}\nprint({printed!r}, end='')\nraise SystemExit({code})\n")
    path.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are scripts")
@pytest.mark.parametrize("machine", MACHINES)
def test_the_build_fits_the_machine(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia, amd, system, build = MACHINES[machine]
    put(tmp_path, "nvidia-smi", nvidia)
    put(tmp_path, "rocminfo", amd)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert torch_choice.choose(system).build == build


def test_a_named_build_is_taken_and_printed_for_pip(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT_ROOT / "tools" / "torch_choice.py"), "--torch", "cuda12"],
        env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [
        "torch", "--extra-index-url", "https://download.pytorch.org/whl/cu126",
    ]  # fmt: skip
    assert "asked for" in done.stderr


def test_setup_uses_it_and_the_doctor_names_the_same_drivers() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text("utf-8")
    assert "tools/torch_choice.py --torch $(TORCH)" in makefile
    assert "torch_choice.py" in (PROJECT_ROOT / "setup.ps1").read_text("utf-8")
    assert OLDEST_DRIVER[13] == torch_choice.CUDA13_DRIVER
    assert OLDEST_DRIVER[12] == torch_choice.CUDA12_DRIVER
