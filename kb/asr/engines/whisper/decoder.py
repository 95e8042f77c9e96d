"""Whisper's text decoder, one token at a time, with caches that keep their place in memory.

The arithmetic is that of `transformers`' WhisperDecoder (a test compares them). The layout suits
greedy decoding in batches: one matrix gives query, key and value, the keys and values of the
cross-attention are computed once for a window, and each step returns the attention of the
alignment heads, so that word times need no second pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - torch's own examples use this name

from kb.asr.engines.whisper.batch_shapes import STEP_BLOCK, ceil_to_block
from kb.asr.engines.whisper.packed_linear import Linear
from kb.asr.engines.whisper.sound_layout import KEYS, transposed_part

_ROWS = 8  # usual number of windows in a batch on a CPU


@dataclass(frozen=True, slots=True)
class _Layer:
    self_norm: Any
    self_qkv: Linear
    self_out: Linear
    cross_norm: Any
    cross_q: Linear
    cross_kv: Linear
    cross_out: Linear
    norm: Any
    up: Linear
    down: Linear
    heads: torch.Tensor | None  # indices of the alignment heads, whose attention is returned
    every_head: bool  # all heads are alignment heads


@dataclass(slots=True)
class Caches:
    """The state of a batch between steps.

    One tensor for each layer: `self_attention` holds keys and values of the tokens so far,
    [2, windows, heads, steps, width]; `cross_attention` those of the sound,
    [2, windows, heads, positions, width]. On a CPU either the keys or the values of the sound are
    transposed, [windows, heads, width, positions] in the same memory (`_transposed_view`); see
    `kb.asr.engines.whisper.sound_layout`. On a GPU
    `timing_keys` holds the alignment heads' keys of the sound once more, without the other heads,
    [1, windows, alignment heads, positions, width]; a layer without such heads has none.
    """

    self_attention: list[torch.Tensor]
    cross_attention: list[torch.Tensor]
    timing_keys: list[torch.Tensor | None]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the windows with the indices `rows` [kept]; free the memory of the others."""
        # One layer after the other, so that two copies of all layers never exist at once.
        for caches in (self.self_attention, self.cross_attention):
            for place, cache in enumerate(caches):
                caches[place] = cache.index_select(1, rows)
        self.timing_keys = [
            None if keys is None else keys.index_select(1, rows) for keys in self.timing_keys
        ]

    def copy(self) -> Caches:
        """Return caches that share the tensors, but not the lists that `keep` and `grow` change."""
        return Caches(list(self.self_attention), list(self.cross_attention), list(self.timing_keys))

    def spread(self, texts: int) -> Caches:
        """Return the caches for several texts of each window: self-attention is repeated."""
        return Caches(
            [cache.repeat_interleave(texts, 1) for cache in self.self_attention],
            list(self.cross_attention),
            list(self.timing_keys),
        )

    def reorder(self, rows: torch.Tensor) -> None:
        """Reorder the texts: each text continues the one with its index in `rows` [texts]."""
        self.self_attention = [cache.index_select(1, rows) for cache in self.self_attention]

    def grow(self) -> None:
        """Enlarge the text caches for more steps."""
        self.self_attention = [F.pad(cache, (0, 0, 0, STEP_BLOCK)) for cache in self.self_attention]

    @property
    def capacity(self) -> int:
        return int(self.self_attention[0].shape[3])

    @property
    def rows(self) -> int:
        return int(self.self_attention[0].shape[1])


