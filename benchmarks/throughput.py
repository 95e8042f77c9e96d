"""CPU seconds for the same recordings: our engines and the other libraries, in one run.

    python benchmarks/throughput.py            minutes: a few recordings, batches of 8
    python benchmarks/throughput.py --full     the published table, into docs/performance.md:
                                               about 20 minutes for the demo recognizer, 27 for
                                               the random weights (--model selects one of them)

All variants use one processor core, one thread and float32. CPU seconds decide, because other
programs on the machine affect them least. With --full, each variant is first tried at several
batch sizes on separate recordings, and then runs at its best size (a variant with word times at
the best size of the variant without). The table is rewritten after each variant has read all
recordings. Memory is the peak of the process minus its memory before the model was loaded; the
libraries are loaded before.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.support.common import figure, median
from benchmarks.support.pages import machine, replace_block, table
from benchmarks.support.peers import (
    BATCH,
    BATCHED,
    BATCHED_WORDS,
    BATCHES,
    OURS,
    OURS_CTRANSLATE2,
    PIPELINE,
    PIPELINE_WORDS,
    SHIPPED,
    SKIPPED_NOTE,
    TOKENS,
    Model,
    Peer,
    Variant,
    all_variants,
)
from benchmarks.support.resources import (
    children_s,
    cpu_s,
    load_libraries,
    release_memory,
    reset_peak,
    resident_mb,
)
from benchmarks.support.talks import Load, loads, trial
from benchmarks.support.weights import demo_model, random_tiny
from kb.types import Word
from tests.support.speech import score

# CPU time of another variant / ours, by model and variant, for the loads (a), (b) and (c).
TARGETS = {
    "random": {PIPELINE: {"a": 1.68, "b": 1.17, "c": 2.05}},
    "demo": {
        PIPELINE: {"a": 1.22, "b": 0.86, "c": 1.42},
        PIPELINE_WORDS: {"a": 3.8, "b": 2.6, "c": 4.2},
    },
}
TARGETS_CTRANSLATE2 = {"a": 1.0, "b": 1.3, "c": 1.3}  # of faster-whisper's batched pipeline / ours
MACHINERY = 5.0  # at most this per cent of the time outside the recognizer's and detector's calls


CLOCK_S = 0.01  # the resolution of CPU time
RANDOM_SHARE = 0.35  # of the full loads; random weights need five times the CPU time


@dataclass
class Run:
    """The times of one variant for one load, by round.

    `windows`: the number of windows read; `peak_mb`: the peak of memory minus the memory before
    the variant was opened.
    """

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    recognizer_s: float = 0.0
    detector_s: float = 0.0
    times_s: float = 0.0
    ffmpeg_s: float = 0.0
    peak_mb: float = 0.0
    wer: float = float("nan")
    windows: int = 0


@dataclass
class Result:
    """The runs and best batch sizes of one variant by load, and its error, if any."""

    runs: dict[str, Run] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    failed: str = ""


Found = dict[str, Result]  # by name


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="the table for docs/performance.md")
    parser.add_argument("--scale", type=float, help="share of the whole loads (default 0.05)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", choices=("demo", "random", "both"), default="both")
    parser.add_argument("--sweep", action="store_true", help="find each one's best batch first")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    options.write |= options.full
    options.sweep |= options.full
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # all threads share one core
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    met = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["KB_MODEL_CACHE"] = str(folder / "cache")
        os.environ["KB_HOME"] = str(folder / "home")
        for model_name, make, whole in (
            ("demo", demo_model, 1.0),
            ("random", random_tiny, RANDOM_SHARE),
        ):
            if options.model not in (model_name, "both"):
                continue
            scale = options.scale or (whole if options.full else 0.05)
            model = make(folder)
            own = folder / f"{model_name}-sound"
            own.mkdir()
            recordings = loads(own, scale)
            load_libraries()
            measurement = Measurement(model, recordings, scale, options.rounds, options.write)
            if options.sweep:
                measurement.sweep(trial(own))
            found = measurement.run()
            met &= report_results(model, recordings, found)
    return 0 if met else 1


class Measurement:
    """The measurements of one model, and their table."""

    def __init__(
        self, model: Model, recordings: list[Load], scale: float, rounds: int, write: bool
    ) -> None:
        self.model = model
        self.recordings = recordings
        self.scale = scale
        self.rounds = rounds
        self.write = write
        self.variants = all_variants(model)
        self.results: Found = {variant.name: Result() for variant in self.variants}
        self.batch_sizes: list[int] = []
        self.start_mb = 0.0

    def sweep(self, sounds: dict[str, list[Path]]) -> None:
        """Find the batch size with the least CPU time for `sounds`, by variant and kind of load."""
        # All random windows cost the same, so one kind of load represents all.
        if self.model.random:
            sounds = {"a": sounds["a"]}
        # These recordings have eight windows, so a batch of sixteen never fills.
        self.batch_sizes = [size for size in BATCHES if size <= 8 or not self.model.random]
        for variant in self.variants:
            if variant.batches and not variant.batch_of:
                self._with_peer(variant, lambda peer, way=variant: self._best(way, peer, sounds))
        for variant in self.variants:
            if variant.batch_of:
                self.results[variant.name].batches = dict(self.results[variant.batch_of].batches)

    def _batches_for(self, variant: Variant) -> list[int]:
        """Return the batch sizes to try: those up to the variant's maximum."""
        return [size for size in self.batch_sizes if size <= variant.max_batch]

    def _best(self, variant: Variant, peer: Peer, sounds: dict[str, list[Path]]) -> None:
        best = self.results[variant.name].batches
        peer.read(sounds["a"], BATCH)  # warm-up: work that only the first call does
        for key, paths in sounds.items():
            cpu_s_by_size: dict[int, float] = {}
            for size in self._batches_for(variant):
                began = cpu_s()
                peer.read(paths, size)
                cpu_s_by_size[size] = round(cpu_s() - began, 2)
            best[key] = min(cpu_s_by_size, key=cpu_s_by_size.__getitem__)
            _log_json(
                {
                    "model": self.model.name,
                    "name": variant.name,
                    "trial": key,
                    "cpu_s": cpu_s_by_size,
                }
            )
        for load in self.recordings:
            best.setdefault(load.key, best["a"])

    def run(self) -> Found:
        for turn in range(self.rounds):
            for variant in self.variants if turn % 2 == 0 else self.variants[::-1]:
                if not self.results[variant.name].failed:
                    self._with_peer(variant, lambda peer, way=variant: self._loads(way, peer))
                if self.write:
                    replace_block(f"cpu-{self.model.name}", self.page())
        return self.results

    def _loads(self, variant: Variant, peer: Peer) -> None:
        result = self.results[variant.name]
        peer.read(self.recordings[1].paths[:2], BATCH)
        for load in self.recordings:
            _measure_load(self.model, load, variant.name, peer, result, self.start_mb)

    def _with_peer(self, variant: Variant, action: Callable[[Peer], None]) -> None:
        """Load one variant, call the action, close it; a failure is recorded and not raised."""
        release_memory()
        self.start_mb = resident_mb("VmRSS")
        try:
            peer = variant.open()
            try:
                action(peer)
            finally:
                peer.close()
        except Exception as error:
            traceback.print_exc()
            self.results[variant.name].failed = f"{type(error).__name__}: {error}"

    def page(self) -> str:
        """Return the measurements so far as a Markdown table with notes."""
        rows = [self._row(variant) for variant in self.variants]
        sized = "equal tokens a window" if self.model.random else "WER"
        share = f"{100 * self.scale:.0f} % of the whole loads: " if self.scale < 1 else ""
        sounds = "; ".join(f"({load.key}) {load.what}" for load in self.recordings)
        head = ["", "batch", *(f"({load.key})" for load in self.recordings), "memory"]
        lines = [
            f"{self.model.title}. {share}{sounds}. CPU seconds (wall) · times the pipeline's "
            f"speed in CPU time · {'windows read' if self.model.random else sized}. "
            f"{self._batches()}. Memory: the most beyond what the process had before the model "
            f"was loaded. {machine()} Rounds: {self.rounds}.",
            "",
            table(head, rows),
        ]
        own = self._runs(OURS)
        shares = [
            f"({load.key}) {_shares(own[load.key])}" for load in self.recordings if load.key in own
        ]
        lines += self._ratios()
        if shares:
            lines += ["", f"Of the CPU time of {OURS!r}: {'; '.join(shares)}."]
        if self.model.random:
            lines += ["", SKIPPED_NOTE]
        else:
            lines += self._errors()
        lines += [
            f"\n{way.name} failed: {' '.join(self.results[way.name].failed.split())[:200]}"
            for way in self.variants
            if self.results[way.name].failed
        ]
        return "\n".join(lines)

    def _batches(self) -> str:
        """Return a sentence about the batch sizes of the variants."""
        if not self.batch_sizes:
            return f"All at {BATCH} windows a batch"
        tried: dict[tuple[int, ...], list[str]] = {}
        for variant in self.variants:
            if variant.batches and not variant.batch_of:
                tried.setdefault(tuple(self._batches_for(variant)), []).append(variant.name)
        usual = max(tried, key=len)
        said = f"Each at the best of {', '.join(map(str, usual))} windows a batch"
        for sizes, names in tried.items():
            if sizes != usual:
                who = ", ".join(map(repr, names))
                said += f" ({who}: of {', '.join(map(str, sizes))}, the most on a CPU)"
        return f"{said}, found on other recordings of the kind; with word times as without"

    def _ratios(self) -> list[str]:
        """Return a table of the ratios that have targets; those that reach them are bold."""
        mine = OURS if self.model.random else SHIPPED
        ours, rows = self._runs(mine), []
        for other, targets in TARGETS[self.model.name].items():
            row = [f"{other} ÷ {mine}"]
            for load in self.recordings:
                theirs = self._runs(other).get(load.key)
                if theirs is None or load.key not in ours:
                    row.append("not measured")
                    continue
                ratio = median(theirs.cpu_s) / max(median(ours[load.key].cpu_s), CLOCK_S)
                least = targets[load.key]
                mark = "**" if ratio >= least else ""
                row.append(f"{mark}{ratio:.2f}{mark} (target {least})")
            rows.append(row)
        return ["", table(["times", *(f"({load.key})" for load in self.recordings)], rows)]

    def _errors(self) -> list[str]:
        """Return a line that compares our word errors with the pipeline's."""
        ours, base = self._runs(SHIPPED), self._runs(PIPELINE)
        parts = [
            f"({load.key}) {ours[load.key].wer - base[load.key].wer:+.1f}"
            for load in self.recordings
            if load.key in ours and load.key in base
        ]
        if not parts:
            return []
        return ["", f"Word errors of {SHIPPED!r} less the pipeline's, points: {', '.join(parts)}."]

    def _runs(self, name: str) -> dict[str, Run]:
        return self.results[name].runs if name in self.results else {}

    def _row(self, variant: Variant) -> list[str]:
        result = self.results[variant.name]
        sizes = [str(result.batches.get(load.key, BATCH)) for load in self.recordings]
        row = [variant.name, " / ".join(sizes) if variant.batches else "one by one"]
        for load in self.recordings:
            run = result.runs.get(load.key)
            if run is None:
                row.append("failed" if result.failed else "not measured")
                continue
            elapsed_s = median(run.cpu_s)
            cell = f"{elapsed_s:.1f} s ({median(run.wall_s):.1f})"
            base = self._runs(PIPELINE).get(load.key)
            if base:
                cell += f" · **{median(base.cpu_s) / max(elapsed_s, CLOCK_S):.2f}×**"
            more = f"{run.windows}" if self.model.random else f"{run.wer:.1f} %"
            row.append(f"{cell} · {more}")
        peak = max((run.peak_mb for run in result.runs.values()), default=0.0)
        return [*row, f"+{peak:.0f} MB" if peak else ""]


