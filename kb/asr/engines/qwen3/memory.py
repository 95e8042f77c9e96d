"""The device memory of a Qwen3-ASR model, computed from its shape.

Both sizes have a language model of 28 layers with 8 heads of width 128 for keys and values. With
b bytes a number, a window of 30 s takes in the encoder

    b · F · m  +  2 · b · C · F/2 · m/2       log-mel and the encoder's first convolution, before
                                              and after its non-linearity

(F = 3000 frames, m = 128 mel bands, C = 480 channels: 185 MB in half precision), and in the
language model

    2 · b · 28 · 8 · 128 · P                  keys and values of P positions: 390 of sound, the
                                              512 of the longest text, 100 of the prompt
    12 · vocabulary                           logits of one step and their logarithms, float32

which is 117 MB; the encoder's memory is free by then. The aligner (918 million numbers) is loaded
beside the recognizer; its activations are freed as well, and it processes fewer windows at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.asr.engines.spec import read_json_object

ALIGNER_PARAMETERS = 917_597_824  # Qwen3-ForcedAligner-0.6B
FRAMES = 3000  # of 10 ms
PLACES = 390 + 512 + 100


@dataclass(frozen=True, slots=True)
class QwenShape:
    """A Qwen3-ASR model's figures.

    Count of its weights (without the aligner's), vocabulary, layers of the language model, width
    of their keys, channels of the encoder's first step, mel bands.
    """

    parameters: int
    vocabulary: int
    layers: int = 28
    key_width: int = 8 * 128
    channels: int = 480
    mels: int = 128

    def weights_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of the weights on the device, the aligner's included."""
        return (self.parameters + ALIGNER_PARAMETERS) * number_bytes

    def window_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of one more window of the greatest length (see the module)."""
        halved = self.channels * (FRAMES // 2) * (self.mels // 2)
        encoder_bytes = number_bytes * (FRAMES * self.mels + 2 * halved)
        cached = 2 * number_bytes * self.layers * self.key_width * PLACES
        return max(encoder_bytes, cached + 12 * self.vocabulary)


def shape_from_folder(folder: Path) -> QwenShape | None:
    """Return the shape of the model in a folder, None if it is of another engine."""
    return shape_from_config(read_json_object(folder / "config.json"))


def shape_from_config(config: Mapping[str, Any]) -> QwenShape | None:
    """Return the shape in a `config.json`; None if it is not a Qwen3-ASR's of transformers."""
    if config.get("model_type") != "qwen3_asr":
        return None
    try:
        sound, text = config["audio_config"], config["text_config"]
        tied = bool(config.get("tie_word_embeddings", True))
        return QwenShape(
            parameters=_encoder(sound) + _language_model(text, tied),
            vocabulary=int(text["vocab_size"]),
            layers=int(text["num_hidden_layers"]),
            key_width=int(text["num_key_value_heads"]) * int(text["head_dim"]),
            channels=int(sound["downsample_hidden_size"]),
            mels=int(sound["num_mel_bins"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _encoder(config: Mapping[str, Any]) -> int:
    """Return the count of numbers in the weights of the audio encoder and its projection."""
    d, f = int(config["d_model"]), int(config["encoder_ffn_dim"])
    c, out = int(config["downsample_hidden_size"]), int(config["output_dim"])
    start = 9 * c + 2 * 9 * c * c + 3 * c + c * -(-int(config["num_mel_bins"]) // 8) * d
    layer = 4 * (d + 1) * d + 2 * d * f + f + d + 4 * d
    projector = (d + 1) * d + (d + 1) * out
    return start + int(config["encoder_layers"]) * layer + 2 * d + projector


def _language_model(config: Mapping[str, Any], tied: bool) -> int:
    """Return the count of numbers in the language model's weights.

    `tied`: the output layer shares the weights of the token embedding.
    """
    d, f = int(config["hidden_size"]), int(config["intermediate_size"])
    head = int(config["head_dim"])
    heads, keys = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    attention = 2 * d * heads * head + 2 * d * keys * head + 2 * head
    layer = attention + 3 * d * f + 2 * d
    tables = int(config["vocab_size"]) * d * (1 if tied else 2)
    return tables + int(config["num_hidden_layers"]) * layer + d
