"""The last tests of a run: nothing that the others said or left behind holds a secret."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from kb.errors import KBError
from kb.settings import PROJECT_ROOT
from tests.fakes.odin import KEY, SECRET
from tests.support.keys import fake_key
from tests.support.secret_watch import SecretWatch, find_secret, watch

# Where a test plays the user and lays down keys for the program to read.
THEIR_PLACE = re.compile(r"YT_API_keys\.txt|(my-)?keys\.txt|\.env")


@pytest.mark.whole_run
def test_no_secret_in_any_file_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    looked_at, leaks = 0, []
    # A process that a test has left may still remove its files and folders.
    walk = os.walk(tmp_path_factory.getbasetemp())
    for path in (Path(folder, name) for folder, _, names in walk for name in names):
        if THEIR_PLACE.fullmatch(path.name):
            continue
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            parts = list(stored_parts(path))
        except OSError:
            continue
        looked_at += 1
        if any(map(find_secret, parts)):
            leaks.append(path)
    assert looked_at
    assert not leaks


def stored_parts(path: Path) -> Iterator[bytes]:
    """Yield the contents of a file without its holes, of which tests make gigabytes."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not hasattr(os, "SEEK_DATA"):  # Windows
            yield file.read()
            return
        end = 0
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                return
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            file.seek(start)
            yield file.read(end - start)


@pytest.mark.parametrize("holes", [(0,), (1 << 20,), (0, 1 << 24), (4096, 1 << 25, 1 << 25)])
def test_a_secret_between_holes_is_found(tmp_path: Path, holes: tuple[int, ...]) -> None:
    path = tmp_path / "file"
    for secret in (b"", fake_key("z").encode()):
        with path.open("wb") as file:
            for hole in holes:
                file.seek(hole, os.SEEK_CUR)
                file.write(b"text")
            file.write(secret)
            file.truncate(file.tell() + (1 << 25))
        parts = list(stored_parts(path))
        assert any(map(find_secret, parts)) is bool(secret)
        assert sum(map(len, parts)) < 1 << 20
    path.unlink()


@pytest.mark.whole_run
def test_no_secret_in_anything_said(request: pytest.FixtureRequest) -> None:
    assert watch.seen == []
    if request.session.testscollected > 300:  # a whole run, or what `make quick` leaves of it
        assert all(watch.scanned[kind] for kind in ("error", "traceback", "log", "output"))


@pytest.mark.parametrize(
    "secret", [fake_key("z"), KEY, SECRET, "wrong-PROBE"], ids=["google", "key", "secret", "wrong"]
)
def test_a_secret_would_be_seen(secret: str) -> None:
    for said in (f"key={secret}&alt=json", f'"{secret}"\n'.encode(), f"1{secret}"):
        fresh = SecretWatch()
        fresh.scan("anything", said)
        (where,) = fresh.seen
        assert "test_a_secret_would_be_seen" in where
        assert secret not in where


def test_everything_said_is_looked_at(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []

    def scan(kind: str, output: object, test: str = "") -> None:
        text = output.decode() if isinstance(output, bytes) else str(output)
        # A thread that an earlier test left behind may say something, too.
        seen.extend((kind, word) for word in ("ERROR", "RECORD", "OUTPUT", "MORE") if word in text)

    monkeypatch.setattr(watch, "scan", scan)
    with pytest.raises(KBError):
        raise KBError("ERROR", hint="A hint.")
    logging.getLogger("anybody").warning("RECORD")
    subprocess.run([sys.executable, "-c", "print('OUTPUT')"], capture_output=True, check=True)
    print("MORE")
    capfd.readouterr()
    monkeypatch.undo()
    assert sorted(seen) == [
        ("error", "ERROR"), ("log", "RECORD"), ("output", "MORE"), ("output", "OUTPUT"),
        ("traceback", "ERROR"),
    ]  # fmt: skip


# A run of two worker processes; the tests that look at it are those of this file.
INNER = {
    "conftest.py": """
        from tests.support import secret_watch

        def pytest_configure(config):
            secret_watch.start(config)
    """,
    "pytest.ini": "[pytest]\naddopts = -p no:cacheprovider\nmarkers = whole_run: comes last\n",
    "test_others.py": """
        import os
        import pytest
        from kb.errors import KBError
        from tests.support.keys import fake_key

        @pytest.mark.parametrize("n", range(6))
        def test_other(n, tmp_path):
            said = dict.fromkeys(os.environ["PLACES"].split() if n == 5 else (), fake_key("z"))
            (tmp_path / "left").write_text(said.get("file", "nothing"))
            print(said.get("print", "nothing"))
            KBError(said.get("error", "nothing"), hint="")
    """,
    "test_secrets.py": """
        from tests.test_secrets import (
            test_no_secret_in_any_file_of_the_run, test_no_secret_in_anything_said,
        )
    """,
}


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Path]:
    """A folder with the inner run's tests; its secrets are removed before the outer run looks."""
    folder = tmp_path / "inner"
    folder.mkdir()
    for name, content in INNER.items():
        (folder / name).write_text(dedent(content))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("places", "workers", "failed"),
    [("", 2, 0), ("file print", 2, 2), ("error", 2, 1), ("error", 0, 1)],
)
def test_a_secret_of_any_process_fails_the_run(
    inner: Path, places: str, workers: int, failed: int
) -> None:
    """Files and what was said are two tests: each of them fails."""
    command = [
        sys.executable, "-m", "pytest", "-n", str(workers), "--dist", "worksteal",
        "--basetemp", str(inner / "run"), str(inner),
    ]  # fmt: skip
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment = {**clean, "PYTHONPATH": str(PROJECT_ROOT), "PLACES": places}
    with (inner / "output").open("wb") as output:  # the outer run looks at what it captures
        done = subprocess.run(
            command, cwd=inner, env=environment, stdout=output, stderr=output, check=False
        )
    last = (inner / "output").read_text(errors="replace").splitlines()[-1]
    if failed:
        assert done.returncode == 1 and f"{failed} failed, {8 - failed} passed" in last, last
    else:
        assert done.returncode == 0 and "8 passed" in last, last
