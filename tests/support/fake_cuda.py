"""A fake torch with CUDA devices that the test describes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from gpu.manager import GB

BUILT_FOR = ["sm_75", "sm_80", "sm_86", "sm_90", "compute_90"]


class FakeCuda:
    """The torch.cuda of a machine with the given cards: (name, compute capability, bytes)."""

    OutOfMemoryError = torch.cuda.OutOfMemoryError

    def __init__(
        self,
        *cards: tuple[str, tuple[int, int], int],
        built_for: list[str] | None = None,
        free: int | None = None,
        allocated: int = 0,
        reserved: int = 0,
    ) -> None:
        self.cards = cards
        self.built_for = BUILT_FOR if built_for is None else built_for
        self.free = cards[0][2] if free is None and cards else free or 0
        self.allocated, self.reserved = allocated, reserved
        self.calls: list[tuple[Any, ...]] = []

    def is_available(self) -> bool:
        return bool(self.cards)

    def device_count(self) -> int:
        return len(self.cards)

    def get_device_properties(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name=self.cards[index][0], total_memory=self.cards[index][2])

    def get_device_capability(self, index: int) -> tuple[int, int]:
        return self.cards[index][1]

    def get_arch_list(self) -> list[str]:
        return self.built_for

    def mem_get_info(self, device: str) -> tuple[int, int]:
        return self.free, self.cards[0][2]

    def memory_allocated(self, device: str) -> int:
        return self.allocated

    def max_memory_allocated(self, device: str) -> int:
        return 2 * self.allocated

    def memory_reserved(self, device: str) -> int:
        return self.reserved

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("set_", "empty_cache", "reset_")):
            return lambda *given: self.calls.append((name, *given))
        raise AttributeError(name)


class FakeTorch:
    """The real torch with the `cuda`, `version` and MPS of a different machine."""

    def __init__(
        self,
        cuda: FakeCuda | None = None,
        *,
        hip: str | None = None,
        mps: bool | None = None,
        broken: dict[str, str] | None = None,
        product: float = 1.0,
    ) -> None:
        self.cuda = cuda or FakeCuda()
        built = cuda is not None and hip is None
        self.version = SimpleNamespace(cuda="12.8" if built else None, hip=hip)
        self.backends = SimpleNamespace(
            mps=SimpleNamespace(is_built=lambda: mps is not None, is_available=lambda: bool(mps))
        )
        self.mps = SimpleNamespace(
            recommended_max_memory=lambda: 16 * GB,
            current_allocated_memory=lambda: 2 * GB,
            driver_allocated_memory=lambda: 3 * GB,
            empty_cache=lambda: self.calls.append(("mps.empty_cache",)),
        )
        self.broken = broken or {}
        self.product = product
        self.calls: list[tuple[Any, ...]] = []
        self.nn = SimpleNamespace(
            functional=SimpleNamespace(
                conv1d=torch.nn.functional.conv1d,
                scaled_dot_product_attention=self._attention,
            )
        )

    def ones(self, shape: tuple[int, ...], *, device: str, dtype: torch.dtype) -> torch.Tensor:
        for key in (device, str(dtype).removeprefix("torch.")):
            if key in self.broken:
                raise RuntimeError(self.broken[key])
        return self.product * torch.ones(shape, dtype=dtype)

    def _attention(self, *tensors: Any) -> torch.Tensor:
        if "attention" in self.broken:
            raise RuntimeError(self.broken["attention"])
        return torch.nn.functional.scaled_dot_product_attention(*tensors)

    def set_num_threads(self, count: int) -> None:
        self.calls.append(("set_num_threads", count))

    def set_float32_matmul_precision(self, precision: str) -> None:
        self.calls.append(("set_float32_matmul_precision", precision))

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


RTX_4090 = ("NVIDIA GeForce RTX 4090", (8, 9), 24 * GB)