def _shares(run: Run) -> str:
    """Return the shares of our CPU time, in percent."""
    total = max(sum(run.cpu_s), CLOCK_S)
    parts = {
        "recognizer": run.recognizer_s,
        "speech detector": run.detector_s,
        "word times": run.times_s,
        "ffmpeg": run.ffmpeg_s,
    }
    rest = total - sum(parts.values())
    named = [f"{name} {100 * part / total:.0f} %" for name, part in parts.items()]
    return ", ".join([*named, f"all else {100 * rest / total:.0f} %"])


def _measure_load(
    model: Model, load: Load, name: str, peer: Peer, result: Result, start_mb: float
) -> None:
    gc.collect()
    reset_peak()
    peer.lengths.clear()
    run = result.runs.get(load.key) or Run()
    cpu, wall, children = cpu_s(), time.perf_counter(), children_s()
    batch = result.batches.get(load.key, BATCH)
    texts = peer.read(load.paths, batch)
    run.cpu_s.append(cpu_s() - cpu)
    run.wall_s.append(time.perf_counter() - wall)
    run.ffmpeg_s += children_s() - children
    run.recognizer_s += peer.busy_s.get("recognizer", 0.0)
    run.detector_s += peer.busy_s.get("detector", 0.0)
    run.times_s += peer.busy_s.get("times", 0.0)
    run.peak_mb = max(run.peak_mb, resident_mb("VmHWM") - start_mb)
    if model.random:
        run.windows = sum(peer.lengths.values())
        # Variants are comparable only if they do equal work.
        if set(peer.lengths) != {TOKENS}:
            raise ValueError(f"{name}: tokens a window are {dict(peer.lengths)}, not {TOKENS}.")
    else:
        results = [
            score(said.words, [Word(0, 0, word, 1) for word in text.split()])
            for said, text in zip(load.said, texts, strict=True)
        ]
        run.wer = 100 * sum(r.errors for r in results) / sum(r.reference_words for r in results)
    result.runs[load.key] = run
    _log_json({"model": model.name, "load": load.key, "name": name, "batch": batch,
           "cpu_s": round(run.cpu_s[-1], 2), "wall_s": round(run.wall_s[-1], 2),
           "wer": round(run.wer, 2), "windows": run.windows,
           "peak_mb": round(run.peak_mb)})  # fmt: skip


