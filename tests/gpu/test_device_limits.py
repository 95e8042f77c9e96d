"""Memory cap, arithmetic and the reported fall-back, on cards that a fake torch describes."""

from __future__ import annotations

import logging

import pytest
import torch

from gpu.devices import Device, Kind, cpu_device, unrequested_cpu
from gpu.manager import GB, GPUManager
from gpu.preset_figures import override
from gpu.presets import find_preset
from kb.asr.engines.whisper.compilation import check_compiler
from kb.errors import SettingsError
from tests.support.fake_cuda import RTX_4090, FakeCuda, FakeTorch
from tests.support.raising import raises

TURING = ("NVIDIA GeForce RTX 2070", (7, 5), 8 * GB)


@pytest.mark.parametrize(
    ("total_gb", "budget_gb", "reserve_gb", "usable_gb"),
    [
        (24, 22, 0.5, 22),  # the budget is smaller
        (24, 20, 2, 20),
        (24, 24, 0.5, 23.5),
        (22, 22, 0.5, 21.5),
        (16, 22, 0.5, 15.5),
        (12, 20, 0.5, 11.5),
        (12, 11.5, 0.5, 11.5),
        (8, 20, 1, 7),
        (6, 22, 0, 6),
        (4, 22, 0.5, 3.5),
        (4, 1.5, 0.5, 1.5),
        (2, 22, 8, 0.5),  # a reserve larger than the card
        (0.25, 22, 0.5, 0.25),
    ],
)
def test_the_cap_leaves_the_reserve_on_cards_of_all_sizes(
    total_gb: float, budget_gb: float, reserve_gb: float, usable_gb: float
) -> None:
    total = int(total_gb * GB)
    fake = FakeTorch(FakeCuda(("Card", (8, 6), total)))
    preset = override(find_preset("max"), vram_budget_gb=budget_gb)
    gpu = GPUManager("auto", preset=preset, cpu_threads=1, torch=fake, reserve_gb=reserve_gb)
    gpu.apply()
    (share,) = (call[1] for call in fake.cuda.calls if "memory_fraction" in call[0])
    assert share * total == pytest.approx(usable_gb * GB)
    assert gpu.describe().budget_bytes == gpu.memory().budget == int(usable_gb * GB)
    assert gpu.memory().free <= usable_gb * GB


@pytest.mark.parametrize(
    ("card", "requested", "used", "reported"),
    [
        (RTX_4090, "auto", torch.bfloat16, False),
        (RTX_4090, "float16", torch.float16, False),
        (RTX_4090, "bfloat16", torch.bfloat16, False),
        (RTX_4090, "float32", torch.float32, False),
        (TURING, "auto", torch.float16, False),
        (TURING, "float32", torch.float32, False),
        (TURING, "bfloat16", torch.float32, True),
        (None, "auto", torch.float32, False),
        (None, "float32", torch.float32, False),
        (None, "float16", torch.float32, True),
    ],
)
def test_the_arithmetic_is_the_requested_one_or_reported(
    card: tuple[str, tuple[int, int], int] | None,
    requested: str,
    used: torch.dtype,
    reported: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = {"bfloat16": "bfloat16 is not supported"} if card is TURING else {}
    fake = FakeTorch(FakeCuda(card) if card else None, broken=broken)
    gpu = GPUManager("auto", cpu_threads=1, torch=fake, dtype=requested)
    with caplog.at_level(logging.WARNING):
        assert gpu.dtype is used
    assert bool(gpu.ignored_dtype) is reported
    assert ("KB_DTYPE" in caplog.text) is reported


def test_a_model_may_have_arithmetic_of_its_own() -> None:
    gpu = GPUManager("auto", cpu_threads=1, torch=FakeTorch(FakeCuda(RTX_4090)))
    usual = gpu.dtype
    gpu.use_dtype("float32")
    assert gpu.dtype is torch.float32 is not usual
    gpu.use_dtype("auto")
    assert gpu.dtype is usual
    without = GPUManager("auto", cpu_threads=1, torch=FakeTorch(None))
    without.use_dtype("bfloat16")
    assert without.dtype is torch.float32


@pytest.mark.parametrize(
    ("request_", "torch_", "reported"),
    [
        ("cuda", FakeTorch(), True),
        ("CUDA:1", FakeTorch(FakeCuda(RTX_4090)), True),
        ("cuda:0", FakeTorch(FakeCuda()), True),
        ("rocm", FakeTorch(), True),
        ("mps", FakeTorch(), True),
        ("cuda", FakeTorch(FakeCuda(RTX_4090), broken={"cuda:0": "unknown error"}), True),
        ("cuda", FakeTorch(FakeCuda(RTX_4090)), False),
        ("cuda:0", FakeTorch(FakeCuda(RTX_4090)), False),
        ("auto", FakeTorch(), False),
        ("auto", FakeTorch(FakeCuda()), False),
        ("cpu", FakeTorch(), False),
        ("cpu", FakeTorch(FakeCuda(RTX_4090)), False),
    ],
)
def test_the_cpu_in_place_of_a_named_device_is_a_warning(
    request_: str, torch_: FakeTorch, reported: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = GPUManager(request_, cpu_threads=1, torch=torch_)
    with caplog.at_level(logging.WARNING):
        device = gpu.describe()
    clause = unrequested_cpu(request_, device)
    assert bool(clause) is reported
    assert (f"KB_DEVICE={request_} cannot be used: {device.reason}" == clause) is reported
    assert (clause in caplog.text if reported else not caplog.text) is True


def test_a_device_that_is_not_the_cpu_is_no_fallback() -> None:
    card = Device("cuda:0", "CUDA", "Card", reason="cuda:1 fails")
    assert unrequested_cpu("cuda", card) == ""
    assert unrequested_cpu("cuda", cpu_device()) == ""


@pytest.mark.parametrize(
    ("kind", "platform", "there", "command"),
    [
        ("CUDA", "win32", (), "pip install triton-windows"),
        ("CUDA", "win32", ("triton",), ""),
        ("CUDA", "linux", (), "pip install triton,"),
        ("ROCm", "linux", (), "pip install triton,"),
        ("CUDA", "linux", ("triton",), "apt install gcc"),
        ("CUDA", "linux", ("triton", "cc"), ""),
        ("CUDA", "linux", ("triton", "CC=ccache gcc", "ccache"), ""),
        ("CPU", "linux", (), "apt install g++"),
        ("CPU", "linux", ("clang++",), ""),
        ("CPU", "win32", ("g++",), "BuildTools"),
        ("CPU", "win32", ("cl",), ""),
        ("MPS", "darwin", (), ""),
    ],
)
def test_a_compiled_encoder_needs_its_compiler(
    kind: Kind,
    platform: str,
    there: tuple[str, ...],
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    for name, _, value in (each.partition("=") for each in there if "=" in each):
        monkeypatch.setenv(name, value)
    place = "kb.asr.engines.whisper.compilation"
    monkeypatch.setattr(f"{place}.shutil.which", lambda name: name if name in there else None)
    monkeypatch.setattr(f"{place}.find_spec", lambda name: name if name in there else None)
    if not command:
        check_compiler(kind, platform)
        return
    with raises(SettingsError, "engine.no_compiler") as caught:
        check_compiler(kind, platform)
    assert command in caught.value.hint
