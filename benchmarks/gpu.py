"""What a GPU makes of Whisper large: speed by batch, against the card's own limit.

    python benchmarks/gpu.py            on the first GPU, within nine minutes
    python benchmarks/gpu.py --tiny     the same on any machine with toy shapes: a test

Random weights in the shapes of large-v3-turbo and large-v3, half precision, 120 tokens a window
and not one less. Warm-up and compilation are told apart. Prints JSON lines, then one table,
which `--write` puts into docs/performance.md. Needs nothing but this repository.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# The package `gpu` comes before this file, which has its name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from common import figure
from pages import replace_block, table

import kb.asr.engines.greedy as greedy
from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.engines.decoder import Decoder
from kb.asr.engines.graph import GraphStep
from kb.asr.engines.greedy import Greedy
from kb.asr.engines.linear import pack_linears
from kb.asr.engines.rules import Rules
from kb.asr.mel import LogMel

TOKENS = 120
WINDOW_S = 30.0
BATCHES = (1, 8, 16, 32, 56, 128, 256)
LEVERS_AT = 56  # the batch at which levers are compared
LEAST_SHARE = 0.5  # of the computed limit, for turbo at LEVERS_AT
BUDGET_S = 8 * 60.0
ENCODER_FLOP = 2.27e12  # of one window, large
# (arithmetic in FLOP/s, memory in bytes/s) that half precision reaches at most.
CARDS = {
    "RTX 4090": (163e12, 1.008e12),
    "H100": (779e12, 2.99e12),
    "H200": (779e12, 4.29e12),
}


@dataclass(frozen=True)
class Shape:
    """A model's shape; `weights_bytes` the decoder's, read at every step (half precision)."""

    name: str
    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    weights_bytes: float
    vocabulary: int = 51_866


TURBO = Shape("large-v3-turbo", 1280, 20, 32, 4, 316e6)
LARGE = Shape("large-v3", 1280, 20, 32, 32, 1.60e9)
TOY = Shape("toy", 32, 2, 1, 2, 0.0, 2463)


@dataclass
class Timed:
    """Seconds a batch, by part."""

    mel_s: float
    encoder_s: float
    decoder_s: float
    host_s: float

    @property
    def total_s(self) -> float:
        return self.mel_s + self.encoder_s + self.decoder_s + self.host_s


def limit(shape: Shape, batch: int, name: str) -> float | None:
    """The most seconds of sound a second that the card's figures allow; None if not known.

    Encoder and projection of the cross-attention at the arithmetic rate, then every step reads
    the decoder's weights once a batch and each window's cache at the memory's rate.
    """
    rates = next((rates for card, rates in CARDS.items() if card in name), None)
    if rates is None or not shape.weights_bytes:
        return None
    flop = ENCODER_FLOP + 4 * 1500 * shape.width**2 * shape.decoder_layers
    cache = 2 * 2 * 1500 * shape.width * shape.decoder_layers
    steps = TOKENS * (shape.weights_bytes / batch + cache) / rates[1]
    return WINDOW_S / (flop / rates[0] + steps)


class Bench:
    """One random model on the device, and the ways of running it."""

    def __init__(self, shape: Shape, manager: GPUManager) -> None:
        from transformers import (
            GenerationConfig,
            WhisperConfig,
            WhisperFeatureExtractor,
            WhisperForConditionalGeneration,
        )

        self.device = manager.device
        self.dtype = manager.dtype
        eos = shape.vocabulary - 1609  # timestamps and special tokens come after it
        config = WhisperConfig(
            vocab_size=shape.vocabulary, d_model=shape.width, num_mel_bins=128,
            encoder_layers=shape.encoder_layers, decoder_layers=shape.decoder_layers,
            encoder_attention_heads=shape.heads, decoder_attention_heads=shape.heads,
            encoder_ffn_dim=4 * shape.width, decoder_ffn_dim=4 * shape.width,
            bos_token_id=eos, eos_token_id=eos, pad_token_id=eos, decoder_start_token_id=eos + 1,
            suppress_tokens=None, begin_suppress_tokens=None,
        )  # fmt: skip
        config._attn_implementation = manager.attention
        torch.manual_seed(0)
        with torch.device(self.device):
            self.model = WhisperForConditionalGeneration(config)
        self.model.to(self.dtype).eval().requires_grad_(False)
        self.generation = GenerationConfig(
            eos_token_id=eos, bos_token_id=eos, pad_token_id=eos, decoder_start_token_id=eos + 1,
            no_timestamps_token_id=shape.vocabulary - 1502, suppress_tokens=[eos],
            alignment_heads=[[shape.decoder_layers - 1, n] for n in range(min(6, shape.heads))],
            is_multilingual=False,
        )  # fmt: skip
        self.model.generation_config = self.generation
        self.eos = eos
        self.vocabulary = shape.vocabulary
        self.encoder: Any = self.model.get_encoder()
        self.decoder = Decoder(self.model)
        self.mel = LogMel(WhisperFeatureExtractor(feature_size=128), self.device)
        if not manager.on_gpu:
            pack_linears(self.encoder, 1500)
        rng = np.random.default_rng(0)
        self.sound = rng.standard_normal(int(WINDOW_S * SAMPLE_RATE), np.float32) * 0.1

    def wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def loop(self, graph: GraphStep | None = None) -> Greedy:
        rules = Rules(self.generation, self.eos, self.vocabulary, self.device)
        return Greedy(self.decoder, rules, start=self.eos + 1, graph=graph)

    @torch.inference_mode()
    def ours(self, batch: int, loop: Greedy) -> Timed:
        """A batch as the engine runs it; asserts that every window has its tokens."""
        marks = [time.perf_counter()]

        def mark() -> None:
            self.wait()
            marks.append(time.perf_counter())

        mel = self.mel([self.sound] * batch).to(self.dtype)
        mark()
        states = self.encoder(mel).last_hidden_state
        mark()
        begun = loop.begin(states)
        written = loop.write(begun, [[self.eos + 1]] * batch)
        mark()
        loop.time(written, [WINDOW_S] * batch)
        mark()
        assert all(len(row) == TOKENS for row in written.rows)
        return Timed(*(b - a for a, b in pairwise(marks)))

    @torch.inference_mode()
    def theirs(self, batch: int) -> float:
        """Seconds that transformers' `generate` takes for the same batch."""
        mel = self.mel([self.sound] * batch).to(self.dtype)
        self.wait()
        began = time.perf_counter()
        output = self.model.generate(
            input_features=mel, return_timestamps=True, num_beams=1, do_sample=False,
            max_new_tokens=TOKENS, min_new_tokens=TOKENS, force_unique_generate_call=True,
        )  # fmt: skip
        self.wait()
        assert output.shape[-1] >= TOKENS
        return time.perf_counter() - began


