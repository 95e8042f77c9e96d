"""The demo of `make demo`, in a copy of the code: four talks taken in, and a question answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support.waiting import WAIT_S

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code: the demo makes its library in the project's folder."""
    root = tmp_path_factory.mktemp("demo") / "code"
    for name in ("kb", "gpu"):
        shutil.copytree(PROJECT_ROOT / name, root / name)
    (root / "tools").mkdir()
    for name in ("presets.yaml", "models.yaml", "tools/demo.py"):
        shutil.copy2(PROJECT_ROOT / name, root / name)
    for name in ("models", "samples", "samples-conversation"):
        (root / name).symlink_to(PROJECT_ROOT / name)
    return root


def demo(code: Path) -> subprocess.CompletedProcess[str]:
    """Run the demo, as `make demo` does."""
    environment = {**os.environ, "PYTHONPATH": str(code), "COLUMNS": "200"}
    environment.pop("KB_HOME", None)
    environment.pop("KB_STEP_MODELS", None)  # the steps run where setup has brought their parts
    return subprocess.run(
        [sys.executable, "tools/demo.py"],
        cwd=code, env=environment, capture_output=True, text=True, timeout=2 * WAIT_S, check=False,
    )  # fmt: skip


def test_the_demo_answers_its_question_and_does_nothing_twice(code: Path) -> None:
    first = demo(code)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "4 talks, " in first.stdout and "Question: " in first.stdout
    assert f"The library is {code / '.demo'}" in first.stdout
    assert "Midnight on the railway" in first.stdout
    assert "Ada Morgan, " in first.stdout and "I am Tom Keller, and" in first.stdout
    assert "The Fresnel lens" in first.stdout  # on its screen

    again = demo(code)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Nothing had to be done twice: 4 talks" in again.stdout

    # An answer without the expected words, and no answer at all, are failures.
    script = code / "tools/demo.py"
    text = script.read_text(encoding="utf-8")
    assert text.count('("broken", "bridge")') == 1
    script.write_text(text.replace('("broken", "bridge")', '("fixed", "bridge")'), "utf-8")
    wrong = demo(code)
    assert wrong.returncode == 1 and "This is not the passage that answers it." in wrong.stdout
