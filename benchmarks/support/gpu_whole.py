"""The whole way on a device: files, ffmpeg, detection, batches, words, in the worker's process."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.common import figure
from benchmarks.support.gpu_bench import WINDOW_S, Bench, Shape
from benchmarks.support.gpu_feed import LEAST_BATCHES, Batch, CoreMeter, Cores, Feed, read_batches
from benchmarks.support.peers import ffmpeg_on_path
from benchmarks.support.spoken_text import FILE, replace_texts, write_said
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
SAID = "said.json"
# The text that is checked: as a real model gives it, and the worst case, every word in doubt.
SPOKEN, RANDOM = "words of the talk", "random words"
WARM_BATCHES = 3
LONGEST_WARM_S = 60.0


@dataclass(frozen=True)
class WholeWay:
    """The figures of some time of reading, after a warm-up.

    The first and the last batch are not counted. `busy`: the card's mean busy share by its driver,
    None where it has none; `cores`: those that the processes used, None where it was not measured.
    """

    speed: float  # seconds of sound per second
    wall_s: float
    batch_s: float  # seconds of a batch in the model's thread
    host_s: float  # CPU seconds of that thread for a batch
    between_s: float  # seconds from one batch to the next
    windows: float  # windows of a batch
    busy: float | None
    cores: Cores | None = None

    @classmethod
    def of(
        cls,
        batches: Sequence[Batch],
        wall_s: float,
        busy: float | None,
        cores: Cores | None = None,
    ) -> WholeWay:
        """Return the figures of the batches. Raises ValueError for fewer than three."""
        if len(batches) < LEAST_BATCHES:
            raise ValueError(
                f"{len(batches)} batches in {wall_s:.0f} s are too few: the first and last do not "
                "count"
            )
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
            cores,
        )


def write_model(folder: Path, shape: Shape, manager: GPUManager) -> Path:
    """Write a model of random weights in a shape; return its folder."""
    made = folder / shape.name
    write_random(
        made, width=shape.width, heads=shape.heads, layers=shape.decoder_layers, seed=0,
        encoder_layers=shape.encoder_layers, mels=128, dtype=manager.dtype,
    )  # fmt: skip
    return made


def write_files(folder: Path, count: int, seconds: float) -> list[Path]:
    """Write one talk as a FLAC file under `count` names, and its words into `said.json` beside."""
    folder.mkdir(parents=True)
    said = talk(seconds, 0.15, np.random.default_rng(5))
    write_said(said.words, folder / SAID)
    first, *others = [folder / f"talk{number}.flac" for number in range(count)]
    write_wav(first, said)
    for path in others:
        path.hardlink_to(first)
    return [first, *others]


def serve_with_tokens(*given: Any, **named: Any) -> None:
    """Run the model's process with the number of tokens that each window gets; note batches."""
    import kb.asr.engines.whisper.greedy_search as greedy
    from kb.asr.batching.batcher import Batcher
    from kb.asr.engines.whisper.engine import WhisperEngine

    greedy.MAX_NEW_TOKENS = int(os.environ[_TOKENS])
    if FILE in os.environ:
        replace_texts(WhisperEngine)
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
    settings: Settings,
    options: RunOptions,
    tokens: int,
    measured_s: float,
    longest_s: float,
    said: Path | None = None,
) -> WholeWay:
    """Read files as a worker does, as many at once as its preset allows, for `measured_s` seconds.

    The time begins after a warm-up, and is longer, up to `longest_s`, only while there are fewer
    than three batches. So a slow run gives its figures as well. `said`: file of the words
    that replace the engine's.
    """
    settings = settings.model_copy(update={"repair_share": 0.0})
    session = InferenceSession(settings)
    chosen = session.transcription_options(
        replace(options, model=str(model), engine="whisper", language="en")
    )
    in_flight = 2 * chosen.preset.batch_size
    noted = model.parent / "batches.jsonl"
    with environment(tokens, noted, said):
        process = InferenceProcess(settings, chosen.preset.workers, main=serve_with_tokens)
        feed = Feed(process, chosen, paths)
        try:
            with feed.running(in_flight):
                # The first batches compile and fill the queue; loading the model is among them.
                feed.wait(
                    lambda: len(read_batches(noted)) >= WARM_BATCHES and feed.ended > 0,
                    time.monotonic() + LONGEST_WARM_S,
                )
                process.drain_samples()
                pid = process.pid
                meter = CoreMeter(pid) if pid else None
                began = time.monotonic()
                feed.wait(lambda: time.monotonic() >= began + measured_s, math.inf)
                feed.wait(
                    lambda: len(read_batches(noted, began)) >= LEAST_BATCHES,
                    began + longest_s,
                )
                ended = time.monotonic()
                cores = meter.cores() if meter else None
                busy = [s.gpu for s in process.drain_samples() if s.gpu is not None]
        finally:
            process.close()
            session.close()
    batches = read_batches(noted, began, ended)
    return WholeWay.of(batches, ended - began, float(np.mean(busy)) if busy else None, cores)


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
def environment(tokens: int, batches: Path, said: Path | None) -> Iterator[None]:
    """Set the variables that the model's process reads in `serve_with_tokens`, and its readers."""
    given = {_TOKENS: str(tokens), _BATCHES: str(batches)}
    given |= {FILE: str(said)} if said else {}
    os.environ.update(given)
    batches.unlink(missing_ok=True)
    try:
        yield
    finally:
        for name in given:
            del os.environ[name]


