"""The device memory of a Whisper model, computed from its shape.

With d the width, L layers of the decoder, b bytes a number and 1500 positions of the encoder
(30 s in steps of 20 ms), one window takes, while it is written,

    cross-attention cache   2 · b · 1500 · d · L · 1.75   keys and values of every decoder layer
    self-attention cache    2 · b ·  400 · d · L
    watched attention       b · 1500 · heads · 256
    logits                  16 · vocabulary

The factor: the caches of a batch stay until all of it is written, because windows may be read
once more; a copy of those that go on is made when a quarter of them is finished. The 400 steps:
64 of the beginning, and of three quarters of the windows 192 and 256, the caches before and
after they have grown for the last time. Attention is watched at the heads that time words, in
blocks of 64 steps. The logits are float32, four times: raw, masked, and their log-softmax with
its own copy.

Before that, while it is heard, it takes log-mel and encoder: 4 · mels · 3000 + b · 1500 ·
(2 · ffn + 5 · d), the inner activations before and after the non-linearity, and queries, keys,
values, residual and states. The two do not come together, so the larger one counts. For
large-v3 in half precision (d = 1280, L = 32) that is 430 + 66 + 18 MB, for large-v3-turbo
(L = 4) 54 + 8 + 18 MB, the last being at most: they have 10 and 6 such heads.

Weights are counted tensor by tensor as transformers has them (the output layer shares the
token embedding): 1,543 million numbers for large-v3, 3.1 GB in half precision.
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
TRACED_STEPS = 256  # steps of attention that are kept: 224 tokens and a prompt, in whole blocks
KEPT = 0.75  # of the windows go on at most, when a batch's caches are copied without the others
FIRST_STEPS = 64  # of the text in caches that have not grown yet
GROWN_STEPS = 192 + 256  # before and after they have grown for the last time
TIMING_HEADS = 24  # at most, of models that name theirs (large-v2: 23)


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """A Whisper model's figures: layers, width, heads and inner width, vocabulary, mel bands.

    `timing_heads` of the decoder have their attention watched.
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
        """Return the bytes of one more window in a batch (see the module)."""
        b, d = number_bytes, self.width
        encoder_bytes = 4 * self.mels * FRAMES + b * POSITIONS * (2 * self.inner + 5 * d)
        own_steps = FIRST_STEPS + int(KEPT * GROWN_STEPS)
        decoder_bytes = (
            int((1 + KEPT) * self.cross_cache_bytes(b))
            + 2 * b * own_steps * d * self.decoder_layers
            + b * POSITIONS * self.timing_heads * TRACED_STEPS
            + 16 * self.vocabulary
        )
        return max(encoder_bytes, decoder_bytes)


def shape_from_config(config: Mapping[str, Any]) -> WhisperShape | None:
    """The shape in a `config.json`, None if it is not Whisper's."""
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
    # As the decoder has it: all heads of the later half of its layers.
    layers = shape.decoder_layers - shape.decoder_layers // 2
    return replace(shape, timing_heads=layers * shape.heads)
