"""The whole way on a device: files, ffmpeg, detection, batches, words, in the worker's process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.common import figure
from benchmarks.support.gpu_bench import WINDOW_S, Bench, Shape
from benchmarks.support.peers import ffmpeg_on_path
from benchmarks.support.talks import talk
from benchmarks.support.weights import write_random
from gpu.manager import GPUManager
from gpu.status import BatchState
from kb.inference.process import InferenceProcess
from kb.inference.serving import serve
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import Settings
from tests.support.compose import write_wav

_TOKENS = "KB_BENCH_TOKENS"  # the tokens of a window, for the model's process
_SNAPSHOT_S = 3.0  # the process reports its state at this interval


@dataclass(frozen=True)
class WholeWay:
    """The figures of one run over all files, after a warm-up with the first ones.

    `busy`: the card's mean busy share by its driver, None where it has none.
    """

    speed: float  # seconds of sound per second
    wall_s: float
    batch_s: float  # seconds of a batch in the model's thread
    windows: float  # windows of a batch
    busy: float | None


def write_model(folder: Path, shape: Shape, manager: GPUManager) -> Path:
    """Write a model of random weights in a shape; return its folder."""
    made = folder / shape.name
    write_random(
        made, width=shape.width, heads=shape.heads, layers=shape.decoder_layers, seed=0,
        encoder_layers=shape.encoder_layers, mels=128, dtype=manager.dtype,
    )  # fmt: skip
    return made


def write_files(folder: Path, count: int, seconds: float, distinct: int = 8) -> list[Path]:
    """Write `count` FLAC files of speech; a few different ones, repeated under other names."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(5)
    made = [
        write_wav(folder / f"talk{n}.flac", talk(seconds, 0.15, rng))
        for n in range(min(distinct, count))
    ]
    paths = list(made)
    for number, source in islice(enumerate(cycle(made)), len(made), count):
        path = folder / f"talk{number}.flac"
        path.hardlink_to(source)
        paths.append(path)
    return paths


def serve_with_tokens(*given: Any, **named: Any) -> None:
    """Run the model's process with the number of tokens that each window gets."""
    import kb.asr.engines.whisper.greedy_search as greedy

    greedy.MAX_NEW_TOKENS = int(os.environ[_TOKENS])
    serve(*given, **named)


