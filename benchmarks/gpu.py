"""Whisper large on a GPU: speed by batch size, compared to the limit of the card.

    python benchmarks/gpu.py --whole    within six minutes: files on disk through the worker's own
                                        model process, beside the engine alone and the pipeline
    python benchmarks/gpu.py            within four minutes: the engine alone, on the first GPU
    python benchmarks/gpu.py --full     the same in nine minutes, into docs/performance.md
    python benchmarks/gpu.py --host     the costs of a window on the host, on any machine
    python benchmarks/gpu.py --tiny     the same with small shapes on any machine, as a test; with
                                        --whole the whole way

The models have random weights in the shapes of large-v3-turbo and large-v3, in half precision,
and decode exactly 120 tokens a window. The benchmark measures our engine, our engine with one
option changed at a time, transformers' `generate` and transformers' pipeline. Warm-up and
compilation are timed separately. It prints JSON lines and one table, which grows with every row.
The whole way is measured for a fixed time after its warm-up, with the words of the talk in place
of the random ones (what a real model gives) and with random words (every word is in doubt).
The row of a failed or skipped measurement states the reason. Only this repository is needed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As in the processes of the product (`gpu.threads`); numpy reads it when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Python must find the package `gpu` before this file, which has the same name.
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import kb.asr.engines.whisper.greedy_search as greedy
from benchmarks.support.common import figure
from benchmarks.support.gpu_bench import (
    COMPILED,
    LARGE,
    TOKENS,
    TOY,
    TURBO,
    WINDOW_S,
    Bench,
    Shape,
    Timed,
    applicable_options,
    limit,
    with_option,
)
from benchmarks.support.pages import machine, replace_block, table
from gpu.manager import GPUManager
from gpu.presets import load_presets
from kb.asr import SAMPLE_RATE
from kb.settings import get_settings

BATCHES = (56, 128, 16, 8, 1, 32, 256)  # the most important first
PIPELINE_BATCHES = (16, 56, 128)
LEVERS_AT = 56  # the batch size at which options are compared
LEAST_SHARE = 0.5  # of the computed limit, for turbo at LEVERS_AT
# Seconds after which no measurement starts.
BUDGET_S = {"whole": 5.2 * 60, "engine": 3.4 * 60, "full": 8 * 60.0}
COMPILE_S = 60.0  # a compilation starts only if this much time is left
RECOVERY_S = 40.0  # reserved for the last part
MEASURED_S = 40.0  # of a row of the whole way, after its warm-up
NO_TIME = "no time left"
HEAD = ["model", "windows at once", "× real time", "of the limit", "encoder / decoder / rest %",
        "transformers' generate", "memory", "note"]  # fmt: skip


class Report:
    """A table that grows; `publish` receives the complete table after every row."""

    def __init__(self, publish: Callable[[str], None] = lambda _: None) -> None:
        self.rows: list[list[str]] = []
        self._publish = publish

    def add(self, *cells: str, note: str = "") -> None:
        """Add a row of its first cells and its note, which is the last cell."""
        self.rows.append([*cells, *[""] * (len(HEAD) - 1 - len(cells)), note])
        self._publish(table(HEAD, self.rows))


def best(run: Callable[[], Any], key: Callable[[Any], float], rounds: int = 2) -> Any:
    """Return the fastest of `rounds` results, after one warm-up round that does not count."""
    run()
    return min((run() for _ in range(rounds)), key=key)


def attempt(run: Callable[[], Any], manager: GPUManager) -> tuple[Any, str]:
    """Return the result of `run`, or None and the reason: a failure must not stop other rows."""
    try:
        return run(), ""
    except Exception as error:
        reason = "too large for the memory" if manager.out_of_memory(error) else error_cell(error)
    # The clean-up comes after the handler, when the error's traceback holds no more tensors.
    manager.cleanup()
    return None, reason


def error_cell(error: Exception) -> str:
    """Return an error as the text of a table cell, at most 120 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".replace("|", "/").split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def measure(
    shape: Shape,
    batches: tuple[int, ...],
    manager: GPUManager,
    until: float,
    report: Report,
    tokens: int = TOKENS,
) -> float | None:
    """Add the rows of one shape: the batch sizes, the pipeline, then every option.

    Return the speed at the batch size at which options are compared; None without a result.
    """
    bench, reason = attempt(lambda: Bench(shape, manager, tokens), manager)
    if bench is None:
        report.add(shape.name, note=reason)
        return None
    at = min(LEVERS_AT, max(batches))
    usual: float | None = None
    least_too_large = sys.maxsize
    for place, batch in enumerate(batches):
        if batch > least_too_large:
            continue
        if time.monotonic() > until:
            report.add(shape.name, ", ".join(map(str, batches[place:])), note=NO_TIME)
            break
        timed = by_batch(bench, batch, manager, until, report)
        if batch == at and timed:
            usual = batch * WINDOW_S / timed.total_s
        if timed is None and report.rows[-1][-1].startswith("too large"):
            least_too_large = batch
    pipeline(bench, [b for b in PIPELINE_BATCHES if b <= at] or [at], manager, until, report)
    for lever in applicable_options(manager):
        if time.monotonic() > until:
            report.add(shape.name, f"{at}, {lever}", note=NO_TIME)
        else:
            with_lever(bench, lever, at, usual, manager, report)
            manager.cleanup()
    return usual


