"""The model of a process: loaded once, shared by threads, replaced when it is idle."""

from __future__ import annotations

import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gpu.status import BatchState
from gpu.throughput import BatchSpeed, Calibration
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.errors import Cancelled, MediaUnavailable, ModelUnavailable
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import PROJECT_ROOT, get_settings
from kb.transcript.formats import json_document
from tests.support.compose import compose, random_plan, write_wav
from tests.support.speech import bank, score
from tests.support.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, list]]:
    """Three talks of different length with their words."""
    folder = tmp_path_factory.mktemp("talks")
    made = []
    for number, count in enumerate((6, 25, 70)):
        rng = np.random.default_rng(40 + number)
        said = compose(bank(), random_plan(bank(), count, rng), rng=rng)
        made.append((write_wav(folder / f"{number}.wav", said), said.words))
    return made


def test_threads_share_one_model_and_each_gets_its_own_words(
    talks: list[tuple[Path, list]],
) -> None:
    with InferenceSession(get_settings()) as recognition, ThreadPoolExecutor(6) as pool:
        recipe = recognition.transcription_options(RunOptions(model="demo"))
        several = [*talks, *talks]
        found = list(pool.map(lambda talk: recognition.transcribe(talk[0], recipe), several))
    for transcript, (path, words) in zip(found, several, strict=True):
        assert transcript.media.path == str(path)
        assert score(words, transcript.words).wer <= 0.04
    assert len({transcript.timing.load_s for transcript in found}) == 1  # loaded once