def whole_way(
    model: Path,
    paths: Sequence[Path],
    seconds: float,
    settings: Settings,
    options: RunOptions,
    tokens: int,
) -> WholeWay:
    """Read all files as a worker does, as many at once as its preset allows."""
    settings = settings.model_copy(update={"repair_share": 0.0})
    session = InferenceSession(settings)
    chosen = session.transcription_options(
        replace(options, model=str(model), engine="whisper", language="en")
    )
    in_flight = 2 * chosen.preset.batch_size
    with _tokens(tokens), ThreadPoolExecutor(in_flight) as pool:
        process = InferenceProcess(settings, chosen.preset.workers, main=serve_with_tokens)
        try:
            warm = list(paths[: max(1, min(in_flight, len(paths) // 4))])
            list(pool.map(lambda path: process.transcribe(path, chosen), warm))
            before = _batch_state(process)
            process.drain_samples()
            began = time.perf_counter()
            list(pool.map(lambda path: process.transcribe(path, chosen), paths))
            wall_s = time.perf_counter() - began
            busy = [s.gpu for s in process.drain_samples() if s.gpu is not None]
            after = _batch_state(process)
        finally:
            process.close()
            session.close()
    batches = max(1, after.batches - before.batches)
    return WholeWay(
        len(paths) * seconds / wall_s,
        wall_s,
        (after.busy_s - before.busy_s) / batches,
        (after.windows - before.windows) / batches,
        float(np.mean(busy)) if busy else None,
    )


def pipeline_whole_way(
    model: Path,
    paths: Sequence[Path],
    seconds: float,
    manager: GPUManager,
    batch: int,
    tokens: int,
) -> float:
    """Return the speed of transformers' pipeline over the same files, in seconds per second."""
    import transformers

    ffmpeg_on_path(model.parent / "bin")
    asr = transformers.pipeline(
        "automatic-speech-recognition",
        model=str(model),
        dtype=manager.dtype,
        device=manager.device,
        chunk_length_s=30,
    )
    generation = {
        "num_beams": 1, "do_sample": False, "language": "en", "task": "transcribe",
        "max_new_tokens": tokens, "min_new_tokens": tokens,
    }  # fmt: skip

    def run(some: Sequence[Path]) -> float:
        began = time.perf_counter()
        asr([str(path) for path in some], batch_size=batch, generate_kwargs=generation)
        return time.perf_counter() - began

    run(paths[:1])
    return len(paths) * seconds / run(paths)


@contextmanager
def _tokens(count: int) -> Iterator[None]:
    os.environ[_TOKENS] = str(count)
    try:
        yield
    finally:
        del os.environ[_TOKENS]


def _batch_state(process: InferenceProcess) -> BatchState:
    """Return the newest state of the batches, once the process has reported it."""
    time.sleep(_SNAPSHOT_S)
    snapshot = process.snapshot
    if snapshot is None or snapshot.batch is None:
        return BatchState(0, 0, "")
    return snapshot.batch


WHOLE_HEAD = ["model", "way", "× real time", "windows a batch", "s a batch", "engine alone, s",
              "whole ÷ engine alone", "GPU busy", "note"]  # fmt: skip


def measure_whole(
    shapes: Sequence[Shape],
    presets: Sequence[str],
    manager: GPUManager,
    settings: Settings,
    folder: Path,
    until: float,
    *,
    files: int,
    seconds: float,
    tokens: int,
    pipeline_batch: int,
    batch_size: int | None = None,
) -> list[list[str]]:
    """Return the rows of the whole way: each preset and the pipeline, for each shape.

    The engine alone is timed at the whole way's mean batch. A row that fails names its reason; no
    row begins after `until` (time.monotonic).
    """
    rows: list[list[str]] = []
    paths = write_files(folder / "files", files, seconds)

    def add(*cells: str, note: str = "") -> None:
        rows.append([*cells, *[""] * (len(WHOLE_HEAD) - 1 - len(cells)), note])

    for shape in shapes:
        model = write_model(folder, shape, manager)
        for preset in presets:
            name = f"preset {preset}"
            if time.monotonic() > until:
                add(shape.name, name, note="no time left")
                continue
            try:
                options = RunOptions(preset=preset, batch_size=batch_size)
                found = whole_way(model, paths, seconds, settings, options, tokens)
                alone_s = _engine_alone_s(shape, manager, max(1, round(found.windows)), tokens)
            except Exception as error:  # one failed row must not end the others
                add(shape.name, name, note=f"{type(error).__name__}: {error}"[:120])
                continue
            figure(f"{shape.name}, whole way, {preset}", found.speed, "x real time")
            add(
                shape.name,
                name,
                f"{found.speed:.1f}",
                f"{found.windows:.1f}",
                f"{found.batch_s:.2f}",
                f"{alone_s:.2f}",
                f"{found.speed * alone_s / (round(found.windows) * WINDOW_S):.2f}",
                "" if found.busy is None else f"{100 * found.busy:.0f} %",
            )
        name = f"transformers pipeline, {pipeline_batch}"
        if time.monotonic() > until:
            add(shape.name, name, note="no time left")
            continue
        try:
            speed = pipeline_whole_way(model, paths, seconds, manager, pipeline_batch, tokens)
        except Exception as error:
            add(shape.name, name, note=f"{type(error).__name__}: {error}"[:120])
            continue
        figure(f"{shape.name}, whole way, pipeline", speed, "x real time")
        add(shape.name, name, f"{speed:.1f}")
    return rows


def _engine_alone_s(shape: Shape, manager: GPUManager, batch: int, tokens: int) -> float:
    """Return the seconds of a batch by the engine's parts alone, the second time."""
    import kb.asr.engines.whisper.greedy_search as greedy

    before, greedy.MAX_NEW_TOKENS = greedy.MAX_NEW_TOKENS, tokens
    try:
        bench = Bench(shape, manager, tokens)
        loop = bench.loop()
        bench.run_ours(batch, loop)
        return bench.run_ours(batch, loop).total_s
    finally:
        greedy.MAX_NEW_TOKENS = before
        manager.cleanup()