class Decoder:
    """The decoder of a `WhisperForConditionalGeneration`.

    On a GPU it shares the model's weights, except those that it fuses; on a CPU it has its own copy
    in another layout, and the model's decoder layers may be deleted.
    """

    def __init__(self, model: Any, *, whole_caches: bool = False) -> None:
        """`whole_caches`: the layout of a GPU. Each step attends to whole text caches with a mask,
        in few sizes.
        """
        self._whole_caches = whole_caches
        config, decoder = model.config, model.model.decoder
        self._heads = int(config.decoder_attention_heads)
        self._width = int(config.d_model) // self._heads
        self.source_positions = int(config.max_source_positions)
        self.longest = int(config.max_target_positions)
        self._act = decoder.layers[0].activation_fn
        tokens, project = decoder.embed_tokens.weight, model.proj_out.weight
        self._vocabulary = int(tokens.shape[0])
        tied = tokens.data_ptr() == project.data_ptr()
        if whole_caches:
            # A product with an odd number of rows takes slow kernels.
            tokens = _padded_rows(tokens)
            project = tokens if tied else _padded_rows(project)
        self._tokens = tokens
        self._positions = decoder.embed_positions.weight
        self._norm = decoder.layer_norm
        # Row n, added to the scores of step n, leaves out the steps after it.
        steps = ceil_to_block(self.longest)
        later = torch.full((steps, steps), float("-inf"), dtype=self._tokens.dtype).triu(1)
        self._later_steps = later.to(self._tokens.device)
        self._project = Linear(project, None, _ROWS)
        # Which of the sound's keys and values lie transposed; None: neither.
        self._transposed: int | None = None
        if self._tokens.device.type == "cpu" and not whole_caches:
            self._transposed = transposed_part()
        heads = getattr(model.generation_config, "alignment_heads", None) or [
            # openai-whisper's default for a model that names no alignment heads.
            [layer, head]
            for layer in range(config.decoder_layers // 2, config.decoder_layers)
            for head in range(self._heads)
        ]
        by_layer: dict[int, list[int]] = {}
        for layer, head in heads:
            by_layer.setdefault(int(layer), []).append(int(head))
        self.alignment_head_count = sum(map(len, by_layer.values()))
        self._layers = [
            self._layer(layer, by_layer.get(number, []))
            for number, layer in enumerate(decoder.layers)
        ]

    def caches(self, states: torch.Tensor) -> Caches:
        """Return caches for encoder states [windows, positions, model width]."""
        found = self.empty_caches(states.shape[0], STEP_BLOCK)
        self.fill(found, states)
        return found

    def empty_caches(self, rows: int, steps: int) -> Caches:
        """Return caches for `rows` windows and `steps` tokens, without keys and values of sound."""
        new, heads, width = self._tokens.new_empty, self._heads, self._width
        positions = self.source_positions
        return Caches(
            [new((2, rows, heads, steps, width)).zero_() for _ in self._layers],
            [new((2, rows, heads, positions, width)) for _ in self._layers],
            [
                new((1, rows, len(layer.heads), positions, width))
                if layer.heads is not None and not layer.every_head and self._transposed is None
                else None
                for layer in self._layers
            ],
        )

    def fill(self, caches: Caches, states: torch.Tensor) -> None:
        """Write keys and values of encoder states [windows, positions, model width] into caches."""
        for layer, cache, timing in zip(
            self._layers, caches.cross_attention, caches.timing_keys, strict=True
        ):
            for first, some in _portions(states):
                pair = layer.cross_kv(some).unflatten(-1, (2, self._heads, self._width))
                pair = pair.permute(2, 0, 3, 1, 4)
                part = cache[:, first : first + some.shape[0]]
                if self._transposed is None:
                    part.copy_(pair)
                else:
                    kept, turned = 1 - self._transposed, self._transposed
                    part[kept] = pair[kept]
                    _transposed_view(part[turned]).copy_(pair[turned].transpose(-1, -2))
                if timing is not None:
                    own = pair[:1].index_select(2, layer.heads)
                    timing[:, first : first + some.shape[0]] = own

    def step(
        self, tokens: torch.Tensor, at: int | torch.Tensor, caches: Caches
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode one step: the `at`-th `tokens`, one for each window ([windows]), enter the caches.

        Returns logits [windows, vocabulary] and the attention of the alignment heads [windows,
        heads, positions]. Several texts of each window may be decoded at once: then the tokens (and
        the self-attention caches) are a multiple of the windows in the cross-attention caches, with
        the texts of a window next to each other. With `at` as a tensor [1] on the device the step
        has the same shapes for every `at` and reads no number from the host, as a CUDA graph
        requires.
        """
        rows = tokens.shape[0]
        if isinstance(at, torch.Tensor):
            x = F.embedding(tokens, self._tokens) + self._positions.index_select(0, at)
            later = self._later_steps.index_select(0, at)[0]
        else:
            if at >= caches.capacity:
                caches.grow()
            x = F.embedding(tokens, self._tokens) + self._positions[at]
            later = self._later_steps[at]
        later = later[: caches.capacity]
        alignment_attention: list[torch.Tensor] = []
        for layer, own, cross, timing in zip(
            self._layers,
            caches.self_attention,
            caches.cross_attention,
            caches.timing_keys,
            strict=True,
        ):
            qkv = layer.self_qkv(layer.self_norm(x)).view(rows, 3, self._heads, 1, self._width)
            fresh = qkv[:, 1:].transpose(0, 1)
            if isinstance(at, torch.Tensor):
                own.index_copy_(3, at, fresh)
            else:
                own[:, :, :, at : at + 1] = fresh
            if self._whole_caches or isinstance(at, torch.Tensor):
                # Written out: a library would make a plan for each length of the text.
                keys, values = own.flatten(1, 2)
                scores = torch.baddbmm(later, qkv[:, 0].flatten(0, 1), keys.transpose(-1, -2))
                found = scores.softmax(-1) @ values
            else:
                # A CPU has no plans: it reads only the steps that there are.
                past = own[:, :, :, : at + 1]
                found = F.scaled_dot_product_attention(qkv[:, 0], past[0], past[1], scale=1.0)
            x = x + layer.self_out(found.reshape(rows, -1))
            # The texts of a window share its cross-attention: [windows, heads, texts, width].
            query = layer.cross_q(layer.cross_norm(x))
            query = query.view(cross.shape[1], -1, self._heads, self._width).transpose(1, 2)
            if self._transposed is not None:
                if self._transposed == KEYS:
                    weights = (query @ _transposed_view(cross[0])).softmax(-1)
                    found = weights @ cross[1]
                else:
                    weights = (cross[0] @ query.transpose(-1, -2)).transpose(-1, -2).softmax(-1)
                    values = _transposed_view(cross[1])
                    found = (values @ weights.transpose(-1, -2)).transpose(-1, -2)
                if layer.heads is not None:
                    weights = weights.index_select(1, layer.heads)
            else:
                # One pass over keys and values; the attention of the few alignment heads apart
                # from it reads a third of the keys once more, instead of all scores three times.
                found = F.scaled_dot_product_attention(query, cross[0], cross[1], scale=1.0)
                if layer.heads is not None:
                    if timing is not None:
                        query = query.index_select(1, layer.heads)
                    keys = cross[0] if timing is None else timing[0]
                    weights = (query @ keys.transpose(-1, -2)).softmax(-1)
            if layer.heads is not None:
                alignment_attention.append(weights.transpose(1, 2).flatten(0, 1))
            x = x + layer.cross_out(found.transpose(1, 2).reshape(rows, -1))
            x = x + layer.down(self._act(layer.up(layer.norm(x))))
        logits = self._project(self._norm(x))[:, : self._vocabulary]
        return logits, torch.cat(alignment_attention, dim=1)

    def _layer(self, layer: Any, heads: list[int]) -> _Layer:
        own, cross = layer.self_attn, layer.encoder_attn
        # The scale of the queries is applied to their weights once; transformers does it per call.
        scale = float(self._width) ** -0.5
        return _Layer(
            layer.self_attn_layer_norm,
            _fuse_linears([(own.q_proj, scale), (own.k_proj, 1.0), (own.v_proj, 1.0)], _ROWS),
            Linear(own.out_proj.weight, own.out_proj.bias, _ROWS),
            layer.encoder_attn_layer_norm,
            _fuse_linears([(cross.q_proj, scale)], _ROWS),
            _fuse_linears([(cross.k_proj, 1.0), (cross.v_proj, 1.0)], self.source_positions),
            Linear(cross.out_proj.weight, cross.out_proj.bias, _ROWS),
            layer.final_layer_norm,
            Linear(layer.fc1.weight, layer.fc1.bias, _ROWS),
            Linear(layer.fc2.weight, layer.fc2.bias, _ROWS),
            # A tensor, because a list as an index would be copied to the device at every step.
            torch.tensor(heads, device=layer.fc1.weight.device) if heads else None,
            heads == list(range(self._heads)),
        )


def columns(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return the prompts' tokens by position, [windows] each, without the first position.

    All tokens are copied to the device at once.
    """
    return torch.tensor([list(prompt) for prompt in prompts], device=device)[:, 1:].unbind(1)


def _padded_rows(weight: torch.Tensor) -> torch.Tensor:
    """Return the matrix with rows of zeros up to a multiple of 64."""
    return F.pad(weight, (0, 0, 0, -weight.shape[0] % 64))


def _transposed_view(values: torch.Tensor) -> torch.Tensor:
    """Return [windows, heads, width, positions] in the memory of `values`, without a copy."""
    return values.view(*values.shape[:2], values.shape[3], values.shape[2])


def _portions(states: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """Return the windows in the portions that multiply fastest: single ones on a CPU."""
    if states.device.type != "cpu":
        return [(0, states)]
    return [(row, states[row : row + 1]) for row in range(states.shape[0])]


def _fuse_linears(parts: Sequence[tuple[Any, float]], rows: int) -> Linear:
    """Return one linear layer for several, their scaled outputs side by side."""
    weights = [part.weight * scale for part, scale in parts]
    biases = [
        weight.new_zeros(weight.shape[0]) if part.bias is None else part.bias * scale
        for weight, (part, scale) in zip(weights, parts, strict=True)
    ]
    return Linear(torch.cat(weights), torch.cat(biases), rows)
