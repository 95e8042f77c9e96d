"""The GPU benchmark with toy shapes: it has to run to its end on the day there is a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import WAIT_S

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def _run(*options: str, **environment: str) -> tuple[list[dict[str, object]], list[list[str]], str]:
    """Figures, rows of the table (all seven columns and the note) and the last line."""
    # The last of equal options counts: without one there is time for all of it on any machine.
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--tiny", "--seconds", "3600", *options],
        capture_output=True,
        text=True,
        timeout=2 * WAIT_S,
        env=os.environ | environment,
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    return figures, rows[2:], lines[-1]


@pytest.mark.long
@pytest.mark.slow
def test_it_prints_one_table_though_a_lever_fails(tmp_path: Path) -> None:
    # Compiling without a compiler raises, and what is laid out for a CPU cannot be compiled.
    figures, rows, last = _run(
        CXX=str(tmp_path / "no-compiler"), TORCHINDUCTOR_CACHE_DIR=str(tmp_path)
    )
    assert [row[1] for row in rows] == [
        "1", "2", "2, transformers pipeline", "2, transformers' encoder",
        "2, log-mel by the extractor on the CPU", "2, without CUDA graphs", "2, compiled encoder",
    ]  # fmt: skip
    assert all(float(row[2]) > 0 for row in rows[:-1])
    assert rows[-1][2] == "" and "Error" in rows[-1][-1]
    for row in rows[:2]:
        assert float(row[5]) > 0  # transformers' generate
        assert sum(map(int, row[4].split("/"))) == pytest.approx(100, abs=2)
    assert len(figures) == 6 and all(float(str(f["value"])) > 0 for f in figures)
    assert last == "Out of memory: not measured."


@pytest.mark.slow
def test_a_test_without_time_left_is_marked() -> None:
    figures, rows, last = _run("--seconds", "0")
    assert not figures
    assert [row[1] for row in rows][:2] == ["1, 2", "transformers pipeline"]
    assert all("no time left" in row[-1] for row in rows)
    assert last == "Out of memory: not measured."


@pytest.mark.long
@pytest.mark.slow
def test_the_whole_way_is_measured_beside_engine_and_pipeline() -> None:
    figures, rows, _ = _run("--whole")
    kinds = ["words of the talk", "random words"]
    ways = [f"preset max, {words}" for words in kinds]
    assert [row[1] for row in rows] == [*ways, "transformers pipeline, 2"]
    *ours, pipeline = rows
    for row in ours:
        assert all(float(cell) > 0 for cell in (*row[2:6], *row[7:9]))
        assert float(row[6]) >= 0  # between two batches
        assert float(row[3]) <= 2  # windows a batch
        model, readers, ffmpeg = map(float, row[10].split(" / "))
        assert model > 0 and readers == 0 and ffmpeg >= 0  # without a GPU there are no readers
    assert float(pipeline[2]) > 0
    assert [row[-1] for row in rows] == [""] * 3
    parts = [
        "", ", windows of a batch", ", a batch", ", host time of a batch",
        ", between two batches", *(f", cores used by: {k}" for k in ("model", "readers", "ffmpeg")),
        " ÷ engine alone",
    ]  # fmt: skip
    expected = [f"toy, whole way, max, {words}{part}" for words in kinds for part in parts]
    assert [figure["figure"] for figure in figures] == [*expected, "toy, whole way, pipeline"]


@pytest.mark.slow
def test_the_whole_way_without_time_left_is_marked() -> None:
    figures, rows, _ = _run("--whole", "--seconds", "0")
    assert not figures and [row[-1] for row in rows] == ["no time left"] * 3
