"""The whole way on a device: files, ffmpeg, detection, batches, words, in the worker's process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
from kb.inference.process import InferenceProcess
from kb.inference.serving import serve
from kb.inference.session import InferenceSession
from kb.options import RunOptions
from kb.settings import Settings
from tests.support.compose import write_wav

_TOKENS = "KB_BENCH_TOKENS"  # the tokens of a window, for the model's process
PIPELINE = "transformers pipeline"
LEAST_SHARE = 0.85  # of the speed of the engine alone at the same batch
LEAST_BUSY = 0.80  # of the time, by the card's driver
_BATCHES = "KB_BENCH_BATCHES"  # the file into which the model's process writes its batches


@dataclass(frozen=True)
class Batch:
    """One batch of the model's thread: its times (time.monotonic), sound and CPU seconds."""

    began: float
    ended: float
    windows: int
    audio_s: float
    cpu_s: float


@dataclass(frozen=True)
class WholeWay:
    """The figures of one run over all files, after a warm-up with the first ones.

    The first and the last batch are not counted. `busy`: the card's mean busy share by its driver,
    None where it has none.
    """

    speed: float  # seconds of sound per second
    wall_s: float
    batch_s: float  # seconds of a batch in the model's thread
    host_s: float  # CPU seconds of that thread for a batch
    between_s: float  # seconds from one batch to the next
    windows: float  # windows of a batch
    busy: float | None

    @classmethod
    def of(cls, batches: Sequence[Batch], wall_s: float, busy: float | None) -> WholeWay:
        """Return the figures of the batches. Raises ValueError for fewer than three."""
        if len(batches) < 3:
            raise ValueError(f"{len(batches)} batches are too few: the first and last do not count")
        counted = batches[1:-1]
        span_s = counted[-1].ended - batches[0].ended
        busy_s = sum(batch.ended - batch.began for batch in counted)
        return cls(
            sum(batch.audio_s for batch in counted) / span_s,
            wall_s,
            busy_s / len(counted),
            sum(batch.cpu_s for batch in counted) / len(counted),
            (span_s - busy_s) / len(counted),
            sum(batch.windows for batch in counted) / len(counted),
            busy,
        )


def write_model(folder: Path, shape: Shape, manager: GPUManager) -> Path:
    """Write a model of random weights in a shape; return its folder."""
    made = folder / shape.name
    write_random(
        made, width=shape.width, heads=shape.heads, layers=shape.decoder_layers, seed=0,
        encoder_layers=shape.encoder_layers, mels=128, dtype=manager.dtype,
    )  # fmt: skip
    return made


