"""The device memory of a Parakeet model, computed from its shape.

The first step of the encoder needs the most memory: a convolution makes C channels of the
log-mel, each half as long and half as high, and its non-linearity needs the same amount again.
With b bytes a number, F frames of 10 ms and m mel bands a window takes

    b · F · m  +  2 · b · C · F/2 · m/2

For parakeet-tdt-0.6b-v3 (C = 256, m = 128) in half precision and 60 s this is 2 + 197 MB. All
later steps are an eighth as long: the largest part of a layer, the attention's scores with their
relative positions, takes 4 · b · heads · (F/8)² = 36 MB, and all layers use the same memory. The
computation is for the longest window: shorter windows take less in proportion, and `kb calibrate`
measures windows of the length that the preset cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.asr.engines.spec import read_json_object

LONGEST_S = 60.0
FRAMES = round(LONGEST_S * 100)


@dataclass(frozen=True, slots=True)
class ParakeetShape:
    """A Parakeet model's figures: count of its weights, channels of its first step, mel bands."""

    parameters: int
    channels: int
    mels: int

    def weights_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of the weights on the device, with `number_bytes` a number."""
        return self.parameters * number_bytes

    def window_bytes(self, number_bytes: int = 2) -> int:
        """Return the bytes of one more window of the greatest length (see the module)."""
        halved = self.channels * (FRAMES // 2) * (self.mels // 2)
        return number_bytes * (FRAMES * self.mels + 2 * halved)


def shape_from_folder(folder: Path) -> ParakeetShape | None:
    """Return the shape of the model in a folder, None if it is of another engine."""
    return shape_from_config(read_json_object(folder / "config.json"))


def shape_from_config(config: Mapping[str, Any]) -> ParakeetShape | None:
    """Return the shape in a `config.json`; None if it is neither a TDT nor a CTC Parakeet's."""
    kind = config.get("model_type")
    if kind not in ("parakeet_tdt", "parakeet_ctc"):
        return None
    try:
        encoder = config["encoder_config"]
        width, words = int(encoder["hidden_size"]), int(config["vocab_size"])
        head = (width + 1) * words
        if kind == "parakeet_tdt":
            head = _transducer(
                width,
                int(config["decoder_hidden_size"]),
                int(config["num_decoder_layers"]),
                words,
                len(config["durations"]),
            )
        return ParakeetShape(
            parameters=_encoder(encoder) + head,
            channels=int(encoder["subsampling_conv_channels"]),
            mels=int(encoder["num_mel_bins"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _encoder(config: Mapping[str, Any]) -> int:
    """Return the count of numbers in the encoder's weights."""
    d, f = int(config["hidden_size"]), int(config["intermediate_size"])
    channels, kernel = int(config["subsampling_conv_channels"]), 9  # of 3 x 3
    factor = int(config["subsampling_factor"])
    halvings = factor.bit_length() - 1
    depthwise, pointwise = channels * (kernel + 1), channels * (channels + 1)
    flat = channels * (int(config["num_mel_bins"]) // factor)
    start = depthwise + (halvings - 1) * (depthwise + pointwise) + (flat + 1) * d
    attention = 5 * d * d + 2 * d  # with relative positions and their two biases
    convolution = 3 * d * d + d * int(config["conv_kernel_size"]) + 2 * d
    feed_forward = 2 * d * f
    if config.get("attention_bias", True):
        attention += 4 * d
        feed_forward += d + f
    if config.get("convolution_bias", True):
        convolution += 4 * d
    norms = 5 * 2 * d
    layer = attention + convolution + 2 * feed_forward + norms
    return start + int(config["num_hidden_layers"]) * layer


def _transducer(width: int, hidden: int, layers: int, words: int, durations: int) -> int:
    """Return the count of numbers in the transducer's decoder: an LSTM and the joint network."""
    lstm = 8 * hidden * hidden + 8 * hidden
    projections = (width + 1) * hidden + (hidden + 1) * hidden
    return words * hidden + layers * lstm + projections + (hidden + 1) * (words + durations)