def best(run: Callable[[], Any], key: Callable[[Any], float], rounds: int = 2) -> Any:
    """The fastest of some rounds after one that is not counted."""
    run()
    return min((run() for _ in range(rounds)), key=key)


def fits(run: Callable[[], Any], manager: GPUManager) -> Any:
    """What `run` gives; None where the memory does not suffice."""
    try:
        return run()
    except Exception as error:
        if not manager.out_of_memory(error):
            raise
    manager.cleanup()
    return None


def measure(
    shape: Shape, batches: tuple[int, ...], manager: GPUManager, until: float
) -> list[list[str]]:
    """Rows of the table for one shape."""
    bench = Bench(shape, manager)
    rows: list[list[str]] = []
    for batch in batches:
        if time.monotonic() > until:
            rows.append([shape.name, str(batch), "no time left", "", "", "", ""])
            continue
        loop = bench.loop()
        timed = fits(
            lambda b=batch, w=loop: best(lambda: bench.ours(b, w), lambda t: t.total_s), manager
        )
        if timed is None:
            rows.append([shape.name, str(batch), "too large for the memory", "", "", "", ""])
            break
        speed = batch * WINDOW_S / timed.total_s
        most = limit(shape, batch, manager.name)
        least = LEAST_SHARE if shape is TURBO and batch == LEVERS_AT and most else None
        figure(f"{shape.name}, batch {batch}", speed, "x real time")
        if most:
            figure(
                f"{shape.name}, batch {batch}, share of the limit", speed / most, "", at_least=least
            )
        theirs = None
        if time.monotonic() < until:
            theirs = fits(lambda b=batch: best(lambda: bench.theirs(b), lambda s: s, 1), manager)
        parts = (timed.encoder_s, timed.decoder_s, timed.mel_s + timed.host_s)
        rows.append([
            shape.name,
            str(batch),
            f"{speed:.0f}",
            f"{100 * speed / most:.0f} %" if most else "not known",
            " / ".join(f"{100 * part / timed.total_s:.0f}" for part in parts),
            f"{batch * WINDOW_S / theirs:.0f}" if theirs else "",
            f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GB" if manager.kind == "CUDA" else "",
        ])  # fmt: skip
    at = min(LEVERS_AT, max(batches))
    if time.monotonic() < until:
        rows += levers(bench, shape, at, manager)
    return rows


