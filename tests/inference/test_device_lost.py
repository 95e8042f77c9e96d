"""A device whose context breaks: a new process, then the CPU, and no item counts a failure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from gpu.presets import load_presets
from gpu.status import Machine
from kb.cli.output.machine import machine_lines
from kb.errors import KBError
from kb.inference.crash import InferenceProcessCrashed
from kb.inference.process import MAX_DEVICE_LOSSES
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.options import RunOptions
from kb.settings import PROJECT_ROOT, get_settings
from kb.types import Transcript
from tests.support.device_trouble import CUDA_ERROR, FAILURES_ENV, FlakyInferenceProcess
from tests.support.workers import Lab, write_talks

# Each life of a recognizer begins with loading everything: on a busy machine that takes long.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the number of failures to come."""
    file = tmp_path / "trouble"
    file.write_text("0")
    monkeypatch.setenv(FAILURES_ENV, str(file))
    return file


@pytest.fixture
def host(trouble: Path) -> Iterator[FlakyInferenceProcess]:
    made = FlakyInferenceProcess(get_settings(), 2)
    yield made
    made.close()


def recipe() -> TranscriptionOptions:
    return InferenceSession(get_settings()).transcription_options(RunOptions(model="demo"))


def read(host: FlakyInferenceProcess, path: Path) -> tuple[Transcript, int]:
    """The words, and how many lives of the host it took."""
    lost = 0
    while True:
        try:
            return host.transcribe(path, recipe()), lost
        except InferenceProcessCrashed as error:
            assert error.device_lost and CUDA_ERROR in error.message, error
            lost += 1


@pytest.mark.long
def test_a_fresh_process_goes_on_and_a_success_forgives(
    host: FlakyInferenceProcess, trouble: Path, tmp_path: Path
) -> None:
    talks = write_talks(tmp_path / "in", 2, words=3)
    trouble.write_text("1")
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda path: read(host, path), talks))
    assert all(transcript.words for transcript, _ in found)
    assert max(lost for _, lost in found) == 1
    assert host.restarts == 1
    trouble.write_text("1")
    transcript, lost = read(host, talks[0])
    assert transcript.words and lost == 1
    assert host.restarts == MAX_DEVICE_LOSSES == 2 and host.cpu_reason == ""  # not in a row


@pytest.mark.long
def test_a_worker_goes_on_and_shows_what_happened(trouble: Path, tmp_path: Path) -> None:
    trouble.write_text("99")
    with Lab(tmp_path / "lab") as lab:
        ids = lab.ingest(write_talks(tmp_path / "in", 3, words=3))
        with lab.log_file.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.support.device_trouble"],
                env=lab.environment(**{FAILURES_ENV: str(trouble)}), cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        lab.processes.append(psutil.Process(worker.pid))
        lab._popen.append(worker)
        done = lab.wait_finished(ids, timeout_s=600)
        assert {status.state for status in done.values()} == {"done"}, done
        rows = [lab.jobs.items.read(item_id) for item_id in ids]
        assert [row.deaths for row in rows if row] == [0, 0, 0]  # nobody's fault
        reports: list[Machine] = []

        def complete() -> bool:
            """Keep the last report; a worker that is late with its heartbeat has no figures."""
            reports.append(machine := lab.service.machines.current())
            told = machine.live and machine.trouble and machine.now and machine.device.reason
            windows = machine.batch.windows if machine.batch else 0
            return bool(told) and windows >= 3 and machine.items_hour == 3

        lab.wait(complete, "the worker tells of its trouble, three windows and three items")
        machine = reports[-1]
        assert machine.executor_id == "one"
        assert CUDA_ERROR in machine.trouble and machine.restarts == MAX_DEVICE_LOSSES
        assert machine.device.kind == "CPU" and machine.device.reason == machine.trouble
        assert (machine.rtfx_hour or 0) > 0
        speeds = lab.service.machines.speeds(ids)
        assert {speed.item_id for speed in speeds} == set(ids)
        assert all(speed.rtfx > 0 and speed.model == "demo" for speed in speeds)

        def told(command: str) -> str:
            """Return what a command says of the worker; empty while its heartbeat is late."""
            found = json.loads(lab.kb(command, "--json").stdout)
            if command == "status":
                return str(found["machines"][0]["trouble"])
            (check,) = [check for check in found if check["name"] == "Worker one"] or [{}]
            return str(check["detail"]) if check.get("state") == "warn" and check["fix"] else ""

        for command in ("status", "doctor"):
            lab.wait(lambda name=command: CUDA_ERROR in told(name), command)  # type: ignore[misc]
        shown = " ".join(
            line.plain for line in machine_lines([machine], tuple(load_presets().values()))
        )
        assert CUDA_ERROR in shown and "batch" in shown


def test_a_foreground_run_says_what_to_do(
    trouble: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kb.asr import engines

    monkeypatch.setitem(engines.ENGINES, "whisper", "tests.support.device_trouble:SPEC")
    trouble.write_text("1")
    (talk,) = write_talks(tmp_path / "in", 1, words=3)
    with (
        InferenceSession(get_settings()) as recognition,
        pytest.raises(KBError, match=CUDA_ERROR) as caught,
    ):
        recognition.transcribe(talk, recipe())
    assert "KB_DEVICE=cpu" in caught.value.hint
