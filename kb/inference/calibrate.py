"""Measures the speed of this machine with one model: reading, speech detection, encoder, decoder.

Real sound from the bundled samples is processed by the code that transcribes. Each batch size is
measured repeatedly for its share of the time, and the median is used; the first size that does not
fit into memory ends the series. Reading and speech detection are measured on one core, so that an
estimate can give the number of preparations that a fast GPU needs.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from gpu.preset_figures import RANGES
from gpu.throughput import BatchSpeed, Calibration
from kb import __version__
from kb.errors import MediaUnavailable
from kb.inference.memory_fit import estimate_memory
from kb.inference.session import InferenceSession
from kb.inference.transcription_options import TranscriptionOptions
from kb.storage.bundled import BUNDLED

if TYPE_CHECKING:
    from gpu.manager import GPUManager
    from kb.asr.audio.vad import Audio
    from kb.asr.engines.base import Engine
    from kb.asr.windows.windowing import Window

SAMPLES = BUNDLED / "samples"
BATCHES = (1, 2, 4, 8, 16, 32, 56, 112, 224)
PREPARE_SHARE = 0.1  # of the time, for each of reading and detection
LIBRARIES = ("torch", "transformers", "ctranslate2", "faster-whisper", "onnxruntime")

Progress = Callable[[float], None]


def calibrate(
    session: InferenceSession,
    options: TranscriptionOptions,
    seconds: float,
    most: int,
    progress: Progress | None = None,
) -> Calibration:
    """Measure for about `seconds` (loading the model not counted), up to `most` windows at once.

    Raises MediaUnavailable without the samples, and the errors of loading the model.
    """
    report = progress or (lambda _: None)
    began = time.perf_counter()
    sound, media_s, decode_s = _read(PREPARE_SHARE * seconds)
    report(PREPARE_SHARE)
    with session.engine(options) as (engine, manager):
        limit_s = min(options.preset.chunk_s, engine.receptive_field_s)
        windows, detected_s, detect_s = _cut(sound, limit_s, PREPARE_SHARE * seconds)
        report(2 * PREPARE_SHARE)
        baseline_bytes = manager.memory().used
        memory = estimate_memory(options.engine, options.model, manager, (), baseline_bytes)
        most = min(int(RANGES["batch_size"].high), most)
        preset = replace(options.preset, batch_size=most)
        largest = memory.max_batch(preset, manager).size
        rows, refused = _batches(
            engine,
            manager,
            windows,
            [size for size in BATCHES if size <= largest] or [1],
            (1 - 2 * PREPARE_SHARE) * seconds,
            lambda share: report(2 * PREPARE_SHARE + share * (1 - 2 * PREPARE_SHARE)),
        )
        device, threads = manager.describe(), manager.threads
    report(1.0)
    return Calibration(
        at=time.time(),
        host=socket.gethostname(),
        device=device,
        engine=options.engine,
        model=options.model,
        threads=threads,
        cores=_cores(),
        versions=_versions(),
        window_s=round(statistics.mean(window.duration_s for window in windows), 2),
        decode_rtfx=round(media_s / decode_s, 1),
        detect_rtfx=round(detected_s / detect_s, 1),
        batches=tuple(rows),
        window_bytes=_slope(rows),
        refused=refused,
        took_s=round(time.perf_counter() - began, 1),
    )


def _media() -> list[Path]:
    found = sorted(SAMPLES.glob("*.mp4"))
    if not found:
        raise MediaUnavailable(
            "calibration.no_samples",
            "There are no samples to measure with in {folder}.",
            hint="Put the project's samples folder back.",
            folder=SAMPLES,
        )
    return found


def _read(seconds: float) -> tuple[list[Audio], float, float]:
    """Return the samples' sound, the seconds of sound that were read and the seconds of work."""
    from kb.asr import SAMPLE_RATE
    from kb.media.decode import decode

    kept: list[Audio] = []
    media_s, began = 0.0, time.perf_counter()
    for path in _cycle(_media()):
        with decode(path) as stream:
            blocks = list(stream)
        media_s += sum(block.size for block in blocks) / SAMPLE_RATE
        if len(kept) < len(_media()):
            kept.append(np.concatenate(blocks))
        elif time.perf_counter() - began >= seconds:
            break
    return kept, media_s, time.perf_counter() - began


