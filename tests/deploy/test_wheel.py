"""The wheel works away from the checkout: commands, recognizer and dashboard."""

from __future__ import annotations

import json
import os
import shutil
import site
import socket
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support.waiting import WAIT_S, until
from tools.build_data import FILES, FOLDERS, data_files

pytestmark = pytest.mark.slow

_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


class Installed:
    """The wheel in an environment of its own, which sees the packages of the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", _BUILD, str(folder)], cwd=_sources(folder / "sources"),
            check=True, capture_output=True,
        )  # fmt: skip
        (self.wheel,) = folder.glob("*.whl")
        made = folder / "env"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
        paths = sysconfig.get_paths("venv", {"base": str(made), "platbase": str(made)})
        self.site, self.bin = Path(paths["purelib"]), Path(paths["scripts"])
        subprocess.run(
            [sys.executable, "-P", "-m", "pip", "--python", str(made), "install", "--quiet",
             "--no-deps", "--no-index", str(self.wheel)],
            cwd=self.folder, env=self.environment(), check=True,
        )  # fmt: skip
        # A folder in a .pth file is searched, but its own .pth files, such as the one of the
        # editable checkout, are not read.
        (self.site / "tests.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command: a home of its own, nothing of the checkout."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("KB_")}
        kept.pop("PYTHONPATH", None)
        home = str(self.folder)
        path = os.pathsep.join([str(self.bin), str(Path(sys.executable).parent), kept["PATH"]])
        return {**kept, "HOME": home, "KB_HOME": f"{home}/library", "KB_MODEL": "demo",
                "KB_STEPS": "none", "OMP_NUM_THREADS": "1", "PATH": path, **more}  # fmt: skip

    def run(self, *arguments: str) -> str:
        """Run `kb` from a folder that is not the checkout; return what it prints."""
        done = subprocess.run(
            [str(self.bin / "kb"), *arguments], cwd=self.folder, env=self.environment(),
            capture_output=True, text=True, encoding="utf-8", timeout=WAIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def _sources(folder: Path) -> Path:
    """Copy what a wheel is built from, so that nothing is built inside the checkout."""
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("kb", "gpu", *FOLDERS):
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=skipped)
    for name in (*FILES, "pyproject.toml", "README.md", "LICENSE", "NOTICE", "tools/build_data.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(PROJECT_ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_wheel_has_the_files_and_nothing_of_a_user(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = archive.namelist()
    copies = {name.removeprefix("kb/_data/") for name in names if name.startswith("kb/_data/")}

    assert copies == {path.as_posix() for path in data_files(PROJECT_ROOT)}
    assert set(FILES) < copies and all(any(n.startswith(f) for n in copies) for f in FOLDERS)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"kb", "gpu"}
    assert not [name for name in names if "secrets" in name or name.endswith(".env")]
    for folder in ("kb", "gpu"):
        for path in (PROJECT_ROOT / folder).rglob("*"):
            wanted = (
                path.is_file() and "__pycache__" not in path.parts and "_data" not in path.parts
            )
            assert not wanted or path.relative_to(PROJECT_ROOT).as_posix() in names, path


def test_commands_find_their_files(installed: Installed) -> None:
    where = subprocess.run(
        [str(installed.bin / "python"), "-c", "import kb, gpu; print(kb.__file__, gpu.__file__)"],
        cwd=installed.folder, env=installed.environment(), capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    assert str(PROJECT_ROOT) not in where

    names = [preset["name"] for preset in json.loads(installed.run("presets", "--json"))]
    assert names == ["stabil", "optimiert", "schnell", "max"]
    sample = "The harbour in winter"
    medium = installed.site / "kb" / "_data" / "samples" / f"{sample}.mp4"
    heard = json.loads(installed.run("transcribe", str(medium), "--json"))
    truth = json.loads(medium.with_suffix(".truth.json").read_text(encoding="utf-8"))
    assert len(heard["segments"]) > 1
    words = [word for part in heard["segments"] for word in part["text"].split()]
    assert abs(len(words) - len(truth["words"])) <= 2


def test_dashboard_starts(installed: Installed) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = installed.environment(
        STREAMLIT_SERVER_PORT=str(port), STREAMLIT_SERVER_ADDRESS="127.0.0.1",
        KB_APP_WORKER="false",
    )  # fmt: skip
    command = [str(installed.bin / "python"), "-m", "kb", "app", "--no-browser"]
    with (installed.folder / "log").open("wb") as log:
        page = subprocess.Popen(command, cwd=installed.folder, env=environment, stdout=log,
                                stderr=log, start_new_session=True)  # fmt: skip
    try:
        until(lambda: page.poll() is not None or _answers(port), "the dashboard")
        assert page.poll() is None, (installed.folder / "log").read_text(encoding="utf-8")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert b"<title>" in answer.read()
        page.terminate()  # `kb app` alone: the server behind it ends, too
        page.wait(WAIT_S)
        until(lambda: not _answers(port), "the end of the server")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(page.pid, 9)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