def compiled(
    shape: Shape,
    batch: int,
    usual: float | None,
    manager: GPUManager,
    until: float,
    report: Report,
    tokens: int,
) -> None:
    """Add the row of the compiled encoder, at the end (large and turbo have the same encoder)."""
    if time.monotonic() + (COMPILE_S if manager.on_gpu else 0.0) > until:
        report.add(shape.name, f"{batch}, {COMPILED}", note=NO_TIME)
        return
    bench, reason = attempt(lambda: Bench(shape, manager, tokens), manager)
    if bench is None:
        report.add(shape.name, f"{batch}, {COMPILED}", note=reason)
    else:
        with_lever(bench, COMPILED, batch, usual, manager, report)


def by_batch(
    bench: Bench, batch: int, manager: GPUManager, until: float, report: Report
) -> Timed | None:
    """Measure our engine and `generate` at one batch size; return None if ours failed."""
    shape, name = bench.shape, f"{bench.shape.name}, batch {batch}"
    manager.cleanup()
    manager.reset_peak()
    loop = bench.loop(batch)
    timed, reason = attempt(
        lambda: best(lambda: bench.run_ours(batch, loop), lambda t: t.total_s), manager
    )
    memory = memory_gb(manager)
    if timed is None:
        report.add(shape.name, str(batch), note=reason)
        return None
    speed = batch * WINDOW_S / timed.total_s
    most = limit(shape, batch, manager.name)
    least = LEAST_SHARE if shape is TURBO and batch == LEVERS_AT and most else None
    figure(name, speed, "x real time")
    if most:
        figure(f"{name}, share of the limit", speed / most, "", at_least=least)
    theirs, reason = None, f"generate: {NO_TIME}"
    if time.monotonic() < until:
        theirs, reason = attempt(
            lambda: best(lambda: bench.generate(batch), lambda s: s, 1), manager
        )
        reason = reason and f"generate: {reason}"
    parts = (timed.encoder_s, timed.decoder_s, timed.mel_s + timed.host_s)
    report.add(
        shape.name,
        str(batch),
        f"{speed:.0f}",
        f"{100 * speed / most:.0f} %" if most else "not known",
        " / ".join(f"{100 * part / timed.total_s:.0f}" for part in parts),
        f"{batch * WINDOW_S / theirs:.0f}" if theirs else "",
        memory,
        note=reason,
    )
    return timed  # type: ignore[no-any-return]


