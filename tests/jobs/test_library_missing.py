"""A worker whose library folder is deleted reports it and ends; it creates no empty folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kb.settings import PROJECT_ROOT
from tests.support.error_source import sentence
from tests.support.waiting import WAIT_S
from tests.support.workers import Lab

pytestmark = pytest.mark.slow

# `kb worker` with shorter timeouts.
KB = """
import sys
from kb import cli
from kb.jobs.worker import worker
worker.LIBRARY_MISSING_TIMEOUT_S, worker.LIBRARY_MISSING_IDLE_TIMEOUT_S = {patience}
cli.main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="open files cannot be removed there")
@pytest.mark.parametrize(
    ("arguments", "patience"), [((), "1.0, 900.0"), (("--exit-when-idle",), "900.0, 1.0")]
)
def test_a_worker_without_its_library_ends(
    tmp_path: Path, arguments: tuple[str, ...], patience: str
) -> None:
    with Lab(tmp_path / "lab") as lab, (tmp_path / "log").open("w+b") as log:
        # With `--exit-when-idle` it would end at once without a queued item: pause one.
        lab.jobs.pause()
        item = lab.folder / "talk.wav"
        shutil.copy(PROJECT_ROOT / "tests" / "data" / "wordbank.flac", item)
        lab.ingest([item])
        popen = subprocess.Popen(
            [sys.executable, "-c", KB.format(patience=patience), "worker", *arguments],
            env=lab.environment(KB_LOG_LEVEL="INFO"), cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        lab.track(popen.pid)
        lab.wait(
            lambda: popen.poll() is not None or "in flight" in (tmp_path / "log").read_text(),
            "a worker at work",
        )
        assert popen.poll() is None, (tmp_path / "log").read_text()
        lab.service.close()
        # The removal is repeated, because the worker may write files meanwhile.
        lab.wait(
            lambda: shutil.rmtree(lab.home, ignore_errors=True) or not lab.home.exists(), "its end"
        )
        assert popen.wait(WAIT_S) == 1
        said = (tmp_path / "log").read_text()
        assert said.count(sentence("library.missing", home=lab.home)) == 1, said
        assert sentence("library.missing_too_long", home=lab.home, waited_s=1) in said
        assert "KB_HOME" in said
        assert not lab.home.exists()