def write_files(folder: Path, count: int, seconds: float, distinct: int = 4) -> list[Path]:
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
    """Run the model's process with the number of tokens that each window gets; note batches."""
    import kb.asr.engines.whisper.greedy_search as greedy
    from kb.asr.batching.batcher import Batcher

    greedy.MAX_NEW_TOKENS = int(os.environ[_TOKENS])
    process = Batcher._process

    def noted(batcher: Batcher, jobs: list[Any], prepared: Any = None) -> Exception | None:
        began, cpu_s = time.monotonic(), time.thread_time()
        error = process(batcher, jobs, prepared)
        ended, audio_s = time.monotonic(), sum(job.window.medium_s for job in jobs)
        if error is None:
            batch = Batch(began, ended, len(jobs), audio_s, time.thread_time() - cpu_s)
            with Path(os.environ[_BATCHES]).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(batch)) + "\n")
        return error

    Batcher._process = noted  # type: ignore[method-assign]
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
    noted = model.parent / "batches.jsonl"
    with _environment(tokens, noted), ThreadPoolExecutor(in_flight) as pool:
        process = InferenceProcess(settings, chosen.preset.workers, main=serve_with_tokens)
        try:
            warm = list(paths[: max(1, min(in_flight, len(paths) // 4))])
            list(pool.map(lambda path: process.transcribe(path, chosen), warm))
            noted.unlink(missing_ok=True)
            process.drain_samples()
            began = time.perf_counter()
            list(pool.map(lambda path: process.transcribe(path, chosen), paths))
            wall_s = time.perf_counter() - began
            busy = [s.gpu for s in process.drain_samples() if s.gpu is not None]
        finally:
            process.close()
            session.close()
    batches = [Batch(**json.loads(line)) for line in noted.read_text().splitlines()]
    return WholeWay.of(batches, wall_s, float(np.mean(busy)) if busy else None)


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
def _environment(tokens: int, batches: Path) -> Iterator[None]:
    """Set the variables that the model's process reads in `serve_with_tokens`."""
    os.environ[_TOKENS], os.environ[_BATCHES] = str(tokens), str(batches)
    batches.unlink(missing_ok=True)
    try:
        yield
    finally:
        del os.environ[_TOKENS], os.environ[_BATCHES]


WHOLE_HEAD = ["model", "way", "× real time", "windows a batch", "s a batch",
              "host s a batch", "s between", "engine alone, s", "whole ÷ engine alone",
              "GPU busy", "note"]  # fmt: skip


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
    tiny: bool = False,
) -> list[list[str]]:
    """Return the rows of the whole way: each preset and the pipeline, for each shape.

    `presets`: the first one is measured for each shape before the pipeline, the others after it.
    The engine alone is timed at the whole way's mean batch. A row that fails names its reason; no
    row begins after `until` (time.monotonic).
    """
    rows: list[list[str]] = []
    paths = write_files(folder / "files", files, seconds)

    def add(*cells: str, note: str = "") -> None:
        rows.append([*cells, *[""] * (len(WHOLE_HEAD) - 1 - len(cells)), note])

    models: dict[str, Path] = {}
    first, *others = presets
    plan = [(shape, preset) for shape in shapes for preset in (first, PIPELINE)]
    plan += [(shape, preset) for shape in shapes for preset in others]
    for shape, preset in plan:
        theirs = preset == PIPELINE
        name = f"{PIPELINE}, {pipeline_batch}" if theirs else f"preset {preset}"
        if time.monotonic() > until:
            add(shape.name, name, note="no time left")
            continue
        try:
            if shape.name not in models:
                models[shape.name] = write_model(folder, shape, manager)
            model = models[shape.name]
            if theirs:
                speed = pipeline_whole_way(model, paths, seconds, manager, pipeline_batch, tokens)
                figure(f"{shape.name}, whole way, pipeline", speed, "x real time")
                add(shape.name, name, f"{speed:.1f}")
                continue
            options = RunOptions(preset=preset, batch_size=batch_size)
            found = whole_way(model, paths, seconds, settings, options, tokens)
            alone_s = _engine_alone_s(shape, manager, max(1, round(found.windows)), tokens)
        except Exception as error:  # one failed row must not end the others
            add(shape.name, name, note=f"{type(error).__name__}: {error}"[:120])
            continue
        way = f"{shape.name}, whole way, {preset}"
        alone = found.speed * alone_s / (round(found.windows) * WINDOW_S)
        figure(way, found.speed, "x real time")
        figure(f"{way} ÷ engine alone", alone, "", at_least=None if tiny else LEAST_SHARE)
        figure(f"{way}, windows of a batch", found.windows, "")
        figure(f"{way}, a batch", found.batch_s, "s")
        figure(f"{way}, host time of a batch", found.host_s, "CPU s")
        figure(f"{way}, between two batches", found.between_s, "s")
        if found.busy is not None:
            figure(f"{way}, GPU busy", found.busy, "", at_least=LEAST_BUSY)
        add(
            shape.name,
            name,
            f"{found.speed:.1f}",
            f"{found.windows:.1f}",
            f"{found.batch_s:.2f}",
            f"{found.host_s:.3f}",
            f"{found.between_s:.2f}",
            f"{alone_s:.2f}",
            f"{alone:.2f}",
            "" if found.busy is None else f"{100 * found.busy:.0f} %",
        )
    return rows


def _engine_alone_s(shape: Shape, manager: GPUManager, batch: int, tokens: int) -> float:
    """Return the seconds of a batch by the engine's parts alone, the second time."""
    import kb.asr.engines.whisper.greedy_search as greedy

    before, greedy.MAX_NEW_TOKENS = greedy.MAX_NEW_TOKENS, tokens
    try:
        bench = Bench(shape, manager, tokens)
        loop = bench.loop(batch)
        bench.run_ours(batch, loop)
        return bench.run_ours(batch, loop).total_s
    finally:
        greedy.MAX_NEW_TOKENS = before
        manager.cleanup()