def pipeline(
    bench: Bench, sizes: list[int], manager: GPUManager, until: float, report: Report
) -> None:
    """Add the row of transformers' pipeline at its best batch size."""
    name = "transformers pipeline"
    found: dict[int, tuple[float, str]] = {}
    notes: list[str] = []
    for size in sizes:
        if time.monotonic() > until:
            notes.append(f"{size}: {NO_TIME}")
            continue
        manager.cleanup()
        manager.reset_peak()
        elapsed_s, reason = attempt(lambda size=size: bench.pipeline(size), manager)
        if elapsed_s:
            found[size] = size * WINDOW_S / elapsed_s, memory_gb(manager)
            notes.append(f"{size}: {found[size][0]:.0f}")
        else:
            notes.append(f"{size}: {reason}")
    if not found:
        report.add(bench.shape.name, name, note="; ".join(notes))
        return
    size = max(found, key=lambda size: found[size][0])
    speed, memory = found[size]
    most = limit(bench.shape, size, manager.name)
    figure(f"{bench.shape.name}, {name}, batch {size}", speed, "x real time")
    share = f"{100 * speed / most:.0f} %" if most else "not known"
    note = f"best of {', '.join(notes)}" if len(notes) > 1 else ""
    report.add(
        bench.shape.name, f"{size}, {name}", f"{speed:.0f}", share, "", "", memory, note=note
    )


def with_lever(
    bench: Bench, lever: str, batch: int, usual: float | None, manager: GPUManager, report: Report
) -> None:
    """Measure the same batch with one option changed; `usual` is the speed without the change."""
    manager.cleanup()
    manager.reset_peak()

    def run() -> tuple[float, Timed]:
        with with_option(bench, lever, manager) as changed:
            loop = changed.loop(batch)
            began = time.perf_counter()
            changed.run_ours(batch, loop)
            first_s = time.perf_counter() - began
            return first_s, best(lambda: changed.run_ours(batch, loop), lambda t: t.total_s)

    found, reason = attempt(run, manager)
    if found is None:
        report.add(bench.shape.name, f"{batch}, {lever}", note=reason)
        return
    first_s, timed = found
    speed = batch * WINDOW_S / timed.total_s
    figure(f"{bench.shape.name}, batch {batch}, {lever}", speed, "x real time")
    parts = (timed.encoder_s, timed.decoder_s, timed.mel_s + timed.host_s)
    note = f"first batch {first_s:.1f} s"
    if usual:
        note = f"{speed / usual:.2f}× of the row above with {batch}; {note}"
    most = limit(bench.shape, batch, manager.name)
    report.add(
        bench.shape.name,
        f"{batch}, {lever}",
        f"{speed:.0f}",
        f"{100 * speed / most:.0f} %" if most else "not known",
        " / ".join(f"{100 * part / timed.total_s:.0f}" for part in parts),
        "",
        memory_gb(manager),
        note=note,
    )


def memory_gb(manager: GPUManager) -> str:
    """Return the peak of device memory since the last `reset_peak`; empty on a CPU."""
    return f"{manager.memory().peak / 2**30:.1f} GB" if manager.on_gpu else ""


def measure_recovery(manager: GPUManager, seconds: float) -> str:
    """Run a batch that exceeds the device memory; count its windows done within `seconds`."""
    from concurrent.futures import wait
    from tempfile import TemporaryDirectory

    from benchmarks.support.weights import write_random
    from kb.asr.batching.batcher import Batcher
    from kb.asr.batching.language_vote import LanguageVote
    from kb.asr.engines import load_engine
    from kb.asr.windows.windowing import Window

    if manager.kind != "CUDA":
        return "not measured"
    count = 64
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as name:
        write_random(Path(name), width=384, heads=6, layers=4, seed=1)
        engine = load_engine("whisper", name, manager)
    manager.cleanup()
    # The memory in use and half a GB more: space for a few windows.
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**29) / total)
    batcher = Batcher(engine, manager, count)
    try:
        sound = (0.1 * rng.standard_normal(int(WINDOW_S * SAMPLE_RATE))).astype(np.float32)
        vote = LanguageVote("en")
        waiting = [
            batcher.submit("bench", Window(n, n * WINDOW_S, sound), vote) for n in range(count)
        ]
        ended, _ = wait(waiting, timeout=seconds)
        done = sum(future.exception() is None for future in ended)
    finally:
        batcher.close()
        torch.cuda.set_per_process_memory_fraction(1.0)
    return f"{done} of {count} windows answered, the batch fell from {count} to {batcher.size}"