def test_another_preset_loads_nothing_again(
    talks: list[tuple[Path, list]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a transcript says why the CPU was used where a GPU was requested."""
    monkeypatch.setenv("KB_DEVICE", "cuda")
    get_settings.cache_clear()
    with InferenceSession(get_settings()) as recognition:
        seen = []
        for batch_size in (2, 5):
            recipe = recognition.transcription_options(
                RunOptions(model="demo", batch_size=batch_size)
            )
            found = recognition.transcribe(talks[0][0], recipe)
            on_gpu = recognition.manager.on_gpu
            assert found.cpu_reason.startswith("KB_DEVICE=cuda cannot be used: ") != on_gpu
            again = json_document.from_document(json_document.to_document(found))
            assert again.cpu_reason == found.cpu_reason
            assert recognition._batcher is not None
            assert recognition._batcher.ceiling == batch_size
            seen.append(recognition._batcher)
        assert seen[0] is seen[1]


def test_another_model_waits_until_the_first_is_idle(
    talks: list[tuple[Path, list]], tmp_path: Path
) -> None:
    copy = str(shutil.copytree(DEMO_FOLDER, tmp_path / "copy"))
    names = ["demo", copy, "demo", copy]
    with InferenceSession(get_settings()) as recognition, ThreadPoolExecutor(4) as pool:
        path, words = talks[1]
        found = list(
            pool.map(
                lambda name: recognition.transcribe(
                    path, recognition.transcription_options(RunOptions(model=name))
                ),
                names,
            )
        )
    assert [transcript.model for transcript in found] == names
    assert all(score(words, transcript.words).wer <= 0.04 for transcript in found)


def test_a_model_that_cannot_be_loaded_leaves_the_next_one_a_chance(
    talks: list[tuple[Path, list]], tmp_path: Path
) -> None:
    with InferenceSession(get_settings()) as recognition:
        with pytest.raises(ModelUnavailable):
            recognition.prepare(recognition.transcription_options(RunOptions(model=str(tmp_path))))
        recipe = recognition.transcription_options(RunOptions(model="demo"))
        assert recognition.transcribe(talks[0][0], recipe).words


def test_a_stop_and_a_bad_medium_leave_the_model_usable(
    talks: list[tuple[Path, list]], tmp_path: Path
) -> None:
    with InferenceSession(get_settings()) as recognition:
        recipe = recognition.transcription_options(RunOptions(model="demo"))
        with pytest.raises(Cancelled):
            recognition.transcribe(talks[2][0], recipe, cancelled=lambda: True)
        with pytest.raises(MediaUnavailable):
            recognition.transcribe(tmp_path / "missing.wav", recipe)
        told: list[float] = []
        found = recognition.transcribe(talks[2][0], recipe, progress=told.append)
    assert score(talks[2][1], found.words).wer <= 0.04
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert all(0 <= done <= 1 for done in told)


def test_the_settings_set_up_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"DEVICE": "cuda:1", "CPU_THREADS": "2", "GPU_RESERVE_GB": "1.5"}
    for name, value in values.items():
        monkeypatch.setenv(f"KB_{name}", value)
    get_settings.cache_clear()
    manager = InferenceSession(get_settings()).manager
    assert (manager.request, manager.threads) == ("cuda:1", 2)
    assert manager.reserve_bytes == 1.5 * 2**30


def test_the_presets_of_the_settings_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "presets.yaml"
    text = (PROJECT_ROOT / "presets.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("optimiert:", "mine:"), encoding="utf-8")
    monkeypatch.setenv("KB_PRESETS_FILE", str(file))
    monkeypatch.setenv("KB_PRESET", "mine")
    get_settings.cache_clear()
    options = InferenceSession(get_settings()).transcription_options(RunOptions(model="demo"))
    assert options.preset.name == "mine"


def test_an_idle_model_is_unloaded_and_loaded_again(
    talks: list[tuple[Path, list]], tmp_path: Path
) -> None:
    table = tmp_path / "models.yaml"
    table.write_text("brief:\n  model: demo\n  idle_s: 0.05\n", encoding="utf-8")
    settings = get_settings().replace(models_file=str(table))
    path, words = talks[0]
    with InferenceSession(settings) as recognition:
        options = recognition.transcription_options(RunOptions(model="brief"))
        for _ in range(2):
            assert score(words, recognition.transcribe(path, options).words).wer <= 0.04
            until(lambda: recognition.snapshot().batch is None)
        kept = recognition.transcription_options(RunOptions(model="demo"))
        recognition.prepare(kept)
        assert recognition.snapshot().batch is not None


def test_a_process_loads_the_model_of_the_table_before_the_first_request(tmp_path: Path) -> None:
    """And the loaded model takes a new measurement, without a start and without a medium."""
    table = tmp_path / "models.yaml"
    settings = get_settings().replace(models_file=str(table), model="demo", device="cpu")
    measured: list[Calibration] = []
    process = InferenceProcess(settings, 1, calibrations=lambda: measured)
    process.renew_calibrations()  # no process is there to take them
    table.write_text("first:\n  model: demo\n", encoding="utf-8")
    process.preload()
    assert process.pid is None  # no row asks for it
    table.write_text("first:\n  model: demo\n  preload: true\n", encoding="utf-8")
    process.preload()
    try:
        until(lambda: process.snapshot is not None and process.snapshot.batch is not None)
        snapshot = process.snapshot
        assert snapshot is not None and snapshot.model == "demo" and snapshot.batch is not None
        assert snapshot.batch.size > 2
        batches = tuple(
            BatchSpeed(n, 0.1, 0.1, 0.0, rtfx) for n, rtfx in ((1, 50), (2, 90), (4, 60))
        )
        measured.append(
            Calibration(
                time.time(), socket.gethostname(), snapshot.device, snapshot.engine, "demo", 1, 1,
                {}, 20.0, 400.0, 400.0, batches,
            )
        )  # fmt: skip
        pid = process.pid
        process.renew_calibrations()
        until(lambda: batch_of(process).size == 2)
        assert "kb calibrate" in batch_of(process).reason and process.pid == pid
        measured.clear()
        process.renew_calibrations()
        until(lambda: batch_of(process).size == snapshot.batch.size)
    finally:
        process.close()


def batch_of(process: InferenceProcess) -> BatchState:
    """Return the state of the batch that the process has last reported."""
    assert process.snapshot is not None and process.snapshot.batch is not None
    return process.snapshot.batch
