"""The folder where a command is started gives no trust: nothing in it is executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support.compose import WordBank, compose, write_wav
from tests.support.waiting import WAIT_S

TRAP = "open({mark!r}, 'a').write(__name__ + chr(10))\n"


@pytest.mark.slow
def test_python_files_and_programs_of_the_current_folder_are_not_run(tmp_path: Path) -> None:
    """As in attack CWE-427: an analyst starts `kb ingest` in a folder of downloads."""
    import numpy as np

    folder, mark = tmp_path / "downloads", tmp_path / "ran"
    folder.mkdir()
    for name in ("secrets", "signal", "multiprocessing", "logging", "torch", "streamlit", "deno"):
        (folder / f"{name}.py").write_text(TRAP.format(mark=str(mark)))
    for package in ("kb", "gpu", "yt_dlp_plugins", "yt_dlp_plugins/extractor"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(TRAP.format(mark=str(mark)))
    for program in ("ffmpeg", "ffprobe", "ffplay", "deno", "git", "nvidia-smi", "python"):
        path = folder / program
        path.write_text(f"#!/bin/sh\necho {program} >> {mark}\n")
        path.chmod(0o755)
    bank = WordBank.load()
    write_wav(folder / "talk.wav", compose(bank, "mountain garden", rng=np.random.default_rng(3)))
    environment = {
        **os.environ,
        "KB_HOME": str(tmp_path / "library"),
        "KB_MODEL": "demo",
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    environment.pop("PYTHONSAFEPATH", None)
    start = "import sys; sys.path.remove(''); from kb.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", start, "ingest", "talk.wav", "--wait"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize(
    "command",
    [
        "status", "status --json", "status x", "search x", "search x --json", "show x",
        "export x", "reindex", "cancel x", "retry x", "retry --failed", "pause", "resume",
        "publish --all", "sync", "sync --dry-run", "review", "clip x --from 0 --to 1 -o a.wav",
        "vocabulary x", "correct x --from a --to b", "follow --list", "unfollow x",
        "worker --stop", "verify", "verify --dry-run", "backup", "restore --list", "audit",
        "remove x", "remove --list", "ask x --to local",
    ],
)  # fmt: skip
@pytest.mark.parametrize("exists", [False, True])
def test_a_misspelt_library_is_not_made_by_a_look_at_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    exists: bool,
) -> None:
    from kb.cli.main import run
    from kb.settings import get_settings

    home = tmp_path / "librray"
    if exists:
        home.mkdir()
    monkeypatch.setenv("KB_HOME", str(home))
    get_settings.cache_clear()
    assert run(command.split()) in (1, 2)
    assert home.exists() == exists
    assert not exists or not list(home.iterdir())
    shown = capsys.readouterr()
    assert str(home) in "".join(shown.err.split("\n")) or "Usage" in shown.err, shown


@pytest.mark.parametrize(
    "command", ["doctor", "presets", "models", "--version", "status --help", "scan talks", "ask x",
                "scan talks --json", "search x --remote", "upload nothing.pdf", "scan nowhere"],
)  # fmt: skip
def test_commands_that_need_no_library_make_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    from kb.cli.main import run
    from kb.settings import get_settings

    home = tmp_path / "librray"
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    (tmp_path / "talks").mkdir()
    (tmp_path / "talks" / "talk.wav").write_bytes(b"RIFF")
    run(command.split())
    assert not home.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["ingest talks", "ingest nowhere", "follow talks", "restore missing.zip -y"]
)
def test_a_new_library_is_announced_where_it_is_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    from kb.cli.main import run
    from kb.settings import get_settings

    home = tmp_path / "librray"
    monkeypatch.setenv("KB_HOME", str(home))
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    (tmp_path / "talks").mkdir()
    write_wav(tmp_path / "talks" / "talk.wav", compose(WordBank.load(), "mountain"))
    run(command.split())
    shown = capsys.readouterr().err
    assert (f"New library made in {home}" in shown) == (home / "kb.sqlite").is_file()
    run(command.split())
    assert "New library" not in capsys.readouterr().err
