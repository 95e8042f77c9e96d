"""Resources used by this process so far: seconds of computing, and memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
from importlib import import_module
from pathlib import Path


def cpu_s() -> float:
    """Of this process with all its threads, and of the programs it has started (ffmpeg)."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def children_s() -> float:
    """Of the programs it has started alone."""
    used = os.times()
    return used.children_user + used.children_system


def reset_peak() -> None:
    """Reset the peak of memory on Linux; elsewhere it stays the process's."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def resident_mb(what: str) -> float:
    """Memory of this process: `VmRSS` now, `VmHWM` at most since `reset_peak`."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    found = re.search(rf"{what}:\s+(\d+)", status.read_text())
    return int(found[1]) / 1024 if found else float("nan")


def release_memory() -> None:
    """Returns freed memory to the system, so that what comes next does not inherit it."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # (only glibc has this)
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def load_libraries() -> None:
    """Imports what several ways use, so that the first one's memory does not count it."""
    import transformers

    for name in ("ctranslate2", "faster_whisper", "onnxruntime", "whisper", "kb.inference.session"):
        with contextlib.suppress(ImportError):  # some are extras
            import_module(name)
    for name in ("pipeline", "WhisperForConditionalGeneration", "WhisperProcessor"):
        getattr(transformers, name)  # loads its modules
