"""A repository that wants its code run, at a terminal where a user types `y`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.fakes.hub import FakeHub
from tests.support.hub_cache import demo_files

if sys.platform == "win32":
    pytest.skip("no pseudo terminal", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOSTILE = "evil/recognizer"


def at_a_terminal(arguments: list[str], environment: dict[str, str], folder: Path) -> str:
    """Run `kb` at a pseudo terminal, type `y` all the time, and return what it showed."""
    import pty
    import select

    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "kb.cli", *arguments], environment)
    shown, end = b"", time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                block = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
        else:
            os.write(terminal, b"y\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode(errors="replace")


def test_no_keystroke_runs_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = f"import pathlib; pathlib.Path({str(ran)!r}).write_text('code')\n".encode()
    config = json.dumps({"model_type": "unheard", "auto_map": {"AutoConfig": "code.Config"}})
    files = {**demo_files(), "config.json": config.encode(), "code.py": code}
    files["sitecustomize.py"] = code
    copied = tmp_path / "copied"
    copied.mkdir()
    for name, data in files.items():
        (copied / name).write_bytes(data if isinstance(data, bytes) else data.read_bytes())
    with FakeHub({HOSTILE: files}) as hub:
        environment = {
            **os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", "KB_DEVICE": "cpu", "COLUMNS": "300",
            "PYTHONPATH": str(PROJECT_ROOT), "XDG_STATE_HOME": str(tmp_path / "state"),
        }  # fmt: skip
        medium = str(PROJECT_ROOT / "samples" / "The harbour in winter.mp4")
        for model in (HOSTILE, str(copied)):
            shown = at_a_terminal(["transcribe", medium, "--model", model], environment, tmp_path)
            assert "config.json asks with auto_map" in shown, shown[-2000:]
            assert "Traceback" not in shown and "[y/N]" not in shown
            assert not ran.exists()
        assert "code.py" not in hub.sent
        assert "model.safetensors" not in hub.sent  # refused before its weights are fetched
