"""`kb doctor` about device, driver, PyTorch and CUDA: each fault with the step that repairs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gpu import remedies
from gpu.devices import Device
from gpu.driver import Driver, read_driver
from gpu.manager import GB, GPUManager
from gpu.presets import find_preset
from kb.service import health_hardware
from kb.service.health_hardware import TorchBuild, check_hardware, check_size, diagnose
from kb.settings import get_settings
from tests.support.fake_cuda import RTX_4090, FakeCuda, FakeTorch

CU130 = TorchBuild("2.13.0+cu130", "13.0")
CU128 = TorchBuild("2.9.1+cu128", "12.8")
ROCM = TorchBuild("2.13.0+rocm7.0", "", "7.0")
CPU = TorchBuild("2.13.0+cpu")
NEW = Driver(True, "580.95.05", ("NVIDIA GeForce RTX 4090",))
OLD = Driver(True, "551.86", ("NVIDIA GeForce RTX 4090",))
NONE = Driver()
BARE = Driver(present=True)  # a card without a driver
WITHOUT = "this PyTorch is built without CUDA and ROCm; an NVIDIA driver is installed"
NOT_FOUND = "no GPU was found (no device, or no driver)"
TOO_OLD = "CUDA initialization: The NVIDIA driver on your system is too old (found version 12040)"
PASCAL = (
    "GTX 1080 (compute capability 6.1) is older than this PyTorch was built for (7.5 and newer)"
)


@pytest.mark.parametrize(
    ("request_", "reason", "driver", "build", "steps"),
    [
        # A CPU build of torch beside a card.
        ("auto", WITHOUT, NEW, CPU, ("torch==", "+cu130", remedies.CUDA_INDEX)),
        ("cuda", WITHOUT, NEW, CPU, ("torch==", "+cu130")),
        ("auto", WITHOUT, OLD, CPU, ("driver 580", "551.86", "torch==", "+cu130")),
        ("auto", NOT_FOUND, NEW, ROCM, ("AMD", "+cu130")),
        # The driver.
        ("auto", TOO_OLD, OLD, CU130, ("CUDA 13.0 needs driver 580", "551.86")),
        ("cuda:0", TOO_OLD, Driver(True, "535.183.01"), CU130, ("driver 580", "535.183.01")),
        ("auto", TOO_OLD, Driver(True, "472.12"), CU128, ("CUDA 12.8 needs driver 525", "472.12")),
        ("auto", NOT_FOUND, Driver(True, problem="Driver/library version mismatch"), CU130,
         ("restart the machine",)),
        ("auto", "Driver/library version mismatch", NEW, CU130, ("restart the machine",)),
        ("auto", NOT_FOUND, Driver(True, problem="NVIDIA-SMI has failed because it couldn't "
         "communicate with the NVIDIA driver."), CU130, ("does not answer", "driver")),
        ("auto", NOT_FOUND, BARE, CU130, ("without a driver", "580")),
        ("auto", WITHOUT, BARE, CPU, ("without a driver", "580")),
        ("cuda", NOT_FOUND, NONE, CU130, ("No NVIDIA driver", "580", "KB_DEVICE=cpu")),
        ("cuda", WITHOUT, NONE, CPU, ("No NVIDIA driver", "KB_DEVICE=cpu")),
        # The card.
        ("auto", PASCAL, NEW, CU130, ("CUDA 12.6", remedies.OLD_CARDS_INDEX, "KB_DEVICE=cpu")),
        ("auto", "this PyTorch holds no code for RTX 5090", NEW, CU128, ("+cu130",)),
        ("cuda:7", "cuda:7 does not exist (there is cuda:0)", NEW, CU130, ("Correct KB_DEVICE",)),
        ("auto", "RTX 4090 fails at a first small computation: CUDA error: unknown error", NEW,
         CU130, ("Restart the machine", "KB_DEVICE=cpu")),
        ("mps", "this PyTorch is built without MPS", NONE, CPU, ("KB_DEVICE=auto",)),
        # No fault: no card, or none was wanted.
        ("auto", WITHOUT.partition(";")[0], NONE, CPU, ()),
        ("auto", NOT_FOUND, NONE, CU130, ()),
        ("cpu", "", NEW, CPU, ()),
        ("cpu", "", NONE, CPU, ()),
    ],
)  # fmt: skip
def test_each_fault_has_its_step(
    request_: str,
    reason: str,
    driver: Driver,
    build: TorchBuild,
    steps: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = diagnose(request_, Device("cpu", "CPU", "CPU", "float32", reason), driver, build)
    assert bool(found) == bool(steps)
    for step in steps:
        assert step in found


@pytest.mark.parametrize(
    ("value", "hides"),
    [("", True), ("-1", True), ("NoDevFiles", True), ("0", False), (None, False)],
)
def test_hidden_cards(value: str | None, hides: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if value is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    device = Device("cpu", "CPU", "CPU", "float32", NOT_FOUND)
    found = diagnose("auto", device, NEW, CU130)
    assert ("Remove CUDA_VISIBLE_DEVICES" in found) is hides


@pytest.mark.parametrize("driver", [NEW, OLD, BARE])
def test_a_card_in_use_is_no_fault(driver: Driver) -> None:
    # An old driver with a compatibility package works: only what fails is reported.
    assert diagnose("auto", Device("cuda:0", "CUDA", "Card", "bfloat16"), driver, CU130) == ""


@pytest.mark.parametrize(
    ("system", "release", "step"),
    [
        ("Windows", "", "https://www.nvidia.com/drivers"),
        ("Linux", 'ID=ubuntu\nVERSION_ID="24.04"', "sudo apt install nvidia-driver-580"),
        ("Linux", "ID=linuxmint\nID_LIKE=ubuntu", "sudo apt install nvidia-driver-580"),
        ("Linux", "ID=fedora", "https://www.nvidia.com/drivers"),
        ("Linux", None, "https://www.nvidia.com/drivers"),
    ],
)
def test_the_driver_s_step_by_system(
    system: str, release: str | None, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.release", lambda: "6.8.0")
    file = tmp_path / "os-release"
    if release is not None:
        file.write_text(release)
    found = remedies.driver_install(13, system, file)
    assert step in found and "580" in found


@pytest.mark.parametrize(
    ("file", "start"),
    [
        (None, "pip install torch=="),
        ("python-3.12.0.json", "pip install torch=="),  # environment.yml: torch by pip
        ("pytorch-2.13.0-cpu.json", "conda install"),
        ("libtorch-2.13.0-cpu.json", "conda install"),
    ],
)
def test_torch_s_command_by_environment(
    file: str | None, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if file:
        (tmp_path / "conda-meta").mkdir()
        (tmp_path / "conda-meta" / file).touch()
    assert remedies.torch_install(tmp_path).startswith(start)
    monkeypatch.setattr(remedies, "find_spec", lambda name: None)
    monkeypatch.setattr(remedies.shutil, "which", lambda name: f"/bin/{name}")
    assert remedies.pip_install("torch") == "uv pip install torch"


BANNER = "| NVIDIA-SMI 550.54.14    Driver Version: 550.54.14    CUDA Version: 12.4 |"
BROKEN = "Failed to initialize NVML: Driver/library version mismatch"


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a shell script")
@pytest.mark.parametrize(
    ("printed", "code", "expected"),
    [
        ("580.95.05, NVIDIA GeForce RTX 4090", 0, NEW),
        ("551.86, A\n551.86, B", 0, Driver(True, "551.86", ("A", "B"))),
        (BANNER, 0, Driver(True, "550.54.14")),
        (BROKEN, 18, Driver(True, problem=BROKEN)),
        ("", 9, Driver(True)),
        (None, 0, NONE),
    ],
)
def test_the_driver_by_its_program(
    printed: str | None,
    code: int,
    expected: Driver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + "/bin")
    if printed is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {code}\n")
        program.chmod(0o755)

    def no_library() -> None:
        raise RuntimeError("NVML Shared Library Not Found")

    nvml = SimpleNamespace(nvmlInit=no_library)
    assert read_driver(nvml, tmp_path / "no-bus") == expected


def test_the_driver_by_its_library_and_a_card_on_the_bus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlSystemGetDriverVersion=lambda: b"580.95.05",
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: "NVIDIA GeForce RTX 4090",
    )
    assert read_driver(nvml) == NEW
    assert read_driver(SimpleNamespace(), tmp_path) == NONE
    for name, vendor, kind in (("a", "0x10de", "0x030000"), ("b", "0x8086", "0x030000")):
        (tmp_path / "bus" / name).mkdir(parents=True)
        (tmp_path / "bus" / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / "bus" / name / "class").write_text(f"{kind}\n")
    assert read_driver(SimpleNamespace(), tmp_path / "bus") == BARE


@pytest.mark.parametrize(
    ("model", "budget_gb", "fits"),
    [
        ("openai/whisper-large-v3-turbo", 22, True),
        ("openai/whisper-large-v3-turbo", 1, False),
        ("openai/whisper-large-v3", 2, False),
        ("openai/whisper-large-v3", 7.5, True),
        ("openai/whisper-tiny", 1, True),
        ("a folder that does not exist", 1, True),  # nothing is known
    ],
)
def test_a_model_larger_than_the_card(model: str, budget_gb: float, fits: bool) -> None:
    size = int(budget_gb * GB)
    card = Device("cuda:0", "CUDA", "Card", "bfloat16", budget_bytes=size, total_bytes=size)
    found = check_size(model, card)
    assert bool(found) is not fits
    for check in found:
        assert "KB_MODEL=" in check.fix and model in check.detail


def test_the_line_of_a_card_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_hardware, "torch_build", lambda: CU130)
    fake = FakeTorch(FakeCuda(RTX_4090))
    gpu = GPUManager("auto", preset=find_preset("max"), torch=fake, cpu_threads=3)
    settings = get_settings()
    monkeypatch.setattr(health_hardware, "_allocator", lambda: "max_split_size_mb:512")
    first, *rest = check_hardware(settings, gpu, "openai/whisper-large-v3-turbo", NEW)
    assert (first.state, first.fix) == ("ok", "")
    for part in (
        "RTX 4090",
        "bfloat16",
        "24.0 GB",
        "TF32",
        "sdpa",
        "CUDA 13.0",
        "580.95.05",
        "allocator max_",
    ):
        assert part in first.detail
    # No driver of this machine reports which programs draw on the screen.
    assert [check.name for check in rest] == ["Desktop"]
    assert "KB_GPU_GIVE_WAY" in rest[0].detail and rest[0].fix


def test_a_named_device_that_is_not_used_is_a_warning() -> None:
    gpu = GPUManager("cuda", torch=FakeTorch(), cpu_threads=1)
    settings = get_settings().replace(device="cuda")
    (check,) = check_hardware(settings, gpu, "demo", NEW)
    assert check.state == "warn" and check.fix
    assert "KB_DEVICE=cuda cannot be used" in check.detail
