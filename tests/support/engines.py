"""Engines for tests, each as its users load it: the demo recognizer, or small random models."""

from __future__ import annotations

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
    """A Parakeet of a few thousand random weights, saved as the hub has them; `tdt` or `ctc`."""
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
        # What is likeliest is so by more than rounding, and not always the blank.
        torch.nn.init.normal_(head.weight, std=3.0)
        head.bias.zero_()
        head.bias[blank] = -1.0
    model.eval().save_pretrained(folder)
    ParakeetProcessor(ParakeetFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
    return folder


def model_path(name: str, folder: Path) -> str:
    """The model of a case, written to `folder` if need be, where KB_QWEN_ALIGNER finds it too."""
    engine, _, kind = name.partition(":")
    if engine == "parakeet":
        place = folder / kind
        return str(place if place.is_dir() else write_parakeet(place, kind))
    if engine == "qwen3-asr":
        return str(folder / "asr" if (folder / "asr").is_dir() else write_qwen3(folder)[0])
    return "demo"


@cache
def load_case(name: str, folder: Path) -> Engine:
    """An engine by the name of a case; `folder` is for what it has to write."""
    manager = GPUManager("cpu", cpu_threads=1)
    return load_engine(name.partition(":")[0], model_path(name, folder), manager)


CASES = ("whisper", "faster-whisper", "parakeet:tdt", "parakeet:ctc", "qwen3-asr")
SPEECH_CASES = ("whisper", "faster-whisper")  # with weights that know words
