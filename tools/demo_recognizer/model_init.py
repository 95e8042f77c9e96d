"""The shape of the demo recognizer and the initial weights that make it learn.

transformers' own initialisation (every weight at a standard deviation of 0.02) leaves the output
of the convolutions far below the position sinusoids, and the model hears almost nothing for
thousands of steps. Here linear layers start at Xavier's and convolutions at Kaiming's scale, and
every encoder head starts as a soft look at the frame a few steps before or after its own.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn
from transformers import WhisperConfig, WhisperForConditionalGeneration

from .tokens import N_TIMESTAMPS, TokenIds

D_MODEL, HEADS = 128, 4
# Frames of 20 ms, per layer.
HEAD_OFFSETS = ((-5, -2, 2, 5), (-14, -5, 5, 14), (-20, -8, 8, 20), (-30, -11, 11, 30))
PEAK_SCORE = 7.0  # the attention score of the frame that a head starts out looking at
ALIGNMENT_HEADS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (decoder layer, head) guided in training


def make_config(ids: TokenIds) -> WhisperConfig:
    """4 encoder and 3 decoder layers of width 128 over Whisper's own 30-s windows."""
    return WhisperConfig(
        vocab_size=ids.size,
        num_mel_bins=80,
        d_model=D_MODEL,
        encoder_layers=len(HEAD_OFFSETS),
        encoder_attention_heads=HEADS,
        encoder_ffn_dim=4 * D_MODEL,
        decoder_layers=3,
        decoder_attention_heads=HEADS,
        decoder_ffn_dim=4 * D_MODEL,
        max_source_positions=1500,
        max_target_positions=448,
        bos_token_id=ids.eot,
        eos_token_id=ids.eot,
        pad_token_id=ids.eot,
        decoder_start_token_id=ids.sot,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        median_filter_width=7,
        dropout=0.0,
    )


@torch.no_grad()
def make_model(ids: TokenIds) -> WhisperForConditionalGeneration:
    """A fresh model, ready for training."""
    model = WhisperForConditionalGeneration(make_config(ids))
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not model.proj_out:
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            module.bias.zero_()
    encoder, decoder = model.model.encoder, model.model.decoder
    for layer, offsets in zip(encoder.layers, HEAD_OFFSETS, strict=True):
        for head, offset in enumerate(offsets):
            _set_offset_head(layer.self_attn, head, offset)
    sinusoids = encoder.embed_positions.weight
    nn.init.normal_(decoder.embed_tokens.weight, std=0.05)
    first = ids.first_timestamp
    decoder.embed_tokens.weight[first : first + N_TIMESTAMPS - 1] = 0.07 * sinusoids
    decoder.embed_tokens.weight[first + N_TIMESTAMPS - 1] = 0.07 * sinusoids[-1]
    # Sinusoids for the place in the text too (neighbours alike, late places never quite
    # untrained), turned so that they do not look like places in the sound.
    turn = torch.linalg.qr(torch.randn(D_MODEL, D_MODEL))[0]
    places = decoder.embed_positions.weight.shape[0]
    decoder.embed_positions.weight.copy_(0.04 * sinusoids[:places] @ turn)
    return model


@torch.no_grad()
def take_up(model: WhisperForConditionalGeneration, folder: Path) -> None:
    """Put the weights of the recognizer in ``folder`` into ``model``.

    Layers that the saved one lacks begin as identities (their last projections at zero), so that
    a grown model starts out as good as the one it grew from.
    """
    old = WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.load_state_dict(old.state_dict(), strict=False)
    for new, before in (
        (model.model.encoder, old.model.encoder),
        (model.model.decoder, old.model.decoder),
    ):
        for layer in new.layers[len(before.layers) :]:
            last = [layer.self_attn.out_proj, layer.fc2]
            last += [layer.encoder_attn.out_proj] if hasattr(layer, "encoder_attn") else []
            for linear in last:
                linear.weight.zero_()
                linear.bias.zero_()


def _set_offset_head(attention: nn.Module, head: int, offset: int) -> None:
    """Start head ``head`` so that frame i attends softly to frame i + ``offset``.

    Query and key read the same 16 sinusoids (periods from 6 to about 300 frames) from the
    position table; turning the query by frequency × offset moves the peak of their product.
    """
    half = D_MODEL // 2
    width = D_MODEL // HEADS
    gain = math.sqrt(PEAK_SCORE * math.sqrt(width) / (width // 2)) * math.sqrt(0.5)
    rows = slice(head * width, (head + 1) * width)
    attention.q_proj.weight[rows] *= 0.1
    attention.k_proj.weight[rows] *= 0.1
    channels = torch.linspace(0, 26, width // 2).round().long()
    for pair, channel in enumerate(channels.tolist()):
        omega = math.exp(-math.log(10_000) / (half - 1) * channel)
        sine, cosine = rows.start + 2 * pair, rows.start + 2 * pair + 1
        attention.k_proj.weight[sine, channel] += gain
        attention.k_proj.weight[cosine, half + channel] += gain
        turn_cos, turn_sin = math.cos(omega * offset), math.sin(omega * offset)
        attention.q_proj.weight[sine, channel] += gain * turn_cos
        attention.q_proj.weight[sine, half + channel] += gain * turn_sin
        attention.q_proj.weight[cosine, half + channel] += gain * turn_cos
        attention.q_proj.weight[cosine, channel] -= gain * turn_sin