def levers(bench: Bench, shape: Shape, batch: int, manager: GPUManager) -> list[list[str]]:
    """The same batch with each lever that is off by default."""
    rows: list[list[str]] = []

    def tried(name: str, loop: Greedy) -> None:
        began = time.perf_counter()
        first = fits(lambda: bench.ours(batch, loop), manager)
        ready_s = time.perf_counter() - began
        timed = first and fits(
            lambda: best(lambda: bench.ours(batch, loop), lambda t: t.total_s), manager
        )
        speed = f"{batch * WINDOW_S / timed.total_s:.0f}" if timed else "too large for the memory"
        rows.append(
            [shape.name, f"{batch}, {name}", speed, f"first batch {ready_s:.0f} s", "", "", ""]
        )

    # (The prompt is the start token alone.)
    tried("CUDA graph", bench.loop(GraphStep(bench.decoder, batch, TOKENS + 2)))
    if manager.kind == "CUDA":
        plain = bench.encoder
        bench.encoder = torch.compile(plain, dynamic=False)
        tried("compiled encoder", bench.loop())
        bench.encoder = plain
    return rows


def recovers(manager: GPUManager) -> str:
    """Out of memory for real: a batch that cannot fit, answered all the same."""
    from concurrent.futures import Future
    from tempfile import TemporaryDirectory

    from weights import write_random

    from kb.asr.batcher import Answer, Batcher
    from kb.asr.engines import load_engine
    from kb.asr.vote import Vote
    from kb.asr.windows import Window

    if manager.kind != "CUDA":
        return "not measured"
    count = 64
    rng = np.random.default_rng(1)
    with TemporaryDirectory() as name:
        write_random(Path(name), width=384, heads=6, layers=4, seed=1)
        engine = load_engine("whisper", name, manager)
    manager.cleanup()
    # Room for a few windows: what is in use and half a GB.
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**29) / total)
    batcher = Batcher(engine, manager, count)
    try:
        sound = (0.1 * rng.standard_normal(int(WINDOW_S * SAMPLE_RATE))).astype(np.float32)
        vote = Vote("en")
        waiting: list[Future[Answer]] = [
            batcher.submit("bench", Window(n, n * WINDOW_S, sound), vote) for n in range(count)
        ]
        done = sum(bool(future.result(timeout=120)) for future in waiting)
    finally:
        batcher.close()
        torch.cuda.set_per_process_memory_fraction(1.0)
    return f"{done} of {count} windows answered, the batch fell from {count} to {batcher.size}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="toy shapes, on the CPU too")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args(arguments)
    until = time.monotonic() + BUDGET_S
    manager = GPUManager("cpu" if options.tiny else "auto").apply()
    if not manager.on_gpu and not options.tiny:
        print("No GPU on this machine: not measured. (--tiny tries the script.)", file=sys.stderr)
        return 0
    global TOKENS
    before, tokens = greedy.MAX_NEW_TOKENS, TOKENS
    TOKENS = 4 if options.tiny else TOKENS
    greedy.MAX_NEW_TOKENS = TOKENS
    try:
        rows: list[list[str]] = []
        for shape in (TOY,) if options.tiny else (TURBO, LARGE):
            rows += measure(shape, (1, 2) if options.tiny else BATCHES, manager, until)
            manager.cleanup()
        recovery = recovers(manager)
    finally:
        greedy.MAX_NEW_TOKENS, TOKENS = before, tokens
    head = ["model", "batch", "× real time", "of the limit", "encoder / decoder / rest %",
            "transformers' generate", "peak memory"]  # fmt: skip
    text = table(head, rows)
    print(text)
    print(f"Out of memory: {recovery}.")
    if options.write and not options.tiny:
        replace_block(
            "gpu", f"{manager.name}, {manager.dtype}.\n\n{text}\n\nOut of memory: {recovery}."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
