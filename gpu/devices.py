"""Chooses the device: the requested one if it works, else the CPU with the reason.

Every function takes torch as an argument: an import of this module loads and probes nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import psutil

from kb.errors import SettingsError

Kind = Literal["CUDA", "ROCm", "MPS", "CPU", ""]
"""The kind of a device; empty if no device is known yet."""

_REQUEST = re.compile(r"(auto|cpu|mps|(?:cuda|rocm|hip)(?::(\d{1,3}))?)", re.IGNORECASE)
# "sm_89" is machine code for 8.9, "compute_90" is code that the driver translates for newer
# cards; a trailing letter restricts it to one card (a) or one family (f).
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)$")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Device:
    """A device in plain values.

    `address` is torch's name of the device (`cuda:0`, `mps`, `cpu`); `dtype` and `attention` are
    names (`bfloat16`, `sdpa`); `reason` is a clause with the reason for the CPU if a GPU was
    requested, else empty. `budget_bytes` of its `total_bytes` of memory may be used (0 if unknown);
    `tf32`: float32 products may use the TF32 format. The last three fields are not part of the
    JSON document and do not count for equality.
    """

    address: str
    kind: Kind
    name: str
    dtype: str = ""
    reason: str = ""
    budget_bytes: int = 0
    attention: str = field(default="", compare=False)
    total_bytes: int = field(default=0, compare=False)
    tf32: bool = field(default=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON document; `Device(**document)` makes an equal device of it."""
        return {
            "address": self.address,
            "kind": self.kind,
            "name": self.name,
            "dtype": self.dtype,
            "reason": self.reason,
            "budget_bytes": self.budget_bytes,
        }


NO_DEVICE = Device("", "", "")


class _DeviceUnusable(Exception):
    """A GPU that cannot be used; the message is the reason without a full stop."""


def parse_request(request: str) -> tuple[str, int | None]:
    """Return `(auto | cuda | mps | cpu, number or None)`; torch's name for ROCm is `cuda`.

    Raises SettingsError that lists the accepted forms.
    """
    match = _REQUEST.fullmatch(request.strip())
    if match is None:
        raise SettingsError(
            "device.unknown",
            "Unknown device “{request}”. Accepted: auto, cuda, cuda:N, rocm, rocm:N, mps, cpu.",
            hint="Correct KB_DEVICE; auto takes what works.",
            request=request,
        )
    kind = match[1].lower().split(":")[0]
    kind = "cuda" if kind in ("rocm", "hip") else kind
    return kind, int(match[2]) if match[2] else None


def choose_device(torch: Any, request: str, dtype: str = "auto") -> Device:
    """Return the first device of the requested kind that works, else the CPU.

    `dtype` is a GPU's preferred dtype; auto takes the one that suits the card. A GPU that fails
    raises no error. Raises SettingsError for a request that names no device.
    """
    kind, number = parse_request(request)
    if kind == "cpu":
        return cpu_device()
    reasons: list[str] = []
    for attempt in _attempts(torch, kind, number, dtype):
        try:
            return attempt()
        except Exception as error:  # a faulty driver may raise anything
            reason = str(error) if isinstance(error, _DeviceUnusable) else first_line(error)
            if reason not in reasons:
                reasons.append(reason)
    return cpu_device("; ".join(reasons))


def unrequested_cpu(request: str, device: Device) -> str:
    """Return a clause if a request names a GPU and the CPU is used, else an empty text."""
    if device.kind != "CPU" or not device.reason or parse_request(request)[0] in ("auto", "cpu"):
        return ""
    return f"KB_DEVICE={request.strip()} cannot be used: {device.reason}"


def cpu_device(reason: str = "") -> Device:
    """Return the CPU; `reason` is the reason why it is used instead of a GPU."""
    name = platform.processor() or platform.machine() or "CPU"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    total = psutil.virtual_memory().total
    return Device("cpu", "CPU", name, "float32", reason, total, attention="sdpa", total_bytes=total)


def cpu_threads(setting: int = 0) -> int:
    """Return the number of CPU threads: the setting, OMP_NUM_THREADS, else the physical cores.

    Cores that this process may not use (affinity, a container's quota) do not count: more
    threads than cores make torch many times slower.
    """
    if setting > 0:
        return setting
    with contextlib.suppress(ValueError):
        requested = int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
        if requested > 0:
            return requested
    return min(psutil.cpu_count(logical=False) or os.cpu_count() or 1, usable_cores())


def usable_cores() -> int:
    """Return the number of cores that this process may use, by affinity and a container's quota."""
    limits = [os.cpu_count() or 1]
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # macOS has none
    if affinity is not None:
        with contextlib.suppress(psutil.Error, OSError):
            limits.append(len(affinity()))
    with contextlib.suppress(OSError, ValueError):
        quota, period = _CGROUP_QUOTA.read_text().split()
        limits.append(math.ceil(int(quota) / int(period)))  # "max" is not a number: no quota
    return max(1, min(limits))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text; torch adds advice for developers after it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def _attempts(
    torch: Any, kind: str, number: int | None, dtype: str
) -> Iterator[Callable[[], Device]]:
    if kind in ("auto", "cuda"):
        try:
            count = _cuda_count(torch)
        except _DeviceUnusable as error:
            yield partial(_fail, str(error))
        else:
            for index in range(count) if number is None else [number]:
                yield partial(_cuda_device, torch, index, count, dtype)
    # A missing MPS is reported on a Mac only.
    if kind == "mps" or (kind == "auto" and platform.system() == "Darwin"):
        yield partial(_mps_device, torch, dtype)


