"""Resources that this process has used: CPU seconds and memory."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import threading
from importlib import import_module
from pathlib import Path

import psutil


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
    return _resident_mb("self", what)


def _resident_mb(process: int | str, what: str) -> float:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:  # another system, or a process that has ended
        return float("nan")
    found = re.search(rf"{what}:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else float("nan")


class PeakOfChildren:
    """The peak of memory of the largest child process that runs while this is open (Linux).

    It is read from the processes themselves (VmHWM): `ru_maxrss` of a child begins with what its
    parent had at the fork. Until it runs its own program, a child has the memory and the command
    line of its parent, and is left out. The looks cost processor time of this process.
    """

    EVERY_S = 0.05

    def __init__(self) -> None:
        self.mb = float("nan")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> PeakOfChildren:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process()
        not_started = ([], own.cmdline())
        while not self._ended.wait(self.EVERY_S):
            for child in own.children(recursive=True):
                try:
                    started = child.cmdline() not in not_started
                except psutil.Error:  # it has ended
                    continue
                found = _resident_mb(child.pid, "VmHWM") if started else float("nan")
                if not found <= self.mb:  # (also for the first, beside "not a number")
                    self.mb = found if found == found else self.mb


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
