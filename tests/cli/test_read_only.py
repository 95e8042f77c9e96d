"""A library that this account may only read can be looked at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.database import Database
from kb.settings import PROJECT_ROOT, Settings, get_settings
from tests.support.library_pages import add_item

NOBODY = 65534

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="needs files of another account",
)
# The administrator's account without its right to write everything.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    """A library of another account, in a folder that all accounts may enter."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    home = folder / "library"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KB_HOME", str(home))
        patch.setenv("KB_MODEL", "demo")
        get_settings.cache_clear()
        add_item()
        from kb.service import Service

        Service().queue.database.close()
    get_settings.cache_clear()
    Database.open(Settings(KB_HOME=home)).close()
    for path in (home, *home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.chown(path, NOBODY, NOBODY)
    yield home
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "doctor"])
def test_it_can_be_looked_at(library: Path, command: str) -> None:
    before = sorted(path.name for path in library.rglob("*"))
    done = subprocess.run(
        [*WITHOUT_OVERRIDE, sys.executable, "-P", "-m", "kb.cli", command],
        cwd="/",
        env={
            **os.environ,
            "PYTHONPATH": str(PROJECT_ROOT),
            "KB_HOME": str(library),
            "KB_MODEL": "demo",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    if command == "status":
        assert done.returncode == 0, done.stderr
        assert "done" in done.stdout
    else:
        assert "every page is readable" in done.stdout, done.stdout
        import pwd  # not on Windows

        assert f"belongs to the account {pwd.getpwuid(NOBODY).pw_name}" in " ".join(
            done.stdout.split()
        )
    assert sorted(path.name for path in library.rglob("*")) == before
