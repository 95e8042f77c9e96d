"""The GPU benchmark with toy shapes: it has to run to its end on the day there is a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_it_runs_to_its_end_and_prints_one_table() -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--tiny"], capture_output=True, text=True, timeout=280
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    assert [f["figure"] for f in figures] == ["toy, batch 1", "toy, batch 2"]
    assert all(f["value"] > 0 for f in figures)
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line[:1] == "|"]
    assert [row[1] for row in rows[2:]] == ["1", "2", "2, CUDA graph"]
    for row in rows[2:4]:
        assert float(row[2]) > 0  # ours
        assert float(row[5]) > 0  # transformers' generate
        assert sum(map(int, row[4].split("/"))) == pytest.approx(100, abs=2)
    assert lines[-1] == "Out of memory: not measured."
