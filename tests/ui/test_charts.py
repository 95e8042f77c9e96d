"""Charts that are drawn while the server still loads its modules in another thread."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kb.settings import PROJECT_ROOT

DRAWN_MEANWHILE = """
import sys, threading, time
import altair  # it loads no pandas, and takes longer than the second below

from kb.ui.widgets import charts

started = threading.Event()

class Slow:  # pandas is half imported for a second
    def find_spec(self, name, path=None, target=None):
        if name == "pandas.core.api" and not started.is_set():
            started.set()
            time.sleep(1)

sys.meta_path.insert(0, Slow())
threading.Thread(target=__import__, args=("pandas",)).start()
assert started.wait(120) and not hasattr(sys.modules["pandas"], "Timestamp")
DRAW
"""
DRAW = {
    "lines": "charts.lines([0.0], {'a': [1.0]}, x_label='x', y_label='y', alt='a')",
    "bars": "charts.bars(['a'], [1.0], x_label='x', y_label='y', alt='a')",
    "named bars": "charts.named_bars(['a'], [1.0], x_label='x', alt='a')",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAW)
def test_a_chart_waits_for_what_is_half_imported(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRAWN_MEANWHILE.replace("DRAW", DRAW[name])], cwd=PROJECT_ROOT,
        capture_output=True, text=True, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
