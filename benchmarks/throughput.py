"""Seconds of computing for the same recordings: ours against the others, in one run.

    python benchmarks/throughput.py            minutes: a few recordings
    python benchmarks/throughput.py --full     the published table, into docs/performance.md

One processor core, one thread, float32 for all; CPU seconds decide, so that other programs on
the machine disturb as little as they can. Every round gives each its turn.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from common import figure, median
from pages import machine, replace_block, table
from peers import Model, Peer, everyone
from talks import Load, loads
from weights import demo_model, random_tiny

from kb.types import Word
from tests.speech import score

TARGETS = {"a": 1.5, "b": 3.0, "c": 2.5}  # ours to the pipeline
TARGETS_CTRANSLATE2 = {"a": 1.0, "b": 1.3, "c": 1.3}  # ours to faster-whisper's batched one
MACHINERY = 5.0  # percent of the time outside the models' own calls, at most


@dataclass
class Run:
    """What one way of transcribing took for one load, by round."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    wer: float = float("nan")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="whole loads, into docs/performance.md")
    parser.add_argument("--scale", type=float, help="share of the whole loads (default 0.05)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", choices=("demo", "random", "both"), default="both")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    scale = options.scale or (1.0 if options.full else 0.05)
    options.write |= options.full
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # whatever starts threads, it is one core
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    met = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["KB_MODEL_CACHE"] = str(folder / "cache")
        os.environ["KB_HOME"] = str(folder / "home")
        recordings = loads(folder, scale)
        models = []
        if options.model in ("demo", "both"):
            models.append(demo_model(folder))
        if options.model in ("random", "both"):
            models.append(random_tiny(folder))
        for model in models:
            found = measure(model, recordings, options.rounds)
            met &= judge(model, recordings, found)
            if options.write:
                title = f"cpu-{model.name}"
                replace_block(title, page(model, recordings, found, options.rounds))
    return 0 if met else 1


def measure(model: Model, recordings: list[Load], rounds: int) -> dict[str, dict[str, Run]]:
    """[load][name] → what it took."""
    found: dict[str, dict[str, Run]] = {load.key: defaultdict(Run) for load in recordings}
    peers = everyone(model)
    for peer in peers:
        peer.read(recordings[1].paths[:2])  # what is only done the first time
    for turn in range(rounds):
        for load in recordings:
            for peer in peers[turn % len(peers) :] + peers[: turn % len(peers)]:
                _take(model, load, peer, found[load.key][peer.name])
    return found


def _take(model: Model, load: Load, peer: Peer, run: Run) -> None:
    gc.collect()
    _reset_peak()
    cpu, wall = _cpu_s(), time.perf_counter()
    texts = peer.read(load.paths)
    run.cpu_s.append(_cpu_s() - cpu)
    run.wall_s.append(time.perf_counter() - wall)
    run.busy_s.append(peer.busy_s())
    run.peak_mb = max(run.peak_mb, _peak_mb())
    if not model.random:
        results = [
            score(said.words, [Word(0, 0, word, 1) for word in text.split()])
            for said, text in zip(load.said, texts, strict=True)
        ]
        run.wer = 100 * sum(r.errors for r in results) / sum(r.spoken for r in results)
    print(
        json.dumps({"model": model.name, "load": load.key, "name": peer.name,
                    "cpu_s": round(run.cpu_s[-1], 2), "wall_s": round(run.wall_s[-1], 2),
                    "wer": round(run.wer, 2), "peak_mb": round(run.peak_mb)}),
        file=sys.stderr,
    )  # fmt: skip


def judge(model: Model, recordings: list[Load], found: dict[str, dict[str, Run]]) -> bool:
    """Prints every figure; whether all targets are met."""
    met = True
    for load in recordings:
        runs = {name: median(run.cpu_s) for name, run in found[load.key].items()}
        for name, run in found[load.key].items():
            figure(f"{model.name} ({load.key}) {name}", runs[name], "CPU s")
            if not model.random:
                figure(f"{model.name} ({load.key}) word error rate, {name}", run.wer, "%")
        shipped = "ours, whisper, as shipped"
        first = shipped if shipped in runs else "ours, whisper"
        for ours, other, least in (
            (first, "transformers pipeline", TARGETS[load.key]),
            ("ours, faster-whisper", "faster-whisper, batched", TARGETS_CTRANSLATE2[load.key]),
        ):
            name = f"{model.name} ({load.key}) {other} / {ours}"
            met &= figure(name, runs[other] / runs[ours], "times", at_least=least)
        run = found[load.key]["ours, whisper"]
        outside = 100 * (1 - sum(run.busy_s) / sum(run.cpu_s))
        met &= figure(
            f"{model.name} ({load.key}) outside the model's calls", outside, "%", at_most=MACHINERY
        )
    return met


def page(
    model: Model, recordings: list[Load], found: dict[str, dict[str, Run]], rounds: int
) -> str:
    """The table as Markdown."""
    names = list(found[recordings[0].key])
    rows = []
    for name in names:
        row = [name]
        for load in recordings:
            run = found[load.key][name]
            cpu = median(run.cpu_s)
            base = median(found[load.key]["transformers pipeline"].cpu_s)
            cell = f"{cpu:.1f} s · **{base / cpu:.2f}×**"
            row.append(cell if model.random else f"{cell} · {run.wer:.1f} %")
        peak = max(found[load.key][name].peak_mb for load in recordings)
        rows.append([*row, f"{peak:.0f} MB"])
    what = "CPU seconds · times the pipeline's speed" + ("" if model.random else " · WER")
    head = ["", *(f"({load.key}) {load.what}" for load in recordings), "peak memory"]
    shares = []
    for load in recordings:
        run = found[load.key]["ours, whisper"]
        shares.append(f"({load.key}) {100 * (1 - sum(run.busy_s) / sum(run.cpu_s)):.0f} %")
    return "\n".join([
        f"{model.title}. {what}. {machine()} Rounds: {rounds}.",
        "",
        table(head, rows),
        "",
        "Outside the recognizer's own calls (decoding sound, detecting speech, cutting, word "
        f"times, text), of our CPU time: {', '.join(shares)}.",
    ])  # fmt: skip


def _cpu_s() -> float:
    """Of this process with all its threads, and of the programs it has started (ffmpeg)."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _reset_peak() -> None:
    """Linux counts the peak of memory anew; elsewhere it is the process's."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return int(found[1]) / 1024 if found else float("nan")


if __name__ == "__main__":
    sys.exit(main())
