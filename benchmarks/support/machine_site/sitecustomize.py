"""Start of the processes of a machine in `benchmarks/torture.py --machines`, loaded by Python.

`KB_TEST_CLOCK` names a file with one double: the seconds by which `time.time` of the process is
off. `KB_TEST_PACE_S` gives the recognizer a pace: seconds for each window, as if every machine had
a device of its own.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path


def _move_clock(file: Path) -> None:
    """Replace `time.time`; other functions of `time` and `datetime` show the true time."""
    with file.open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)
    true_time = time.time
    time.time = lambda: true_time() + struct.unpack_from("d", shared)[0]


if _clock := os.environ.get("KB_TEST_CLOCK"):
    _move_clock(Path(_clock))  # before `kb` is imported, which has `time.time` as a default

if os.environ.get("KB_TEST_PACE_S"):
    from kb.asr.engines import ENGINES

    ENGINES["whisper"] = "benchmarks.support.paced_engine:SPEC"
