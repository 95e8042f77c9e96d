"""ONNX Runtime keeps no id of this machine and sends no figures of its use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb.asr.audio.vad import model_path
from kb.settings import PROJECT_ROOT

pytestmark = pytest.mark.slow

# Variables that switch the figures off for programs that are tested, and ours.
OFF = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS")
CI = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILD_ID", "TRAVIS")
PLAIN = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1])"
OURS = "from kb.asr.audio.vad import SpeechDetector; SpeechDetector()"
CHILD = (
    "import kb, subprocess, sys;"
    f"subprocess.run([sys.executable, '-c', {PLAIN!r}, sys.argv[1]], check=True)"
)


def left_by(code: str, home: Path, **more: str) -> list[str]:
    """Return the files that a program leaves in the folder of a user."""
    home.mkdir()
    others = {name: value for name, value in os.environ.items() if name not in (*OFF, *CI)}
    places = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    # Nothing is sent from here, whatever the program wants to send.
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    subprocess.run(
        [sys.executable, "-c", code, str(model_path())],
        env={**others, **places, **nowhere, **more}, check=True, cwd=home,
    )  # fmt: skip
    return sorted(path.name for path in home.rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows collects them by another way")
def test_no_id_of_the_machine_is_kept(tmp_path: Path) -> None:
    if not left_by(PLAIN, tmp_path / "plain"):
        pytest.skip("this version of ONNX Runtime has no figures of its use")
    assert left_by(OURS, tmp_path / "ours") == []
    assert left_by(CHILD, tmp_path / "child") == []
    # A user can have it otherwise.
    assert left_by(OURS, tmp_path / "wanted", ORT_DISABLE_TELEMETRY="0") != []
