"""A Whisper with random weights on the device, and the methods that `gpu.py` times."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

import kb.asr.engines.whisper.greedy_search as greedy
from benchmarks.support.peers import lengths_of_generate
from benchmarks.support.weights import make_tokenizer
from gpu.manager import GPUManager
from kb.asr import SAMPLE_RATE
from kb.asr.audio.log_mel import LogMel
from kb.asr.engines.whisper.batch_shapes import BatchShapes
from kb.asr.engines.whisper.decoder import Decoder
from kb.asr.engines.whisper.engine import WholeStates
from kb.asr.engines.whisper.gpu_encoder import GPUEncoder
from kb.asr.engines.whisper.greedy_search import GreedyDecoder
from kb.asr.engines.whisper.packed_linear import pack_linears
from kb.asr.engines.whisper.recorded_steps import RecordedSteps
from kb.asr.engines.whisper.timestamp_rules import TimestampRules

TOKENS = 120
WINDOW_S = 30.0
ENCODER_FLOP = 2.27e12  # per window, for large
# The maximum rates in half precision: (arithmetic in FLOP/s, memory in bytes/s).
CARDS = {
    "RTX 4090": (163e12, 1.008e12),
    "H100": (779e12, 2.99e12),
    "H200": (779e12, 4.29e12),
}


@dataclass(frozen=True)
class Shape:
    """A model's shape; each step reads the `weights_bytes` of the decoder (half precision)."""

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
    """Seconds per batch, by part."""

    mel_s: float
    encoder_s: float
    decoder_s: float
    host_s: float

    @property
    def total_s(self) -> float:
        return self.mel_s + self.encoder_s + self.decoder_s + self.host_s


def limit(shape: Shape, batch: int, name: str) -> float | None:
    """Return the upper limit in seconds of audio per second; None for an unknown card.

    The encoder and the projection of the cross-attention run at the arithmetic rate of the card.
    Then every step reads the decoder's weights once per batch, and the cache of each window, at
    the memory rate.
    """
    rates = next((rates for card, rates in CARDS.items() if card in name), None)
    if rates is None or not shape.weights_bytes:
        return None
    flop = ENCODER_FLOP + 4 * 1500 * shape.width**2 * shape.decoder_layers
    cache = 2 * 2 * 1500 * shape.width * shape.decoder_layers
    steps = TOKENS * (shape.weights_bytes / batch + cache) / rates[1]
    return WINDOW_S / (flop / rates[0] + steps)


