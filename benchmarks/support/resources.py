"""Resources that this process has used: CPU seconds and memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
from importlib import import_module
from pathlib import Path


def cpu_s() -> float:
    """Return the CPU seconds of this process and of its child processes (ffmpeg)."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def children_s() -> float:
    """Return the CPU seconds of the child processes."""
    used = os.times()
    return used.children_user + used.children_system


def reset_peak() -> None:
    """Reset the peak of memory on Linux; on other systems the peak is never reset."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def resident_mb(what: str) -> float:
    """Return this process's memory in MB: `VmRSS` now, `VmHWM` the peak since `reset_peak`."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    found = re.search(rf"{what}:\s+(\d+)", status.read_text())
    return int(found[1]) / 1024 if found else float("nan")


def release_memory() -> None:
    """Return freed memory to the system, so that it does not count for the next measurement."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # (only glibc has `malloc_trim`)
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def load_libraries() -> None:
    """Import the shared libraries, so that they do not count as memory of the first variant."""
    import transformers

    for name in ("ctranslate2", "faster_whisper", "onnxruntime", "whisper", "kb.inference.session"):
        with contextlib.suppress(ImportError):  # some packages are optional
            import_module(name)
    for name in ("pipeline", "WhisperForConditionalGeneration", "WhisperProcessor"):
        getattr(transformers, name)  # loads its modules
