"""The losses that the training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as fn

from .batches import IGNORE, Batch
from .model_init import ALIGNMENT_HEADS
from .network import FrameHeads
from .tokens import N_TIMESTAMPS, NO_SPAN, TokenIds

STAMP_REACH, STAMP_WIDTH = 3, 1.2  # frames: a timestamp 20 ms off is nearly right


def token_loss(logits: Tensor, batch: Batch, ids: TokenIds) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the tokens (timestamps against a narrow Gaussian) and their accuracy."""
    labels = batch.labels
    supervised = labels != IGNORE
    log_p, labels = logits[supervised].float().log_softmax(-1), labels[supervised]
    steps = torch.arange(-STAMP_REACH, STAMP_REACH + 1)
    near = torch.exp(-0.5 * (steps / STAMP_WIDTH) ** 2)
    near = near / near.sum()
    stamp = labels >= ids.first_timestamp
    last = ids.first_timestamp + N_TIMESTAMPS - 1
    around = (labels[stamp, None] + steps).clamp(ids.first_timestamp, last)
    loss_stamps = -(log_p[stamp].gather(1, around) * near).sum()
    loss_rest = -log_p[~stamp].gather(1, labels[~stamp, None]).sum()
    guess = log_p.argmax(-1)
    right = torch.where(stamp, (guess - labels).abs() <= 2, guess == labels)
    return (loss_stamps + loss_rest) / len(labels), right.float().mean()


def guidance_loss(looks: list[Tensor], batch: Batch) -> Tensor:
    """−log of the attention mass that the guided heads keep inside the predicted token's frames.

    In the layer that word times are read from, every third of the span is held to a third of the
    mass, so that the head covers the whole word: its alignment then ends where the word ends.
    """
    spans = batch.spans
    here = spans[..., 0] != NO_SPAN
    first, last = spans[here].float().unbind(-1)
    total = looks[0].new_zeros(())
    deepest = max(layer for layer, _ in ALIGNMENT_HEADS)
    for layer, head in ALIGNMENT_HEADS:
        mass = fn.pad(looks[layer][:, head][here].cumsum(-1), (1, 0))  # (spans, frames + 1)
        if layer == deepest:
            third = (last - first) / 3
            marks = torch.stack([first, first + third, last - third, last]).round().long()
            parts = mass.gather(1, marks.T).diff(dim=1)
            part_is_real = marks.T.diff(dim=1) > 0
            loss = -(3 * parts).clamp(min=1e-5).log().clamp(max=12)
            total = total + (loss * part_is_real).sum() / part_is_real.sum()
        else:
            inside = mass.gather(1, torch.stack([first, last], 1).long()).diff(dim=1)
            total = total - inside.clamp(min=1e-5).log().mean()
    return total / len(ALIGNMENT_HEADS)


def frame_loss(heads: FrameHeads, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The frame readings' losses added up, and the share of word frames read right."""
    word, following, place, edges, position = (part.float() for part in heads(states))
    size = word.shape[-1]
    spoken = batch.word != heads.n_words
    loss = fn.cross_entropy(word.reshape(-1, size), batch.word.reshape(-1))
    loss = loss + fn.cross_entropy(following.reshape(-1, size), batch.next_word.reshape(-1))
    loss = loss + 0.3 * fn.cross_entropy(
        place.reshape(-1, place.shape[-1]), batch.place.reshape(-1)
    )
    loss = loss + fn.binary_cross_entropy_with_logits(edges, batch.edges)
    loss = loss + fn.mse_loss(position, batch.positions)
    right = (word.argmax(-1) == batch.word)[spoken].float().mean()
    return loss, right
