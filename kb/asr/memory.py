"""What a Whisper model needs of a device's memory, by arithmetic on its shape.

With d the width, L layers of the decoder, b bytes a number, 1500 positions of the encoder (30 s
in steps of 20 ms) and a text context of 448 tokens, one window takes

    cross-attention cache   2 · b · 1500 · d · L      keys and values of every decoder layer
    self-attention cache    2 · b ·  448 · d · L
    encoder states          b · 1500 · d
    log-mel                 4 · mels · 3000
    logits                  4 · vocabulary            float32, one step

and, while it is computed, the larger of one encoder layer (its inner activations before and
after the non-linearity, and queries, keys, values and residual: b · 1500 · (2 · ffn + 4 · d))
and one decoder layer of the alignment (heads · 228 tokens · 1500 · (b + 4): weights and their
float32 softmax). For large-v3 in half precision (d = 1280, L = 32) the caches are 246 + 73 MB,
the rest 53 MB; for large-v3-turbo (L = 4) they are 31 + 9 MB.

Weights are counted tensor by tensor as transformers has them (the output layer shares the
token embedding): 1,543 million numbers for large-v3, 3.1 GB in half precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POSITIONS = 1500
FRAMES = 3000
TOKENS = 448
DECODED = 228  # tokens of the longest text, prompt included
WORKSPACE_BYTES = 256 * 2**20  # libraries' work areas, whatever the batch


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A Whisper model's figures: layers, width, heads and inner width, vocabulary, mel bands."""

    encoder_layers: int
    decoder_layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    mels: int = 80

    @property
    def parameters(self) -> int:
        """Numbers in its weights, position tables included."""
        d, f = self.width, self.inner
        attention = 4 * d * d + 3 * d  # keys have no bias
        feed_forward = 2 * d * f + f + d
        norm = 2 * d
        encoder = (
            3 * self.mels * d + d
            + 3 * d * d + d
            + POSITIONS * d
            + self.encoder_layers * (attention + feed_forward + 2 * norm)
            + norm
        )  # fmt: skip
        decoder = (
            (self.vocabulary + TOKENS) * d
            + self.decoder_layers * (2 * attention + feed_forward + 3 * norm)
            + norm
        )
        return encoder + decoder

    def weights_bytes(self, number_bytes: int = 2) -> int:
        """The weights on the device, in numbers of so many bytes."""
        return self.parameters * number_bytes

    def cross_cache_bytes(self, number_bytes: int = 2) -> int:
        """Keys and values of the sound for one window."""
        return 2 * number_bytes * POSITIONS * self.width * self.decoder_layers

    def window_bytes(self, number_bytes: int = 2) -> int:
        """What one more window in a batch takes (see the module)."""
        b, d = number_bytes, self.width
        lasting = (
            self.cross_cache_bytes(b)
            + 2 * b * TOKENS * d * self.decoder_layers
            + b * POSITIONS * d
            + 4 * self.mels * FRAMES
            + 4 * self.vocabulary
        )
        encoder = b * POSITIONS * (2 * self.inner + 4 * d)
        alignment = self.heads * DECODED * POSITIONS * (b + 4)
        return lasting + max(encoder, alignment)

    def batch_bytes(self, windows: int, number_bytes: int = 2) -> int:
        """Weights and a batch of so many windows."""
        return (
            self.weights_bytes(number_bytes)
            + WORKSPACE_BYTES
            + windows * self.window_bytes(number_bytes)
        )


def shape_from_config(config: Mapping[str, Any]) -> ModelShape | None:
    """The shape in a `config.json`, None if it is not Whisper's."""
    if config.get("model_type") != "whisper":
        return None
    try:
        return ModelShape(
            encoder_layers=int(config["encoder_layers"]),
            decoder_layers=int(config["decoder_layers"]),
            width=int(config["d_model"]),
            heads=int(config["decoder_attention_heads"]),
            inner=int(config["encoder_ffn_dim"]),
            vocabulary=int(config["vocab_size"]),
            mels=int(config.get("num_mel_bins", 80)),
        )
    except (KeyError, TypeError, ValueError):
        return None


def shape_from_folder(folder: Path) -> ModelShape | None:
    """The shape of the model in a folder, None if that cannot be told."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return shape_from_config(config) if isinstance(config, dict) else None