def _fail(reason: str) -> Device:
    raise _DeviceUnusable(reason)


def _cuda_count(torch: Any) -> int:
    """Return the number of CUDA or ROCm devices; raise _DeviceUnusable if there is none."""
    if not (torch.version.cuda or torch.version.hip):
        card = "; an NVIDIA driver is installed" if shutil.which("nvidia-smi") else ""
        raise _DeviceUnusable(f"this PyTorch is built without CUDA and ROCm{card}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            available = torch.cuda.is_available()
            count = torch.cuda.device_count() if available else 0
        except Exception as error:  # for instance a driver of another version than its library
            raise _DeviceUnusable(first_line(error)) from error
    if not count:
        # torch's warning says that the driver is too old or that another program broke it.
        warning = first_line(caught[0].message) if caught else ""  # type: ignore[arg-type]
        raise _DeviceUnusable(warning or "no GPU was found (no device, or no driver)")
    return int(count)


def _cuda_device(torch: Any, index: int, count: int, preferred: str) -> Device:
    if index >= count:
        available = ", ".join(f"cuda:{number}" for number in range(count))
        raise _DeviceUnusable(f"cuda:{index} does not exist (there is {available})")
    properties = torch.cuda.get_device_properties(index)
    kind: Kind = "ROCm" if torch.version.hip else "CUDA"
    half, tf32 = "float16", False
    if kind == "CUDA":
        capability = torch.cuda.get_device_capability(index)
        _check_architecture(torch, properties.name, capability)
        # Tensor cores support float16 from 7.0, bfloat16 and TF32 from 8.0; older halves are slow.
        tf32 = capability >= (8, 0)
        half = "bfloat16" if tf32 else half if capability >= (7, 0) else "float32"
    half = half if preferred == "auto" else preferred
    address = f"cuda:{index}"
    dtype, attention = _probe_device(torch, address, properties.name, half)
    total = int(properties.total_memory)
    return Device(
        address, kind, properties.name, dtype, "", total,
        attention=attention, total_bytes=total, tf32=tf32,
    )  # fmt: skip


def _check_architecture(torch: Any, name: str, capability: tuple[int, int]) -> None:
    """Raise _DeviceUnusable if this build of torch has no code that the card can run."""
    versions: list[tuple[int, int]] = []
    for text in torch.cuda.get_arch_list():
        match = _ARCHITECTURE.match(text)
        if match is None:
            return  # an unknown notation of a newer torch: the probe decides
        form, version, tie = match[1], (int(match[2]), int(match[3])), match[4]
        versions.append(version)
        if version == capability:
            return
        # "sm" code runs on later cards of its family, "compute" code on all later cards.
        serves_later = not tie if form == "compute" else tie != "a" and version[0] == capability[0]
        if serves_later and version < capability:
            return
    if not versions:
        return
    card = f"{name} (compute capability {capability[0]}.{capability[1]})"
    oldest = min(versions)
    if capability < oldest:
        raise _DeviceUnusable(
            f"{card} is older than this PyTorch was built for ({oldest[0]}.{oldest[1]} and newer)"
        )
    raise _DeviceUnusable(f"this PyTorch holds no code for {card}")


def _mps_device(torch: Any, preferred: str) -> Device:
    if not torch.backends.mps.is_built():
        raise _DeviceUnusable("this PyTorch is built without MPS")
    if not torch.backends.mps.is_available():
        raise _DeviceUnusable("MPS is not available (it needs an Apple GPU and macOS 12.3)")
    name = f"Apple {platform.machine()}"
    dtype, attention = _probe_device(
        torch, "mps", name, "float16" if preferred == "auto" else preferred
    )
    total = int(torch.mps.recommended_max_memory())
    return Device("mps", "MPS", name, dtype, "", total, attention=attention, total_bytes=total)


def _probe_device(torch: Any, address: str, name: str, half: str) -> tuple[str, str]:
    """Run a small computation on the device; return the dtype and the attention that work.

    A driver can list a card that fails at the first kernel. Raises _DeviceUnusable with the
    driver's message.
    """
    failure = ""
    for dtype in dict.fromkeys((half, "float32")):
        try:
            ones = torch.ones((1, 16, 16), device=address, dtype=getattr(torch, dtype))
            product = float(torch.matmul(ones, ones).float().sum().item())
            # cuDNN is a separate library, and the recognizers begin with a convolution.
            torch.nn.functional.conv1d(ones, ones).float().sum().item()
            if product != 16**3:
                raise _DeviceUnusable(f"a product came out as {product:g} in place of {16**3}")
        except Exception as error:
            failure = failure or first_line(error)
            continue
        try:
            heads = ones.reshape(1, 1, 16, 16)
            torch.nn.functional.scaled_dot_product_attention(heads, heads, heads).sum().item()
        except Exception:
            return dtype, "eager"
        return dtype, "sdpa"
    raise _DeviceUnusable(f"{name} fails at a first small computation: {failure}")
