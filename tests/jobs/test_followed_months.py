"""Months of followed channels: exactly the right set, once, and a record of every look.

The story is `tests.support.followed_story`; `tests.support.followed_months` plays it in a process
of its own, whose clocks are moved.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kb.settings import PROJECT_ROOT

Result = dict[str, Any]


def play(folder: Path, *arguments: str, timeout_s: float) -> Result:
    """Play the story with these arguments; return its result."""
    subprocess.run(
        [sys.executable, "-m", "tests.support.followed_months", str(folder), *arguments],
        cwd=PROJECT_ROOT, check=True, timeout=timeout_s,
    )  # fmt: skip
    found: Result = json.loads((folder / "result.json").read_text())
    return found


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("month")
    return play(folder, "--days=30", "--scale=0.05", "--every-h=48", timeout_s=280)


@pytest.mark.slow
def test_every_look_of_a_month_has_a_closed_record(month: Result) -> None:
    assert month["looks_recorded"] == month["looks_begun"] > 200
    assert month["looks_open"] == 0
    assert set(month["outcomes"]) <= {"succeeded", "waiting", "failed"}


@pytest.mark.slow
def test_a_quick_look_of_a_month_costs_three_units_at_most(month: Result) -> None:
    assert month["quick_looks"] > 100
    assert month["quick_units"] <= 3.0
