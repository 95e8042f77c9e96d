"""`kb serve` as its own process: with a worker beside it, and with the worker of this machine."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from kb.settings import PROJECT_ROOT
from tests.support.waiting import until
from tests.support.workers import Lab, write_talks

pytestmark = pytest.mark.slow


@contextmanager
def serving(lab: Lab, name: str) -> Iterator[str]:
    """Run `kb serve` at a free port; yield its address. It ends as by a service manager."""
    log = lab.folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kb.cli", "serve", "--port", "0"],
            env=lab.environment(), cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
        )  # fmt: skip

    def address() -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        return found[0] if found else ""

    try:
        until(lambda: bool(address()))
        until(lambda: answers(address()))
        yield address()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/ready", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_it_works_through_the_queue_and_answers_programs(tmp_path: Path) -> None:
    with Lab(tmp_path / "lab") as lab:
        clip, talk = write_talks(tmp_path / "talks", 2)
        with serving(lab, "first") as first:
            (item_id,) = lab.ingest([talk])
            texts = [transcribed(first, clip)]
            with serving(lab, "second") as second:  # the worker's name is taken: it uses its line
                texts.append(transcribed(second, clip))
            assert texts[0] and texts[0] == texts[1]
            assert lab.wait_finished([item_id])[item_id].state == "done"
        assert not lab.jobs.workers()


def transcribed(address: str, clip: Path) -> str:
    client = OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0)
    return client.audio.transcriptions.create(model="whisper-1", file=clip).text
