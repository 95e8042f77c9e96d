"""The peak of memory of programs that a benchmark starts."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchmarks.support.resources import PeakOfChildren, resident_mb


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_child_that_does_not_run_its_program_yet_is_left_out() -> None:
    """Until then it has the memory of its parent."""
    with PeakOfChildren() as children:
        subprocess.run(["sleep", "0.3"], preexec_fn=lambda: time.sleep(0.3), check=True)
    assert 0 < children.mb < resident_mb("VmRSS") / 4
