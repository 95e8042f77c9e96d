"""The device memory of a Whisper model, computed from its shape.

With d the width, L layers of the decoder, b bytes a number and 1500 positions of the encoder
(30 s in steps of 20 ms), one window takes in the decoder

    cross-attention cache   2 · b · 1500 · d · L · 1.75   keys and values of every decoder layer
    self-attention cache    2 · b ·  400 · d · L
    recorded attention      b · 1500 · heads · 256
    logits                  16 · vocabulary
    word times              34 · 1500 · 256

The factor 1.75: the caches of a batch are kept until all of it is decoded, because windows may be
decoded again; when a quarter of the windows is finished, the other three quarters are copied. The
400 steps: 64 of the first caches, and for three quarters of the windows 192 and 256, the caches
before and after their last growth. The attention of the heads that time words is recorded in
blocks of 64 steps. The logits are float32, four times: raw, masked, and their log-softmax with
its own copy. The word times: costs, running sums and path costs of 8 bytes, and their paths.

In the encoder it takes log-mel and activations: 4 · mels · 3000 + b · 1500 · (2 · ffn + 5 · d), the
inner activations before and after the non-linearity, and queries, keys, values, residual and
states. On a GPU the next batch is in the encoder while this one is in the decoder, so both count.
For large-v3 in half precision (d = 1280, L = 32) the decoder takes 430 + 66 + 18 + 13 MB, for
large-v3-turbo (L = 4) 54 + 8 + 18 + 13 MB; the encoder takes 52 MB. The attention is an upper
bound: the models have 10 and 6 such heads.

Weights are counted tensor by tensor as in transformers (the output layer shares the token
embedding): 1,543 million numbers for large-v3, 3.1 GB in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kb.asr.engines.spec import read_json_object

POSITIONS = 1500
FRAMES = 3000
TOKENS = 448
TRACED_STEPS = 256  # recorded steps of attention: 224 tokens and a prompt, in whole blocks
KEPT = 0.75  # largest share of the windows in a copy of a batch's caches without finished windows
FIRST_STEPS = 64  # steps of the text in caches that have not grown yet
GROWN_STEPS = 192 + 256  # steps before and after the last growth
TIMING_HEADS = 24  # upper bound for models that name theirs (large-v2: 23)


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """A Whisper model's figures: layers, width, heads and inner width, vocabulary, mel bands.

    `timing_heads`: number of the decoder's heads whose attention is recorded.
    """

    encoder_layers: int
    decoder_layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int
    mels: int = 80
    timing_heads: int = TIMING_HEADS

    @property
    def parameters(self) -> int:
        """The count of numbers in the weights, position tables included."""
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
        """Return the bytes of the weights on the device, with `number_bytes` a number."""
        return self.parameters * number_bytes

    def cross_cache_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of keys and values of the sound for one window."""
        return 2 * number_bytes * POSITIONS * self.width * self.decoder_layers

    def window_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of one more window in a batch (see the module)."""
        b, d = number_bytes, self.width
        encoder_bytes = 4 * self.mels * FRAMES + b * POSITIONS * (2 * self.inner + 5 * d)
        own_steps = FIRST_STEPS + int(KEPT * GROWN_STEPS)
        decoder_bytes = (
            int((1 + KEPT) * self.cross_cache_bytes(b))
            + 2 * b * own_steps * d * self.decoder_layers
            + b * POSITIONS * self.timing_heads * TRACED_STEPS
            + 16 * self.vocabulary
            + 34 * POSITIONS * TRACED_STEPS
        )
        return encoder_bytes + decoder_bytes


def shape_from_config(config: Mapping[str, Any]) -> WhisperShape | None:
    """Return the shape in a `config.json`; None if it is not Whisper's."""
    if config.get("model_type") != "whisper":
        return None
    try:
        return WhisperShape(
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


def shape_from_folder(folder: Path) -> WhisperShape | None:
    """Return the shape of the model in a folder, None if it is no Whisper model."""
    config = read_json_object(folder / "config.json")
    shape = shape_from_config(config)
    if shape is None:
        return None
    named = read_json_object(folder / "generation_config.json").get("alignment_heads")
    if isinstance(named, list) and named:
        return replace(shape, timing_heads=len(named))
    # The decoder's default: all heads of the later half of its layers.
    layers = shape.decoder_layers - shape.decoder_layers // 2
    return replace(shape, timing_heads=layers * shape.heads)