def whole(manager: GPUManager, until: float, *, tiny: bool) -> int:
    """Print the table of the whole way row by row; nothing is written into the page."""
    from tempfile import TemporaryDirectory

    from benchmarks.support.gpu_whole import WHOLE_HEAD, Load, measure_whole

    settings = get_settings()
    presets = ["max"]
    if not tiny:
        presets += [name for name in load_presets(settings.presets_path) if name != "max"]
    print(table(WHOLE_HEAD, []), flush=True)
    with TemporaryDirectory() as name:
        measure_whole(
            (TOY,) if tiny else (TURBO, LARGE),
            presets,
            manager,
            settings.model_copy(update={"device": manager.device}) if tiny else settings,
            Path(name),
            until,
            Load.written(
                Path(name),
                files=4 if tiny else 256,
                seconds=20.0 if tiny else 180.0,
                tokens=4 if tiny else TOKENS,
                measured_s=1.0 if tiny else MEASURED_S,
                longest_s=240.0 if tiny else 2 * MEASURED_S,  # a test must not depend on speed
                pipeline_batch=2 if tiny else LEVERS_AT,
                batch_size=2 if tiny else None,
                targets=not tiny,
            ),
            lambda row: print(f"| {' | '.join(row)} |", flush=True),
        )
    return 0


def host(*, tiny: bool) -> int:
    """Print the costs of a window on the host; return 1 if one misses its target."""
    from tempfile import TemporaryDirectory

    from benchmarks.support.gpu_whole import write_files
    from benchmarks.support.host_costs import host_costs

    files, seconds, tokens = (2, 40.0, 4) if tiny else (6, 180.0, TOKENS)
    with TemporaryDirectory() as name:
        paths = write_files(Path(name, "files"), files, seconds)
        return 0 if host_costs(paths, seconds, Path(name), tokens) or tiny else 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="toy shapes, on the CPU too")
    parser.add_argument(
        "--full", "--write", dest="write", action="store_true", help="write docs/performance.md"
    )
    parser.add_argument("--whole", action="store_true", help="measure the whole way instead")
    parser.add_argument("--host", action="store_true", help="measure the host's part instead")
    parser.add_argument("--seconds", type=float, help="no test starts afterwards")
    options = parser.parse_args(arguments)
    if options.host:
        return host(tiny=options.tiny)
    kind = "whole" if options.whole else "full" if options.write else "engine"
    until = time.monotonic() + (BUDGET_S[kind] if options.seconds is None else options.seconds)
    settings = get_settings()
    manager = GPUManager(
        "cpu" if options.tiny else "auto",
        cpu_threads=settings.cpu_threads,
        reserve_gb=settings.gpu_reserve_gb,
    ).apply()
    if not manager.on_gpu and not options.tiny:
        # (The page keeps a table that was measured on a machine with a GPU.)
        print("No GPU on this machine: not measured. (--tiny tries the script.)", file=sys.stderr)
        return 0
    if options.whole:
        return whole(manager, until, tiny=options.tiny)
    about = (
        f"{manager.name}, {str(manager.dtype).removeprefix('torch.')}; random weights, {TOKENS} "
        f"tokens a window. {machine()} Memory: the most on the device, weights included."
    )

    def publish(text: str, recovery: str = "not tried yet") -> None:
        if options.write and not options.tiny:
            replace_block("gpu", f"{about}\n\n{text}\n\nOut of memory: {recovery}.")

    report = Report(publish)
    before = greedy.MAX_NEW_TOKENS
    greedy.MAX_NEW_TOKENS = tokens = 4 if options.tiny else TOKENS
    shapes, batches = ((TOY,), (1, 2)) if options.tiny else ((TURBO, LARGE), BATCHES)
    last = until - (0 if options.tiny else RECOVERY_S)
    try:
        usual: dict[str, float | None] = {}
        for shape in shapes:
            usual[shape.name] = measure(shape, batches, manager, last, report, tokens)
            manager.cleanup()
        at = min(LEVERS_AT, max(batches))
        compiled(shapes[0], at, usual[shapes[0].name], manager, last, report, tokens)
        manager.cleanup()
        left_s = max(10.0, until - time.monotonic())
        found, reason = attempt(lambda: measure_recovery(manager, left_s), manager)
    finally:
        greedy.MAX_NEW_TOKENS = before
        text = table(HEAD, report.rows)
        print(text)
    recovery = found or f"failed, {reason}"
    print(f"Out of memory: {recovery}.")
    publish(text, recovery)
    return 0


if __name__ == "__main__":
    sys.exit(main())