class Bench:
    """A random model of a shape in `dtype` (default: the device's), for `tokens` a window."""

    def __init__(
        self, shape: Shape, manager: GPUManager, tokens: int, dtype: torch.dtype | None = None
    ) -> None:
        from transformers import (
            GenerationConfig,
            WhisperConfig,
            WhisperFeatureExtractor,
            WhisperForConditionalGeneration,
        )

        self.shape = shape
        self.tokens = tokens
        self.device = manager.device
        self.dtype = dtype or manager.dtype
        eos = shape.vocabulary - 1609  # timestamps and special tokens follow
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
            is_multilingual=False, max_length=448,
        )  # fmt: skip
        self.model.generation_config = self.generation
        self.eos = eos
        encoder: Any = self.model.get_encoder()
        self.theirs = WholeStates(encoder)
        # (A copy, because it takes the layers away, which `generate` needs.)
        self.encoder: Any = GPUEncoder(copy.deepcopy(encoder)) if manager.on_gpu else self.theirs
        self.on_gpu, self.graphs = manager.on_gpu, manager.kind == "CUDA"
        self.decoder = Decoder(self.model, whole_caches=manager.on_gpu)
        self.extractor = WhisperFeatureExtractor(feature_size=128)
        self.mel = LogMel(self.extractor, self.device, whole=manager.on_gpu)
        self.mel_on_host = False
        if not manager.on_gpu:
            pack_linears(encoder, 1500)
        rng = np.random.default_rng(0)
        self.sound = rng.standard_normal(int(WINDOW_S * SAMPLE_RATE), np.float32) * 0.1

    def wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def loop(self, batch: int) -> GreedyDecoder:
        """Return our decoding loop for batches of one size, with the steps that the engine uses."""
        rules = TimestampRules(self.generation, self.eos, self.shape.vocabulary, self.device)
        # (The prompt is only the start token.)
        recorded = RecordedSteps(self.decoder, rules, self.tokens + 2) if self.graphs else None
        shapes = BatchShapes(lambda: batch) if self.on_gpu else None
        return GreedyDecoder(
            self.decoder, rules, start_token=self.eos + 1, recorded=recorded, shapes=shapes
        )

    @torch.inference_mode()
    def run_ours(self, batch: int, loop: GreedyDecoder) -> Timed:
        """Run a batch as the engine does. Raise ValueError if a window lacks tokens."""
        marks = [time.perf_counter()]

        def mark() -> None:
            self.wait()
            marks.append(time.perf_counter())

        mel = self._mel(batch)
        mark()
        states = self.encoder(mel)
        mark()
        state = loop.start(states)
        written = loop.decode(state, [[self.eos + 1]] * batch)
        mark()
        loop.align(written, [WINDOW_S] * batch)
        mark()
        self._equal({len(row) for row in written.rows})
        return Timed(*(b - a for a, b in pairwise(marks)))

    def _mel(self, batch: int) -> torch.Tensor:
        sounds = [self.sound] * batch
        if not self.mel_on_host:
            return self.mel(sounds).to(self.dtype)
        found = self.extractor(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        features: torch.Tensor = found.input_features.to(self.device, self.dtype)
        return features

    @torch.inference_mode()
    def generate(self, batch: int) -> float:
        """Return the seconds of transformers' `generate` for the same batch, with our log-mel."""
        self.wait()
        began = time.perf_counter()
        with self._counted():
            self.model.generate(
                input_features=self._mel(batch), return_timestamps=True, num_beams=1,
                do_sample=False, max_new_tokens=self.tokens, min_new_tokens=self.tokens,
                force_unique_generate_call=True,
            )  # fmt: skip
        self.wait()
        return time.perf_counter() - began

    def pipeline(self, batch: int) -> float:
        """Return the seconds of transformers' pipeline for the same windows."""
        import transformers

        asr = transformers.pipeline(
            "automatic-speech-recognition", model=self.model, tokenizer=make_tokenizer(self.eos),
            feature_extractor=self.extractor, device=self.device,
        )  # fmt: skip
        options = {
            "num_beams": 1, "do_sample": False,
            "max_new_tokens": self.tokens, "min_new_tokens": self.tokens,
        }  # fmt: skip

        def run() -> float:
            sounds = [{"raw": self.sound, "sampling_rate": SAMPLE_RATE} for _ in range(batch)]
            self.wait()
            began = time.perf_counter()
            with self._counted():
                asr(sounds, batch_size=batch, generate_kwargs=options)
            self.wait()
            return time.perf_counter() - began

        run()
        return run()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Raise ValueError if transformers writes more or fewer tokens than requested."""
        lengths: Counter[int] = Counter()
        undo = lengths_of_generate(lengths)
        try:
            yield
        finally:
            undo()
        self._equal(lengths)

    def _equal(self, lengths: Counter[int] | set[int]) -> None:
        if set(lengths) != {self.tokens}:
            raise ValueError(f"tokens a window are {sorted(lengths)}, not {self.tokens}")


FLOAT32 = "in float32 (TF32 where the card has it)"
THEIRS = "transformers' encoder"
EXTRACTOR = "log-mel by the extractor on the CPU"
EVERY_STEP = "asked after every step whether it is done"
NO_GRAPH = "without CUDA graphs"
COMPILED = "compiled encoder"


def applicable_options(manager: GPUManager) -> tuple[str, ...]:
    """Return the options to try on this device, without the compilation."""
    if manager.on_gpu:
        return FLOAT32, THEIRS, EXTRACTOR, EVERY_STEP, NO_GRAPH
    # On a CPU, the other rows already use float32 and check after every step, at no cost. The first
    # and the last change nothing there, but `--tiny` is to run them.
    return THEIRS, EXTRACTOR, NO_GRAPH


@contextmanager
def with_option(bench: Bench, lever: str, manager: GPUManager) -> Iterator[Bench]:
    """Change one option of the model; undo the change afterwards."""
    encoder, every, graphs = bench.encoder, greedy.CHECK_EVERY, bench.graphs
    try:
        if lever == FLOAT32:
            yield Bench(bench.shape, manager, bench.tokens, torch.float32)
            return
        if lever == THEIRS:
            bench.encoder = bench.theirs
        elif lever == NO_GRAPH:
            bench.graphs = False
        elif lever == EXTRACTOR:
            bench.mel_on_host = True
        elif lever == EVERY_STEP:
            greedy.CHECK_EVERY = 1
        elif lever == COMPILED:
            bench.encoder = torch.compile(encoder, dynamic=False)
        yield bench
    finally:
        bench.encoder, bench.graphs = encoder, graphs
        bench.mel_on_host, greedy.CHECK_EVERY = False, every
