"""The figures of the whole way on a device, and the costs of a window on the host."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path

import psutil
import pytest

from benchmarks.support.gpu_bench import TOY
from benchmarks.support.gpu_feed import Batch, CoreMeter, read_batches
from benchmarks.support.gpu_whole import (
    SAID,
    WholeWay,
    environment,
    serve_with_tokens,
    write_files,
    write_model,
)
from benchmarks.support.spoken_text import spoken_result
from gpu.manager import GPUManager
from kb.asr.audio.vad import SpeechDetector
from kb.asr.windows.window_source import WindowSource
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.media.decode import decode
from kb.options import RunOptions
from kb.settings import get_settings


def batches(waits_s: Sequence[float], work_s: float = 1.0, windows: int = 4) -> list[Batch]:
    """Return batches of `work_s` seconds, each after a wait."""
    begins = accumulate(waits_s, lambda before, wait_s: before + work_s + wait_s)
    return [Batch(b, b + work_s, windows, 30.0 * windows, work_s / 10) for b in begins]


def test_the_first_and_the_last_batch_do_not_count() -> None:
    slow = Batch(0.0, 60.0, 1, 30.0, 50.0)
    inner = [Batch(60.0 + n, 60.9 + n, 4, 120.0, 0.3) for n in range(3)]
    found = WholeWay.of([slow, *inner, Batch(100.0, 190.0, 1, 30.0, 9.0)], 190.0, 0.9)
    assert found.speed == pytest.approx(360 / 2.9)
    assert (found.windows, found.busy) == (4, 0.9)
    assert found.batch_s == pytest.approx(0.9) and found.host_s == pytest.approx(0.3)
    assert found.between_s == pytest.approx((2.9 - 2.7) / 3)


@pytest.mark.parametrize("wait_s", [0.0, 0.25, 1.0])
def test_a_wait_between_batches_is_part_of_the_time(wait_s: float) -> None:
    found = WholeWay.of(batches([0.0, wait_s, wait_s, wait_s, wait_s]), 10.0, None)
    assert found.between_s == pytest.approx(wait_s)
    assert found.speed == pytest.approx(120 / (1 + wait_s))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_batches_are_no_measurement(count: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        WholeWay.of(batches([0.0] * count), 1.0, None)


def test_batches_count_that_ended_in_the_measured_time(tmp_path: Path) -> None:
    noted = tmp_path / "batches.jsonl"
    assert read_batches(noted) == []
    rows = [json.dumps(asdict(Batch(n, n + 0.9, 4, 120.0, 0.3))) for n in range(5)]
    noted.write_text("\n".join(rows) + "\n" + rows[0][:20])  # the last is being written
    assert [batch.began for batch in read_batches(noted, 1.5, 4.0)] == [1, 2, 3]


def test_cores_are_those_of_the_process_without_its_other_children() -> None:
    meter = CoreMeter(os.getpid())
    before = psutil.Process().cpu_times().user
    while psutil.Process().cpu_times().user < before + 0.1:
        sum(range(10_000))
    found = meter.cores()
    assert found.model > 0 and found.readers == 0


def test_the_words_of_a_window_are_those_that_are_said_in_it(tmp_path: Path) -> None:
    """Also behind pauses that were removed, and each word is in one window at least."""
    (path,) = write_files(tmp_path / "files", 1, 60.0)
    said = json.loads((tmp_path / "files" / SAID).read_text())
    source = WindowSource(
        SpeechDetector(), limit_s=20.0, overlap_s=1.0, longest_pause_s=0.5, residual_s=None
    )
    found: list[tuple[str, float]] = []
    for each in list(source.windows(decode(path), lambda: None)):
        end_s = each.end_s
        window = replace(each, time_map=source.time_map.between(each.start_s, end_s))
        words = [w for s in spoken_result(window, said, "en").segments for w in s.words]
        assert all(window.start_s <= w.start_s < w.end_s <= end_s + 1.0 for w in words)
        found += [(w.text, window.time_map.start(w.start_s)) for w in words]
    assert source.time_map.start(end_s) > end_s + 1  # pauses were removed
    for text, start_s, _ in said:
        assert any(text == word and abs(start_s - at_s) < 0.6 for word, at_s in found), text


@pytest.mark.slow
def test_the_words_of_the_talk_replace_those_of_random_weights(tmp_path: Path) -> None:
    """Also in a reader, which gets a window's text from the process of the model."""
    (path,) = write_files(tmp_path / "files", 1, 15.0)
    manager = GPUManager("cpu", cpu_threads=1)
    model = write_model(tmp_path, TOY, manager)
    changed = {"readers": "1", "device": "cpu", "cpu_threads": 1, "repair_share": 0.0}
    settings = get_settings().model_copy(update=changed)
    recipe = InferenceSession(settings).transcription_options(
        RunOptions(model=str(model), engine="whisper", language="en", batch_size=1)
    )
    said = tmp_path / "files" / SAID
    with environment(4, tmp_path / "batches.jsonl", said):
        process = InferenceProcess(settings, 1, main=serve_with_tokens)
        try:
            found = process.transcribe(path, recipe)
        finally:
            process.close()
    assert [word.text for word in found.words] == [
        text for text, *_ in json.loads(said.read_text())
    ]
    assert sum(each.windows for each in read_batches(tmp_path / "batches.jsonl")) == 1


@pytest.mark.long
def test_the_costs_on_the_host_are_measured_without_a_gpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks import gpu

    assert gpu.main(["--tiny", "--host"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
    figures = {row["figure"]: row for row in rows}
    for name in (
        "preparation, ffmpeg and detection",
        "batcher's thread outside of the model",
        "tokens read into words, in the thread of the item",
        "windows joined, in the thread of the item",
        "reader's thread, words of the talk",
        "reader's thread, random words",
    ):
        assert figures[name]["value"] > 0