def _log_json(line: dict[str, Any]) -> None:
    print(json.dumps(line), file=sys.stderr, flush=True)


def report_results(model: Model, recordings: list[Load], found: Found) -> bool:
    """Print every figure; return True if all were measured and all targets are met."""
    met = not any(result.failed for result in found.values())
    for load in recordings:
        runs = {name: r.runs[load.key] for name, r in found.items() if load.key in r.runs}
        for name, run in runs.items():
            figure(f"{model.name} ({load.key}) {name}", median(run.cpu_s), "CPU s")
            if not model.random:
                figure(f"{model.name} ({load.key}) word error rate, {name}", run.wer, "%")
        mine = OURS if model.random else SHIPPED
        targets = TARGETS[model.name]
        for ours, other, least in (
            *((mine, other, targets[other][load.key]) for other in targets),
            (OURS_CTRANSLATE2, BATCHED, TARGETS_CTRANSLATE2[load.key]),
            (OURS_CTRANSLATE2, BATCHED_WORDS, TARGETS_CTRANSLATE2[load.key]),
        ):
            if ours in runs and other in runs:
                name = f"{model.name} ({load.key}) {other} / {ours}"
                ratio = median(runs[other].cpu_s) / max(median(runs[ours].cpu_s), CLOCK_S)
                met &= figure(name, ratio, "times", at_least=least)
                if not model.random:
                    more = runs[ours].wer - runs[other].wer
                    name = f"{model.name} ({load.key}) word errors, {ours} less {other}"
                    # Our speed counts against the pipeline only without more word errors.
                    most = 0.0 if ours == mine else None
                    met &= figure(name, more, "points", at_most=most)
        if OURS in runs:
            run = runs[OURS]
            models_s = run.recognizer_s + run.detector_s
            met &= figure(
                f"{model.name} ({load.key}) outside the models' calls",
                100 * (1 - models_s / sum(run.cpu_s)),
                "%",
                at_most=MACHINERY,
            )
    return met


if __name__ == "__main__":
    sys.exit(main())