WHOLE_HEAD = ["model", "way", "× real time", "windows a batch", "s a batch",
              "host s a batch", "s between", "engine alone, s", "whole ÷ engine alone",
              "GPU busy", "cores: model / readers / ffmpeg", "note"]  # fmt: skip


@dataclass(frozen=True)
class Load:
    """What the whole way is measured with.

    `paths`: files of `seconds` each, all of one talk whose words are in the file `said`; `tokens`
    of a window; `measured_s`: time of a row after its warm-up, at most `longest_s` if that has too
    few batches; `targets`: whether figures have any.
    """

    paths: Sequence[Path]
    said: Path
    seconds: float
    tokens: int
    measured_s: float
    longest_s: float
    pipeline_batch: int
    batch_size: int | None = None
    targets: bool = True

    @classmethod
    def written(cls, folder: Path, files: int, seconds: float, **figures: Any) -> Load:
        paths = write_files(folder / "files", files, seconds)
        return cls(paths, paths[0].parent / SAID, seconds, **figures)


def measure_whole(
    shapes: Sequence[Shape],
    presets: Sequence[str],
    manager: GPUManager,
    settings: Settings,
    folder: Path,
    until: float,
    load: Load,
    publish: Callable[[list[str]], None],
) -> None:
    """Publish the rows of the whole way as they are made, for each shape.

    `presets`: with the first one the words of the talk and random words are measured for each
    shape, and the pipeline; after them the others with the words of the talk. The engine alone is
    timed at the whole way's mean batch. A row that fails names its reason; no row begins after
    `until` (time.monotonic).
    """
    models: dict[str, Path] = {}
    first, *others = presets
    plan = [
        (shape, preset, words)
        for shape in shapes
        for preset, words in ((first, SPOKEN), (first, RANDOM), (PIPELINE, ""))
    ]
    plan += [(shape, preset, SPOKEN) for shape in shapes for preset in others]
    for shape, preset, words in plan:
        theirs = preset == PIPELINE
        name = f"{PIPELINE}, {load.pipeline_batch}" if theirs else f"preset {preset}, {words}"
        cells: list[str] = []
        note = ""
        if time.monotonic() > until:
            note = "no time left"
        else:
            try:
                if shape.name not in models:
                    models[shape.name] = write_model(folder, shape, manager)
                model = models[shape.name]
                if theirs:
                    cells = _pipeline_cells(shape, model, manager, load)
                else:
                    cells = _cells(shape, model, preset, words, manager, settings, load)
            except Exception as error:  # one failed row must not end the others
                note = f"{type(error).__name__}: {error}"[:120]
        row = [shape.name, name, *cells]
        publish([*row, *[""] * (len(WHOLE_HEAD) - 1 - len(row)), note])


def _pipeline_cells(shape: Shape, model: Path, manager: GPUManager, load: Load) -> list[str]:
    speed = pipeline_whole_way(
        model, load.paths, load.seconds, manager, load.pipeline_batch, load.tokens
    )
    figure(f"{shape.name}, whole way, pipeline", speed, "x real time")
    return [f"{speed:.1f}"]


def _cells(
    shape: Shape,
    model: Path,
    preset: str,
    words: str,
    manager: GPUManager,
    settings: Settings,
    load: Load,
) -> list[str]:
    """Return the cells of one row of ours, and print its figures."""
    options = RunOptions(preset=preset, batch_size=load.batch_size)
    said = load.said if words == SPOKEN else None
    found = whole_way(
        model, load.paths, settings, options, load.tokens, load.measured_s, load.longest_s, said
    )
    way = f"{shape.name}, whole way, {preset}, {words}"
    figure(way, found.speed, "x real time")
    figure(f"{way}, windows of a batch", found.windows, "")
    figure(f"{way}, a batch", found.batch_s, "s")
    figure(f"{way}, host time of a batch", found.host_s, "CPU s")
    figure(f"{way}, between two batches", found.between_s, "s")
    if found.cores is not None:
        for kind, value in asdict(found.cores).items():
            figure(f"{way}, cores used by: {kind}", value, "cores")
    if found.busy is not None:
        figure(f"{way}, GPU busy", found.busy, "", at_least=LEAST_BUSY)
    cells = [f"{found.speed:.1f}", f"{found.windows:.1f}", f"{found.batch_s:.2f}",
             f"{found.host_s:.3f}", f"{found.between_s:.2f}"]  # fmt: skip
    windows = max(1, round(found.windows))
    try:
        alone_s = _engine_alone_s(shape, manager, windows, load.tokens)
    except Exception as error:  # the row has its figures all the same
        cells += [f"{type(error).__name__}", ""]
    else:
        alone = found.speed * alone_s / (windows * WINDOW_S)
        least = LEAST_SHARE if load.targets and words == SPOKEN else None
        figure(f"{way} ÷ engine alone", alone, "", at_least=least)
        cells += [f"{alone_s:.2f}", f"{alone:.2f}"]
    busy = "" if found.busy is None else f"{100 * found.busy:.0f} %"
    return [*cells, busy, "" if found.cores is None else str(found.cores)]


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
