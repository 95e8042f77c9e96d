"""Calibration of a machine, estimates from it, and the machine's state as faces get it."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpu.devices import Device
from gpu.manager import BatchCeiling, GPUManager
from gpu.monitor import Sample
from gpu.presets import load_presets
from gpu.status import BatchState, Machine, Snapshot
from gpu.throttle import Throttle
from gpu.throughput import BatchSpeed, Calibration, Estimate
from kb.asr.windows.windowing import Window
from kb.cli.output.machine import calibration_table, machine_lines
from kb.cli.output.models import models_table
from kb.database import Database
from kb.errors import GPUError
from kb.inference import calibrate
from kb.inference.calibrate import _batches, _slope
from kb.inference.downloads import ModelFacts
from kb.inference.estimate import ThroughputEstimator
from kb.inference.memory_fit import MemoryEstimate, estimate_memory
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.telemetry import (
    POINT_EVERY_S,
    TelemetryWriter,
    read_machines,
    read_speeds,
    record_throughput,
    write_calibration,
)
from kb.options import RunOptions
from kb.service import Service
from kb.service.health_workers import check_worker
from kb.settings import get_settings
from kb.types import Coverage, MediaRef, Timing, Transcript
from tests.support.fake_cuda import FakeCuda, FakeTorch
from tests.support.kept_transcripts import said
from tests.support.live_worker import lasting_signs
from tests.support.raising import raises
from tests.support.speech import Oracle, preset

__all__ = ["lasting_signs"]

GB = 2**30
CARD = Device("cuda:0", "CUDA", "A Card", "bfloat16", budget_bytes=22 * GB)
CPU = Device("cpu", "CPU", "A Processor", "float32")


def with_taken_words(transcript: Transcript) -> Transcript:
    """Return a transcript whose words are of another item, for most of its sound."""
    taken = replace(said("A ferry leaves."), taken_from="file:1")
    timing = replace(transcript.timing, asr_s=0.01, align_s=0.0)
    return replace(transcript, segments=(taken, said("At noon.", 5.0)), timing=timing)


def rows(*figures: tuple[int, float]) -> tuple[BatchSpeed, ...]:
    """Batch sizes with their speed."""
    return tuple(BatchSpeed(size, 0.1, 0.1, 0.0, rtfx) for size, rtfx in figures)


def measured(device: Device = CARD, **more: object) -> Calibration:
    values: dict[str, object] = {
        "at": time.time(), "host": socket.gethostname(), "device": device, "engine": "whisper",
        "model": "large-v3", "threads": 2, "cores": 8, "versions": {}, "window_s": 27.0,
        "decode_rtfx": 400.0, "detect_rtfx": 400.0,
        "batches": rows((1, 100), (8, 400), (16, 800)), **more,
    }  # fmt: skip
    return Calibration(**values)  # type: ignore[arg-type]


def test_the_best_batch_is_the_smallest_that_is_about_as_fast() -> None:
    flat = measured(batches=rows((1, 50), (2, 97), (4, 100), (8, 99)))
    assert flat.best is not None and flat.best.batch == 2 and flat.saturating_batch == 2
    rising = measured()
    assert rising.best is not None and rising.best.batch == 16
    assert rising.saturating_batch == 0  # a larger batch was not measured
    assert measured(batches=()).best is None and measured(batches=()).saturating_batch == 0


def test_speed_between_sizes_and_of_the_whole_way() -> None:
    found = measured()
    assert [found.at_batch(n) for n in (1, 8, 12, 16, 99)] == [100, 400, 600, 800, 800]
    assert measured(batches=()).at_batch(4) == 0
    # One core prepares 200 seconds a second: a card of 800 needs four at least.
    assert found.prepare_rtfx == pytest.approx(200)
    assert [found.speed(16, workers) for workers in (1, 2, 4, 6)] == [200, 400, 800, 800]
    # A processor of two cores that gives both to the model has none left.
    shared = measured(CPU, cores=2, batches=rows((1, 100)))
    assert shared.speed(1, 4) == pytest.approx(1 / ((2 / 100 + 1 / 200) / 2))
    assert measured(CPU, threads=1, cores=2, batches=rows((1, 100))).speed(1, 1) == 100


def test_a_calibration_is_kept_and_read_by_other_versions() -> None:
    found = measured(window_bytes=5, refused=32)
    document = json.loads(json.dumps(found.as_dict()))
    assert document["best_batch"] == 16
    assert Calibration.from_dict(document) == found
    with pytest.raises((TypeError, KeyError)):
        Calibration.from_dict({**document, "of a newer version": 1})


def test_the_batcher_starts_with_what_was_measured() -> None:
    manager = GPUManager("cpu", cpu_threads=1)
    device = replace(CPU, name=manager.name, dtype="float32")
    flat = measured(device, model="demo", batches=rows((1, 50), (2, 100), (4, 99)), window_bytes=7)
    fits = estimate_memory("whisper", "demo", manager, [measured(), flat])
    assert fits.measured == flat and fits.window_bytes == 7
    room = fits.max_batch(preset("max"), manager)
    assert room.size == 2 and "kb calibrate" in room.reason
    by_shape = estimate_memory("whisper", "demo", manager, [measured()])
    assert by_shape.measured is None and by_shape.window_bytes > 1e6
    assert by_shape.max_batch(preset("max"), manager).size == 8  # what a CPU takes
    assert MemoryEstimate(0).max_batch(preset("stabil"), manager).size == 8


def test_room_for_windows_leaves_the_libraries_their_own() -> None:
    card = ("A Card", (8, 9), 24 * GB)
    gpu = GPUManager("auto", torch=FakeTorch(FakeCuda(card, free=10 * GB)), reserve_gb=0)
    room = MemoryEstimate(window_bytes=GB, baseline_bytes=0).max_batch(preset("max"), gpu)
    assert room.size == 9 and room.reason.startswith("9.8 GB are left")


def test_what_did_not_fit_when_it_was_measured_is_not_tried_again() -> None:
    manager = GPUManager("cpu", cpu_threads=1)
    device = replace(CPU, name=manager.name, dtype="float32")
    rising = rows((1, 50), (2, 100), (4, 200))
    full = measured(device, model="demo", batches=rising, refused=8)
    assert (full.saturating_batch, full.largest_fitting_batch) == (0, 4)
    room = estimate_memory("whisper", "demo", manager, [full]).max_batch(preset("max"), manager)
    assert room.size == 4 and room.reason.startswith("8 at a time did not fit")
    assert "kb calibrate" in room.reason
    # Of two limits the lower one is reported, and a lower batch of the preset's needs no reason.
    flat = replace(full, batches=rows((1, 50), (2, 100), (4, 99)))
    room = estimate_memory("whisper", "demo", manager, [flat]).max_batch(preset("max"), manager)
    assert room.size == 2 and "no faster" in room.reason
    small = replace(preset("max"), batch_size=2)
    assert estimate_memory("whisper", "demo", manager, [full]).max_batch(
        small, manager
    ) == BatchCeiling(2)
    assert replace(full, batches=(), refused=1).largest_fitting_batch == 1
    assert replace(full, refused=0).largest_fitting_batch == 0
    here = replace(full, host=socket.gethostname())
    plan = ThroughputEstimator(get_settings(), [here], ()).estimate(
        preset("stabil"), RunOptions(model="demo")
    )
    assert plan.batch == 4 and "8 at a time did not fit" in plan.batch_reason


def test_forecasts_come_from_calibration_else_from_past_items_else_not_at_all(
    clean_environment: Path,
) -> None:
    service = Service(get_settings())
    options = RunOptions(model="large-v3")
    unknown = {f.preset: f for f in service.machines.estimates(options)}
    assert list(unknown) == ["stabil", "optimiert", "schnell", "max"]
    assert {f.rtfx for f in unknown.values()} == {None}
    assert "kb calibrate" in unknown["max"].basis
    assert not get_settings().home.exists()  # asking makes nothing
    catalogue = service.queue.database
    transcript = Transcript(
        MediaRef("x", "", 120.0), (), "en", "whisper", "large-v3", "max", Coverage(0, 0),
        Timing(asr_s=3.0, align_s=1.0, total_s=9.0, media_s=120.0),
    )  # fmt: skip
    record_throughput(catalogue, "one", "file:1", 1, transcript)
    record_throughput(catalogue, "one", "file:2", 1, with_taken_words(transcript))
    past = {f.preset: f for f in service.machines.estimates(options)}
    assert past["max"].rtfx == 30.0 and past["max"].basis == "the last item"
    assert service.machines.estimates(RunOptions(model="medium"))[0].rtfx is None
    # A measurement of this machine counts for more.
    made = measured(decode_rtfx=4000.0, detect_rtfx=4000.0)
    write_calibration(catalogue, made)
    write_calibration(catalogue, replace(made, took_s=2.0))  # takes the first one's place
    write_calibration(catalogue, measured(host="elsewhere", batches=rows((1, 9999))))
    assert len(service.machines.calibrations()) == 2
    found = {f.preset: f for f in service.machines.estimates(options)}
    assert [found[name].rtfx for name in ("stabil", "optimiert", "max")] == [400, 800, 800]
    assert "measured" in found["max"].basis
    # large-v3 in 22 GB: caches, the next batch in the encoder, and the weights do not fit for 56.
    assert 32 <= found["max"].batch < 36 and "GB are left" in found["max"].batch_reason
    assert 20 * GB < found["max"].memory_bytes <= 22 * GB
    assert found["stabil"].batch == 8 and found["stabil"].batch_reason == ""
    assert service.machines.estimate(replace(options, preset="max", batch_size=4)).batch == 4
    service.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_calibrating_measures_every_part_and_feeds_the_plan(clean_environment: Path) -> None:
    service = Service(get_settings())
    shares: list[float] = []
    options = RunOptions(model="demo")
    found = service.machines.calibrate(service.transcription.options(options), 4.0, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert found.decode_rtfx > 1 and found.detect_rtfx > 1
    assert found.batches[0].batch == 1
    assert all(each.hear_s > 0 and each.decode_s > 0 and each.rtfx > 0 for each in found.batches)
    assert 5 < found.window_s <= 30 and found.model == "demo" and found.refused == 0
    assert {"python", "torch", "transformers", "kb-ingest"} <= set(found.versions)
    assert service.machines.calibrations() == [found]
    plan = service.ingest.scan(str(calibrate.SAMPLES), options=options)
    assert plan.estimate_s is not None and plan.recognition_s is not None
    speed = service.machines.estimate(options).rtfx
    assert speed is not None and plan.recognition_s == pytest.approx(plan.audio_s / speed)
    # The recognizer that is loaded afterwards knows of it.
    service.inference_session.prepare(service.transcription.options(options))
    batch = service.inference_session.snapshot().batch
    assert batch is not None and batch.size >= 1
    service.close()


@pytest.mark.slow
def test_a_batch_that_does_not_fit_ends_the_row() -> None:
    window = Window(0, 0.0, np.zeros(16_000, np.float32))

    def fails(windows: object) -> None:
        if len(windows) > 2:  # type: ignore[arg-type]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    manager = GPUManager("cpu", cpu_threads=1)
    engine = Oracle((), fails=fails)  # type: ignore[arg-type]
    found, refused = _batches(engine, manager, [window], [1, 2, 4, 8], 2.0, lambda _: None)
    assert [each.batch for each in found] == [1, 2] and refused == 4

    def breaks(_windows: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with raises(GPUError, "device.failed") as caught:
        _batches(Oracle((), fails=breaks), manager, [window], [1, 2], 0.5, lambda _: None)  # type: ignore[arg-type]
    assert "illegal memory access" in caught.value.values["cause"]


def test_bytes_of_a_window_are_the_slope_of_the_peaks() -> None:
    peaks = [replace(row, peak_bytes=100 + 7 * row.batch) for row in rows((1, 1), (4, 2), (9, 3))]
    assert _slope(peaks) == 7
    assert _slope(peaks[:1]) == _slope(list(rows((1, 1), (2, 1)))) == 0


# Values that the user interfaces get


def snapshot(at: float, **more: object) -> Snapshot:
    values: dict[str, object] = {
        "device": CARD, "engine": "whisper", "model": "large-v3", "preset": "max",
        "batch": BatchState(16, 56, "room for 16", last=16, waiting=9, items=3),
        "sample": Sample(at, 0.5, 1, 2, gpu=0.9, temperature_c=70.0), **more,
    }  # fmt: skip
    return Snapshot(**values)  # type: ignore[arg-type]


@pytest.mark.usefixtures("lasting_signs")
def test_what_a_worker_tells_is_what_faces_read(clean_environment: Path) -> None:
    settings = get_settings()
    catalogue = Database.open(settings)
    presence = Heartbeat(settings, catalogue)
    presence.acquire()
    (silent,) = read_machines(catalogue)
    assert not silent.live and silent.now is None and silent.bound == "idle"
    teller, now = TelemetryWriter(catalogue, presence.executor), time.time()
    for point in range(3):
        written = snapshot(now + point)
        assert written.sample is not None
        teller.write(
            written, [written.sample, replace(written.sample, gpu=0.7)], 1, "the GPU failed"
        )
        teller._history_written_at -= POINT_EVERY_S
    (machine,) = read_machines(catalogue)
    assert machine.live and machine.snapshot == written and machine.now == written.sample
    assert (machine.restarts, machine.trouble) == (1, "the GPU failed")
    assert [round(sample.gpu or 0, 3) for sample in machine.history] == [0.8, 0.8, 0.8]
    assert machine.rtfx_hour is None
    transcript = Transcript(
        MediaRef("x", "", 0), (), "en", "whisper", "large-v3", "max", Coverage(0, 0),
        Timing(asr_s=8.0, align_s=2.0, total_s=50.0, media_s=600.0),
    )  # fmt: skip
    for run in (1, 1, 2):  # written twice is there once
        record_throughput(catalogue, presence.executor, "file:1", run, transcript)
    (machine,) = read_machines(catalogue)
    assert (machine.rtfx_hour, machine.items_hour, machine.media_hour_s) == (60.0, 2, 1200.0)
    assert [speed.rtfx for speed in read_speeds(catalogue, item_ids=["file:1"])] == [60.0, 60.0]
    assert read_speeds(catalogue, item_ids=["file:2"]) == []
    record_throughput(catalogue, presence.executor, "file:3", 1, with_taken_words(transcript))
    assert read_speeds(catalogue, item_ids=["file:3"])[0].rtfx == 0
    (machine,) = read_machines(catalogue)
    assert (machine.rtfx_hour, machine.items_hour, machine.media_hour_s) == (60.0, 3, 1800.0)
    document = json.loads(json.dumps(machine.as_dict()))
    assert document["batch"]["reason"] == "room for 16" and len(document["history"]) == 3
    service = Service(settings)
    assert service.machines.current() == service.machines.list()[0]
    assert service.machines.current().executor_id == presence.executor
    (line, trouble) = machine_lines([machine])
    assert "batch 16 (room for 16)" in line.plain and "60× real time" in line.plain
    assert "GPU 90%, 70 °C" in line.plain and "the GPU failed" in trouble.plain
    nameless = Snapshot(replace(machine.device, name=""))
    assert machine_lines([Machine("", "here", False, 9.0, nameless, None)]) == []
    (line,) = machine_lines([Machine("gpu-2", "here", False, 9.0, nameless, None)])
    assert line.plain == "Machine gpu-2: no model is loaded"
    presence.release()
    assert read_machines(catalogue) == []
    alone = service.machines.current()
    assert alone.executor_id == "" and alone.now is not None and alone.device.name
    service.close()
    catalogue.close()


@pytest.mark.usefixtures("lasting_signs")
def test_a_row_of_another_version_does_no_harm(clean_environment: Path) -> None:
    settings = get_settings()
    catalogue = Database.open(settings)
    presence = Heartbeat(settings, catalogue)
    presence.acquire()
    written = snapshot(time.time())
    TelemetryWriter(catalogue, presence.executor).write(written, [], 0, "")
    broken = written.as_dict() | {"device": {"unheard": "of"}}
    from kb.database import machines

    with catalogue.begin() as connection:
        connection.execute(machines.update().values(now={"snapshot": broken}))
    (machine,) = read_machines(catalogue)
    assert machine.live and machine.now is None
    presence.release()
    catalogue.close()


@pytest.mark.parametrize(
    ("more", "bound"),
    [
        ({}, "recognition"),
        ({"batch": None}, "loading"),
        ({"batch": None, "model": ""}, "idle"),
        ({"throttle": Throttle(0.3, "hot")}, "throttle"),
        ({"batch": BatchState(16, 16, "", last=3, items=1), "media": 1}, "preparation"),
        ({"batch": BatchState(16, 16, "", last=3)}, "idle"),
    ],
)
def test_what_keeps_it_from_being_faster(more: dict[str, object], bound: str) -> None:
    assert snapshot(0.0, **more).bound == bound


def at_work(used_gb: float, batch: BatchState, **more: object) -> Machine:
    """A machine with a card and a budget of 22 GB, of which so much was used at most."""
    sample = Sample(9.0, 0.5, 1, 2, gpu=0.9, own_used=GB, own_peak=int(used_gb * GB))
    written = snapshot(9.0, batch=batch, sample=sample, **more)
    return Machine("one", "here", True, 9.0, written, sample)


@pytest.mark.parametrize(
    ("used_gb", "batch", "limit", "words"),
    [
        (20.5, {}, "full", "20.5 of the budget of 22 GB in use (93%)"),
        (5.5, {"last": 3, "waiting": 2}, "work", "(25%): too few windows wait"),
        (5.5, {"size": 8, "last": 8, "reason": "memory ran out with 16 windows"},
         "device", "(25%): memory ran out with 16 windows"),
        (5.5, {}, "preset", "ends at 16 windows a batch (more: --preset schnell or --batch-size"),
        (5.5, {"size": 56, "ceiling": 56, "last": 56, "window_bytes": 0},
         "preset", "the preset ends at 56 windows a batch"),
    ],
)  # fmt: skip
def test_what_became_of_the_memory_budget(
    used_gb: float, batch: dict[str, object], limit: str, words: str
) -> None:
    figures: dict[str, object] = {
        "size": 16, "ceiling": 16, "reason": "the preset's most is 16", "last": 16, "waiting": 20,
        "batches": 5, "window_bytes": GB // 4, **batch,
    }  # fmt: skip
    machine = at_work(used_gb, BatchState(**figures))  # type: ignore[arg-type]
    use = machine.budget
    assert use is not None and use.limit == limit
    presets = list(load_presets().values())
    assert words in use.describe(presets)
    # 14.3 GB are missing to nine tenths of 22 GB: 58 windows of a quarter GB.
    assert use.filling == (74 if words.endswith("--batch-size") else 0)
    (line, *_) = machine_lines([machine], presets)
    assert words in line.plain
    assert words in check_worker(machine, presets).detail
    assert machine.as_dict()["budget"]["limit"] == limit


def test_an_unknown_budget_is_not_made_up() -> None:
    batch = BatchState(16, 16, "the preset's most is 16", last=16, batches=1)
    assert at_work(5, batch).budget is not None
    for machine in (
        at_work(0, batch),
        at_work(5, replace(batch, batches=0)),
        at_work(5, batch, device=CPU),
        replace(at_work(5, batch), memory_outside_torch=True),
    ):
        used = replace(machine.now, own_used=machine.now.own_peak) if machine.now else None
        assert replace(machine, now=used).budget is None
        assert replace(machine, now=used).as_dict()["budget"] is None


@pytest.mark.usefixtures("lasting_signs")
def test_a_machine_knows_whether_torch_counts_its_engines_memory(clean_environment: Path) -> None:
    settings = get_settings()
    catalogue = Database.open(settings)
    presence = Heartbeat(settings, catalogue)
    presence.acquire()
    telemetry = TelemetryWriter(catalogue, presence.executor)
    batch = BatchState(16, 16, "the preset's most is 16", last=16, batches=1)
    sample = Sample(time.time(), 0.5, 1, 2, gpu=0.9, own_used=GB, own_peak=5 * GB)
    for engine, counted in (("whisper", True), ("faster-whisper", False), ("unknown", True)):
        state = snapshot(sample.at, engine=engine, batch=batch, sample=sample)
        telemetry.write(state, [sample], 0, "")
        (machine,) = read_machines(catalogue)
        assert machine.memory_outside_torch is not counted
        assert (machine.budget is not None) is counted
    presence.release()


def test_tables_show_what_matters() -> None:
    found = measured(batches=rows((1, 50), (2, 100), (4, 99)), refused=8)
    forecast = Estimate("max", 812.0, "measured", 54, "12.1 GB are left", 21 * GB)
    lines = calibration_table(found, [forecast])
    text = " ".join(line.plain for line in lines if hasattr(line, "plain"))
    for word in ("large-v3", "A Card", "8 windows did not fit", "812×", "12.1 GB are left"):
        assert word in text
    table = models_table(
        [ModelFacts("tiny", "openai/whisper-tiny", "whisper", 99, 1, 151_000_000, 10, 20)]
    )
    assert len(table.rows) == 1 and table.rows[0][3] == "151 MB"
