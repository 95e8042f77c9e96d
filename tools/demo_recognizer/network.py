"""The forward pass used in training: transformers' own weights, read by faster functions.

It computes what ``WhisperForConditionalGeneration`` computes, and in addition takes crops of a
window anywhere on the position table, returns the cross-attention of the decoder only (the
encoder stays on fused attention), and reads the encoder with linear heads that exist in training
alone.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as fn
from transformers import WhisperForConditionalGeneration

from .model_init import D_MODEL, HEADS
from .windows import SEGMENT_WORDS

WIDTH = D_MODEL // HEADS


class FrameHeads(nn.Module):
    """Linear readings of every encoder frame, as extra things to be learnt.

    The word being said, its edges, the *next* word (a pause belongs to the word before it), the
    word's place in its segment, and the frame's own position. Without the next word and the
    position the decoder finds nothing to hold on to when it moves from word to word.
    """

    def __init__(self, n_words: int):
        super().__init__()
        self.n_words = n_words
        self.sizes = [n_words + 1, n_words + 1, SEGMENT_WORDS + 1, 2, D_MODEL]
        self.project = nn.Linear(D_MODEL, sum(self.sizes))

    def forward(self, states: Tensor) -> tuple[Tensor, ...]:
        """(batch, frames, 128) → word, next word, place, edges, position: (batch, frames, n)."""
        return self.project(states).split(self.sizes, dim=-1)


def _heads(x: Tensor) -> Tensor:
    batch, length, _ = x.shape
    return x.view(batch, length, HEADS, WIDTH).transpose(1, 2)


def _merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def encode(model: WhisperForConditionalGeneration, mels: Tensor, positions: Tensor) -> Tensor:
    """Encoder states (batch, frames, 128) of log-mels (batch, 80, 2 × frames).

    ``positions`` (batch, frames, 128) are the rows of the position table that the crop lies on.
    """
    encoder = model.model.encoder
    x = fn.gelu(encoder.conv2(fn.gelu(encoder.conv1(mels)))).transpose(1, 2) + positions
    for layer in encoder.layers:
        attention, y = layer.self_attn, layer.self_attn_layer_norm(x)
        q, k, v = (_heads(p(y)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
        x = x + attention.out_proj(_merge(fn.scaled_dot_product_attention(q, k, v)))
        x = x + layer.fc2(fn.gelu(layer.fc1(layer.final_layer_norm(x))))
    return encoder.layer_norm(x)


def decode(
    model: WhisperForConditionalGeneration, tokens: Tensor, states: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Logits (batch, length, vocabulary) and per layer the cross-attention of all heads.

    ``tokens`` (batch, length), ``states`` (batch, frames, 128); attention (batch, 4, length,
    frames), each row summing to one.
    """
    decoder = model.model.decoder
    x = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[: tokens.shape[1]]
    looks = []
    for layer in decoder.layers:
        attention, y = layer.self_attn, layer.self_attn_layer_norm(x)
        q, k, v = (_heads(p(y)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
        x = x + attention.out_proj(_merge(fn.scaled_dot_product_attention(q, k, v, is_causal=True)))
        attention, y = layer.encoder_attn, layer.encoder_attn_layer_norm(x)
        q, k = _heads(attention.q_proj(y)), _heads(attention.k_proj(states))
        v = _heads(attention.v_proj(states))
        attention_weights = (q @ k.transpose(2, 3) * WIDTH**-0.5).float().softmax(-1)
        looks.append(attention_weights)
        x = x + attention.out_proj(_merge(attention_weights.to(v.dtype) @ v))
        x = x + layer.fc2(fn.gelu(layer.fc1(layer.final_layer_norm(x))))
    return fn.linear(decoder.layer_norm(x), decoder.embed_tokens.weight), looks
