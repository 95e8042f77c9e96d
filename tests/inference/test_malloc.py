"""Memory that threads have freed goes back to the system some seconds after a medium."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kb.settings import PROJECT_ROOT

# Threads that have ended keep one block in a hundred: the others stay with the C library.
_PROGRAM = """
import sys, threading, time
import numpy as np, psutil
from kb.inference import malloc

malloc._TRIM_AFTER_S = 0.2
malloc.return_memory()
kept = []

def read():
    blocks = [np.ones(20_000, np.uint8) for _ in range(2_500)]
    kept.extend(blocks[::100])

for _ in range(4):
    threads = [threading.Thread(target=read) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
process = psutil.Process()
before = process.memory_info().rss
timers = threading.active_count()
for _ in range(50):
    malloc.return_free_memory_soon()
assert threading.active_count() == timers + 1, "one timer for all calls"
deadline = time.monotonic() + 60
while process.memory_info().rss > before - 20e6 and time.monotonic() < deadline:
    time.sleep(0.05)
print(before - process.memory_info().rss > 20e6, not malloc._is_planned)
malloc.return_free_memory_soon()  # the next medium
assert malloc._is_planned
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries need no call")
def test_what_threads_have_freed_is_returned() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=PROJECT_ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["True", "True"], done.stderr