def _cut(sounds: list[Audio], limit_s: float, seconds: float) -> tuple[list[Window], float, float]:
    """Return windows for the recognizer, the seconds of sound searched and the seconds of work."""
    from kb.asr import SAMPLE_RATE
    from kb.asr.audio.vad import CUT_THRESHOLD, SpeechDetector, SpeechRule
    from kb.asr.windows.windowing import WindowCutter

    detector = SpeechDetector()
    sound = np.concatenate(sounds)
    windows: list[Window] = []
    detected_s, detect_s = 0.0, 0.0
    while not windows or detect_s < seconds:
        stream, began = detector.stream(), time.perf_counter()
        probabilities = np.concatenate([stream.push(sound), stream.finish()])
        detect_s += time.perf_counter() - began
        detected_s += sound.size / SAMPLE_RATE
        if not windows:
            cutter = WindowCutter(limit_s, overlap_s=0.0, rule=SpeechRule(CUT_THRESHOLD))
            windows += cutter.push(sound, probabilities, final=True)
    return windows, detected_s, detect_s


def _batches(
    engine: Engine,
    manager: GPUManager,
    windows: list[Window],
    sizes: list[int],
    seconds: float,
    report: Progress,
) -> tuple[list[BatchSpeed], int]:
    """Return the speed of each size, and the first that did not fit into memory (0 if all did).

    The peak is 0 (unknown) on a CPU and for engines that do not use torch.
    """
    from kb.asr.engines import engine_spec

    rows: list[BatchSpeed] = []
    end = time.perf_counter() + seconds
    baseline_bytes = manager.memory().used
    for place, size in enumerate(sizes):
        left_s = end - time.perf_counter()
        # If the device is fully used already, the next size takes about twice as long as this one.
        if rows and left_s < 2 * _total_s(rows[-1]):
            break
        batch = [windows[number % len(windows)] for number in range(size)]
        manager.reset_peak()
        try:
            if manager.on_gpu or not rows:
                _time_batch(engine, batch)  # warm-up: libraries initialize themselves
            rows.append(_measure(engine, batch, left_s / (len(sizes) - place)))
        except Exception as error:
            if not manager.out_of_memory(error):
                from kb.asr.engines.errors import explain

                raise explain(error, manager) from error
            del error
            manager.cleanup()
            return rows, size
        if manager.on_gpu and not engine_spec(engine.name).memory_outside_torch:
            peak = max(0, manager.memory().peak - baseline_bytes)
            rows[-1] = replace(rows[-1], peak_bytes=peak)
        report(min(1.0, 1 - (end - time.perf_counter()) / seconds))
    return rows, 0


def _measure(engine: Engine, batch: list[Window], seconds: float) -> BatchSpeed:
    """Measure one batch size for the given seconds, at least twice if that is quick."""
    runs: list[tuple[float, float, float]] = []
    began = time.perf_counter()
    while not runs or time.perf_counter() - began + sum(runs[-1]) <= seconds:
        runs.append(_time_batch(engine, batch))
    encode_s, decode_s, align_s = (statistics.median(part) for part in zip(*runs, strict=True))
    sound_s = sum(window.duration_s for window in batch)
    return BatchSpeed(
        batch=len(batch),
        hear_s=round(encode_s, 5),
        decode_s=round(decode_s, 5),
        align_s=round(align_s, 5),
        rtfx=round(sound_s / max(1e-9, statistics.median(map(sum, runs))), 2),
    )


def _time_batch(engine: Engine, batch: list[Window]) -> tuple[float, float, float]:
    """Return seconds for encoder, text and word times of one batch; all engines end on the host."""
    began, aligned = time.perf_counter(), engine.align_s
    encoded = engine.encode(batch)
    encoded_at = time.perf_counter()
    languages = [
        max(logprobs, key=logprobs.__getitem__, default="en") for logprobs in encoded.languages
    ]
    engine.decode(encoded, languages)
    align_s = engine.align_s - aligned
    return encoded_at - began, time.perf_counter() - encoded_at - align_s, align_s


def _total_s(row: BatchSpeed) -> float:
    return row.hear_s + row.decode_s + row.align_s


def _slope(rows: list[BatchSpeed]) -> int:
    """Return the bytes of one more window, from the smallest and largest batch; 0 if unknown."""
    if len(rows) < 2 or not rows[-1].peak_bytes:
        return 0
    first, last = rows[0], rows[-1]
    return max(0, (last.peak_bytes - first.peak_bytes) // (last.batch - first.batch))


def _cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(psutil.Process(), "cpu_affinity", None)  # not available on macOS
    with suppress(psutil.Error, OSError):
        if affinity is not None:
            return max(1, len(affinity()))
    return os.cpu_count() or 1


def _versions() -> dict[str, str]:
    found = {"kb-ingest": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _cycle(paths: list[Path]) -> Iterator[Path]:
    while True:
        yield from paths
