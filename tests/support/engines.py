"""Engines for tests, loaded as in the application: the demo recognizer and random models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    ParakeetCTCConfig,
    ParakeetEncoderConfig,
    ParakeetFeatureExtractor,
    ParakeetForCTC,
    ParakeetForTDT,
    ParakeetProcessor,
    ParakeetTDTConfig,
)
from transformers.models.parakeet.tokenization_parakeet import ParakeetTokenizer

from gpu.manager import GPUManager
from kb.asr.engines import load_engine
from kb.asr.engines.base import Engine
from tests.support.qwen3 import write_qwen3

PIECES = ("▁winter", "▁har", "bour", "▁the", "▁lan", "tern", "▁old", "s", ".", ",", "▁stone")


def write_parakeet(folder: Path, kind: str) -> Path:
    """Write a Parakeet of a few thousand random weights in the hub's layout; `tdt` or `ctc`."""
    vocabulary = {piece: n for n, piece in enumerate(("<unk>", "<pad>", *PIECES, "<blank>"))}
    blank = vocabulary["<blank>"]
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.decoder, words.pre_tokenizer = decoders.Metaspace(), pre_tokenizers.Metaspace()
    pad = "<pad>" if kind == "tdt" else "<blank>"
    tokenizer = ParakeetTokenizer(tokenizer_object=words, pad_token=pad, unk_token="<unk>")
    torch.manual_seed(4)
    encoder = ParakeetEncoderConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        subsampling_conv_channels=8,
    )  # fmt: skip
    model: ParakeetForTDT | ParakeetForCTC
    if kind == "tdt":
        model = ParakeetForTDT(
            ParakeetTDTConfig(
                vocab_size=len(vocabulary), decoder_hidden_size=16, num_decoder_layers=1,
                encoder_config=encoder, blank_token_id=blank, pad_token_id=1,
            )
        )  # fmt: skip
        model.generation_config = GenerationConfig(decoder_start_token_id=blank)
        head = model.joint.head
    else:
        model = ParakeetForCTC(
            ParakeetCTCConfig(
                vocab_size=len(vocabulary), pad_token_id=blank, encoder_config=encoder
            )
        )
        head = model.ctc_head
    torch.manual_seed(4)
    with torch.no_grad():
        # Rounding must not change the likeliest token, and it must not always be the blank.
        torch.nn.init.normal_(head.weight, std=3.0)
        head.bias.zero_()
        head.bias[blank] = -1.0
    model.eval().save_pretrained(folder)
    ParakeetProcessor(ParakeetFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
    return folder


def _write_once(folder: Path, write: Callable[[Path], object]) -> str:
    if not folder.is_dir():
        write(folder)
    return str(folder)


def _qwen3(folder: Path) -> str:
    """Write a recognizer, and its aligner beside it for KB_QWEN_ALIGNER; return the recognizer."""
    if not (folder / "asr").is_dir():
        write_qwen3(folder)
    return str(folder / "asr")


@dataclass(frozen=True)
class Case:
    """An engine with a model for its tests.

    `model(folder)` returns the model's name; a generated model is written to `folder`. `speech`:
    the weights recognize words; `stops`: `stop` ends a running `decode`.
    """

    engine: str
    model: Callable[[Path], str] = lambda _: "demo"
    speech: bool = False
    stops: bool = True


CASES = {
    "whisper": Case("whisper", speech=True),
    "faster-whisper": Case("faster-whisper", speech=True),
    "parakeet:tdt": Case(
        "parakeet", lambda folder: _write_once(folder / "tdt", lambda f: write_parakeet(f, "tdt"))
    ),
    "parakeet:ctc": Case(
        "parakeet",
        lambda folder: _write_once(folder / "ctc", lambda f: write_parakeet(f, "ctc")),
        stops=False,  # it decodes in one pass
    ),
    "qwen3-asr": Case("qwen3-asr", _qwen3),
}
SPEECH_CASES = tuple(name for name, case in CASES.items() if case.speech)


@cache
def load_case(name: str, folder: Path) -> Engine:
    """Load the engine of a case; `folder` is for generated models."""
    return new_engine(name, folder)


def new_engine(name: str, folder: Path) -> Engine:
    """Load the engine of a case again, for a test that stops or closes it."""
    case = CASES[name]
    return load_engine(case.engine, case.model(folder), GPUManager("cpu", cpu_threads=1))
