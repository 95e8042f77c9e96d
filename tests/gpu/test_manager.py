"""Device choice, limits and fall-back; the hardware is played by torch on the CPU.

`FakeTorch` is the real torch with the questions about the hardware answered by the test: every
product of the trial is really computed, only the device's address is taken off.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import psutil
import pytest
import torch

from gpu import devices
from gpu.devices import cpu_threads, parse_request
from gpu.failures import device_lost, out_of_memory
from gpu.manager import CPU_BATCH_CEILING, GB, GPUManager
from gpu.preset_figures import Preset, override
from gpu.presets import find_preset
from kb.errors import GPUError, SettingsError
from kb.settings import PROJECT_ROOT
from tests.support.fake_cuda import RTX_4090, FakeCuda, FakeTorch
from tests.support.raising import raises

GTX_780 = ("NVIDIA GeForce GTX 780", (3, 5), 3 * GB)


def manager(fake: FakeTorch, request: str = "auto", preset: Preset | None = None) -> GPUManager:
    return GPUManager(request, preset=preset, cpu_threads=3, torch=fake, reserve_gb=0)


@pytest.mark.parametrize(
    ("request_", "parsed"),
    [
        ("auto", ("auto", None)),
        (" CUDA ", ("cuda", None)),
        ("cuda:1", ("cuda", 1)),
        ("rocm:2", ("cuda", 2)),
        ("mps", ("mps", None)),
        ("cpu", ("cpu", None)),
    ],
)
def test_requests(request_: str, parsed: tuple[str, int | None]) -> None:
    assert parse_request(request_) == parsed


@pytest.mark.parametrize("request_", ["gpu0", "cuda:", "cuda:x", "cpu:1", "", "cuda:-1"])
def test_a_request_that_is_no_device_lists_the_accepted_forms(request_: str) -> None:
    with raises(SettingsError, "device.unknown", request=request_) as caught:
        GPUManager(request_)
    for form in ("auto", "cuda", "cuda:N", "rocm", "rocm:N", "mps", "cpu"):
        assert form in caught.value.message


def test_an_rtx_4090() -> None:
    fake = FakeTorch(FakeCuda(RTX_4090))
    gpu = manager(fake, preset=find_preset("max"))
    assert (gpu.device, gpu.kind, gpu.on_gpu, gpu.name) == ("cuda:0", "CUDA", True, RTX_4090[0])
    assert gpu.dtype is torch.bfloat16
    assert gpu.attention == "sdpa"
    assert gpu.fallback_reason == ""
    device = gpu.describe()
    assert (device.tf32, device.total_bytes, device.budget_bytes) == (True, 24 * GB, 22 * GB)
    assert gpu.batch_ceiling().size == 56
    assert fake.calls == fake.cuda.calls == []

    gpu.apply()
    assert fake.calls == [("set_float32_matmul_precision", "high")]
    assert fake.cuda.calls == [
        ("set_device", 0),
        ("set_per_process_memory_fraction", 22 / 24, 0),
    ]
    gpu.cleanup()
    gpu.reset_peak()
    assert fake.cuda.calls[2:] == [("empty_cache",), ("reset_peak_memory_stats", "cuda:0")]


@pytest.mark.parametrize(
    ("capability", "dtype", "tf32"),
    [
        ((7, 5), torch.float16, False),
        ((6, 1), torch.float32, False),
        ((9, 0), torch.bfloat16, True),
    ],
)
def test_dtype_by_capability(capability: tuple[int, int], dtype: torch.dtype, tf32: bool) -> None:
    card = ("Card", capability, 8 * GB)
    gpu = manager(FakeTorch(FakeCuda(card, built_for=["sm_60", "sm_75", "sm_90"])))
    assert gpu.dtype is dtype
    assert gpu.describe().tf32 is tf32


@pytest.mark.parametrize(
    ("capability", "built_for", "works"),
    [
        ((8, 9), ["sm_80"], True),  # machine code serves later cards of its family
        ((9, 0), ["sm_80"], False),
        ((12, 0), ["sm_90", "compute_90"], True),  # translated by the driver
        ((10, 0), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100f"], True),
        ((12, 0), ["sm_100f"], False),
        ((7, 0), ["sm_75", "sm_80"], False),
        ((9, 0), [], True),  # nothing is known: the trial decides
        ((9, 0), ["something-new"], True),
    ],
)
def test_a_card_must_run_what_torch_was_built_for(
    capability: tuple[int, int], built_for: list[str], works: bool
) -> None:
    card = ("Some card", capability, 8 * GB)
    gpu = manager(FakeTorch(FakeCuda(card, built_for=built_for)))
    assert gpu.on_gpu is works
    assert ("Some card" in gpu.fallback_reason) is not works


def test_a_card_that_is_too_old_says_so() -> None:
    gpu = manager(FakeTorch(FakeCuda(GTX_780)))
    assert gpu.device == "cpu"
    assert gpu.fallback_reason == (
        "NVIDIA GeForce GTX 780 (compute capability 3.5) is older than this PyTorch was built "
        "for (7.5 and newer)"
    )
    assert gpu.dtype is torch.float32


def test_auto_takes_the_first_card_that_works() -> None:
    fake = FakeTorch(FakeCuda(GTX_780, RTX_4090))
    assert manager(fake).device == "cuda:1"
    assert manager(fake, "cuda:0").device == "cpu"
    assert manager(fake, "cuda:1").device == "cuda:1"


def test_a_card_that_does_not_exist() -> None:
    gpu = manager(FakeTorch(FakeCuda(RTX_4090)), "cuda:7")
    assert gpu.device == "cpu"
    assert gpu.fallback_reason == "cuda:7 does not exist (there is cuda:0)"


def test_a_card_that_fails_at_its_first_kernel() -> None:
    told = "CUDA error: no kernel image is available for execution on the device\nCompile with..."
    gpu = manager(FakeTorch(FakeCuda(RTX_4090), broken={"cuda:0": told}))
    assert gpu.device == "cpu"
    assert gpu.fallback_reason == (
        "NVIDIA GeForce RTX 4090 fails at a first small computation: "
        "CUDA error: no kernel image is available for execution on the device"
    )


def test_a_card_that_computes_wrongly() -> None:
    gpu = manager(FakeTorch(FakeCuda(RTX_4090), product=0.5))
    assert gpu.device == "cpu"
    assert "a product came out as 1024 in place of 4096" in gpu.fallback_reason


def test_half_precision_and_attention_are_tried_and_not_assumed() -> None:
    fake = FakeTorch(FakeCuda(RTX_4090), broken={"bfloat16": "not implemented"})
    assert manager(fake).dtype is torch.float32
    assert manager(fake).on_gpu
    fake = FakeTorch(FakeCuda(RTX_4090), broken={"attention": "no kernel"})
    assert manager(fake).attention == "eager"
    assert manager(fake).on_gpu


def test_a_torch_without_gpu_support() -> None:
    gpu = manager(FakeTorch())
    assert gpu.device == "cpu"
    assert gpu.fallback_reason.startswith("this PyTorch is built without CUDA and ROCm")
    assert manager(FakeTorch(), "cpu").fallback_reason == ""


def test_a_driver_that_is_too_old_is_quoted() -> None:
    class OldDriver(FakeCuda):
        def is_available(self) -> bool:
            warnings.warn("CUDA initialization: The NVIDIA driver is too old.", stacklevel=2)
            return False

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing reaches the console
        gpu = manager(FakeTorch(OldDriver()), "cuda")
        assert gpu.fallback_reason == "CUDA initialization: The NVIDIA driver is too old"


def test_no_card_and_a_driver_that_raises() -> None:
    class Sick(FakeCuda):
        def is_available(self) -> bool:
            raise RuntimeError("driver/library version mismatch")

    assert "no GPU was found" in manager(FakeTorch(FakeCuda())).fallback_reason
    assert manager(FakeTorch(Sick())).fallback_reason == "driver/library version mismatch"


def test_rocm() -> None:
    fake = FakeTorch(FakeCuda(("AMD Instinct MI210", (9, 0), 64 * GB)), hip="6.4")
    gpu = manager(fake, "rocm")
    assert (gpu.kind, gpu.device, gpu.dtype) == ("ROCm", "cuda:0", torch.float16)
    gpu.apply()
    assert fake.calls == []  # no TF32 there


def test_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTorch(mps=True)
    gpu = manager(fake, "mps", find_preset("schnell"))
    assert (gpu.kind, gpu.device, gpu.dtype) == ("MPS", "mps", torch.float16)
    memory = gpu.memory()
    assert (memory.total, memory.budget, memory.used) == (16 * GB, 16 * GB, 2 * GB)
    assert memory.free == 14 * GB
    gpu.apply().cleanup()
    assert fake.calls == [("mps.empty_cache",)]

    assert manager(fake).device == "cpu" or sys.platform == "darwin"
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert manager(fake).device == "mps"
    assert "MPS is not available" in manager(FakeTorch(mps=False), "mps").fallback_reason
    assert "without MPS" in manager(FakeTorch(), "mps").fallback_reason


def test_memory_within_the_budget() -> None:
    cuda = FakeCuda(RTX_4090, free=10 * GB, allocated=3 * GB, reserved=5 * GB)
    memory = manager(FakeTorch(cuda), preset=find_preset("stabil")).memory()
    assert (memory.total, memory.budget) == (24 * GB, 20 * GB)
    assert (memory.used, memory.peak) == (3 * GB, 6 * GB)
    assert memory.free == 12 * GB  # what the driver has, and what the allocator keeps
    cuda.free = 23 * GB
    assert manager(FakeTorch(cuda), preset=find_preset("stabil")).memory().free == 17 * GB
    small = FakeCuda(("Small", (8, 6), 6 * GB))
    assert manager(FakeTorch(small), preset=find_preset("max")).memory().budget == 6 * GB


def test_memory_of_present_windows_counts_as_free() -> None:
    cuda = FakeCuda(RTX_4090, free=10 * GB, allocated=3 * GB, reserved=5 * GB)
    device = manager(FakeTorch(cuda), preset=find_preset("max"))
    assert device.batch_ceiling(window_bytes=GB).size == 12
    # 1 GB of the 3 in use are weights, the others are windows and go with the batch.
    assert device.batch_ceiling(window_bytes=GB, baseline_bytes=GB).size == 14
    assert device.batch_ceiling(window_bytes=GB, baseline_bytes=9 * GB).size == 12


def test_permanent_memory_does_not_count_as_free() -> None:
    cuda = FakeCuda(RTX_4090, free=10 * GB, allocated=3 * GB, reserved=5 * GB)
    device = manager(FakeTorch(cuda), preset=find_preset("max"))
    device.add_permanent(GB)  # of the 3: 1 the model, 1 a second one, 1 windows
    assert device.permanent_bytes == GB
    assert device.batch_ceiling(window_bytes=GB, baseline_bytes=GB).size == 13
    device.add_permanent(5 * GB)
    device.add_permanent(-GB)
    assert device.permanent_bytes == 6 * GB
    assert device.batch_ceiling(window_bytes=GB, baseline_bytes=GB).size == 12
    assert device.batch_ceiling(window_bytes=GB).size == 12


def test_some_memory_is_left_to_the_desktop() -> None:
    cuda = FakeCuda(RTX_4090, free=10 * GB)
    device = GPUManager("auto", cpu_threads=1, torch=FakeTorch(cuda), reserve_gb=2)
    assert device.memory().free == 8 * GB
    assert GPUManager("auto", cpu_threads=1, torch=FakeTorch(cuda)).memory().free == 10 * GB


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("HIP error: the operation cannot be performed"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (type("AcceleratorError", (RuntimeError,), {})("device-side assert triggered"), True),
        # CTranslate2's own words before CUDA's and cuBLAS's.
        (RuntimeError("CUDA failed with error an illegal memory access was encountered"), True),
        (RuntimeError("CUDA failed with error unspecified launch failure"), True),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), False),
        (RuntimeError("CUDA failed with error out of memory"), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("CUDA error: a text about it"), False),
    ],
)
def test_a_broken_context_differs_from_a_passing_error(error: Exception, lost: bool) -> None:
    assert device_lost(error) == lost
    try:
        raise KeyError("something else") from error
    except KeyError as outer:
        assert device_lost(outer) == lost


def test_a_driver_without_a_free_memory_figure() -> None:
    class Mute(FakeCuda):
        def mem_get_info(self, device: str) -> tuple[int, int]:
            raise RuntimeError("not supported")

    cuda = Mute(RTX_4090, allocated=4 * GB, reserved=6 * GB)
    assert manager(FakeTorch(cuda)).memory().free == 20 * GB


def test_batch_ceiling_on_a_gpu() -> None:
    preset = find_preset("max")
    gpu = manager(FakeTorch(FakeCuda(RTX_4090)), preset=preset)
    assert gpu.batch_ceiling() == gpu.batch_ceiling(preset)
    assert gpu.batch_ceiling().size == 56
    assert gpu.batch_ceiling(find_preset("stabil")).size == 8
    fits = gpu.batch_ceiling(weights_bytes=3 * GB, window_bytes=GB // 4)
    assert (fits.size, fits.reason) == (56, "")
    tight = gpu.batch_ceiling(weights_bytes=12 * GB, window_bytes=GB // 4)
    assert (tight.size, tight.reason) == (40, "10.0 GB are left for windows of 0.25 GB each")
    assert gpu.batch_ceiling(weights_bytes=30 * GB, window_bytes=GB).size == 1


def test_batch_and_threads_on_the_cpu() -> None:
    fake = FakeTorch()
    gpu = manager(fake, "cpu", find_preset("max"))
    ceiling = gpu.batch_ceiling()
    assert ceiling.size == CPU_BATCH_CEILING
    assert "CPU" in ceiling.reason
    small = override(find_preset("stabil"), batch_size=2)
    assert gpu.batch_ceiling(small).reason == ""
    assert gpu.batch_ceiling(small).size == 2
    assert gpu.threads == 3
    assert fake.calls == []
    gpu.apply()
    assert fake.calls == [("set_num_threads", 3)]
    memory = gpu.memory()
    assert memory.total == psutil.virtual_memory().total
    assert 0 < memory.used <= memory.peak < memory.total
    gpu.cleanup()


def test_threads_follow_the_setting_the_environment_and_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert cpu_threads(7) == 7
    assert cpu_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setattr(devices, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    cores = cpu_threads()
    assert 1 <= cores <= (psutil.cpu_count() or 1)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 64)
    assert cpu_threads() <= 64
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cpu_threads() == min(2, cores)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cpu_threads() >= cores


def test_falling_back_while_running() -> None:
    fake = FakeTorch(FakeCuda(RTX_4090))
    gpu = manager(fake, preset=find_preset("max")).apply()
    assert gpu.on_gpu
    gpu.fall_back("the GPU fell off the bus")
    assert (gpu.device, gpu.fallback_reason) == ("cpu", "the GPU fell off the bus")
    assert fake.calls[-1] == ("set_num_threads", 3)
    assert gpu.describe().reason == "the GPU fell off the bus"
    assert gpu.batch_ceiling().size == CPU_BATCH_CEILING


def test_a_card_that_cannot_be_set_up_falls_back() -> None:
    class Refusing(FakeCuda):
        def set_device(self, index: int) -> None:
            raise RuntimeError("CUDA error: device is busy")

    fake = FakeTorch(Refusing(RTX_4090))
    gpu = manager(fake).apply()
    assert gpu.fallback_reason == f"{RTX_4090[0]} cannot be set up: CUDA error: device is busy"
    assert ("set_num_threads", 3) in fake.calls


def test_cleanup_survives_a_dead_card() -> None:
    class Dead(FakeCuda):
        def empty_cache(self) -> None:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    manager(FakeTorch(Dead(RTX_4090))).cleanup()


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("HIP out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("CUDA failed with error out of memory"), True),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA failed with error unspecified launch failure"), False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"), True),
        (MemoryError(), True),
        (_caused(GPUError("decoding failed"), torch.OutOfMemoryError("CUDA out of memory")), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory is only a word here"), False),
    ],
)
def test_out_of_memory(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected
    assert GPUManager.out_of_memory(error) is expected


def test_the_real_torch_of_this_machine() -> None:
    gpu = GPUManager("auto", preset=find_preset("optimiert"))
    device, memory = gpu.describe(), gpu.memory()
    assert device.kind in ("CUDA", "ROCm", "MPS", "CPU")
    assert (device.kind == "CPU") == bool(device.reason)
    assert gpu.threads >= 1
    assert 0 < memory.free <= memory.total
    assert GPUManager("cpu").dtype is torch.float32
    threads = torch.get_num_threads()
    try:
        GPUManager("cpu", cpu_threads=1).apply()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_importing_and_constructing_load_no_torch() -> None:
    script = (
        "import sys, gpu\n"
        "gpu.GPUManager('auto'); gpu.load_presets()\n"
        "assert not gpu.out_of_memory(ValueError())\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PROJECT_ROOT)
