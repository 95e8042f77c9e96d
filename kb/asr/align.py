"""Word times from cross-attention.

The method is openai-whisper's (`timing.py`) as transformers has it
(`WhisperGenerationMixin._extract_token_timestamps`): attention of the alignment heads,
normalised over the tokens, smoothed by a median, and the cheapest monotonic path through it.
Here all windows of a batch are warped together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

FRAME_S = 0.02  # seconds an encoder position
_TOGETHER = 8  # matrices warped at once: some 30 MB at 200 tokens by 1,500 positions
_ROWS = 32  # whose medians a processor looks for at once: with their copies some 2 MB

Costs = npt.NDArray[np.floating]


def monotonic_paths(costs: Sequence[Costs]) -> list[npt.NDArray[np.int64]]:
    """For each matrix and row the column at which the cheapest monotonic path enters the row.

    `costs`: matrices of shape [rows, columns], of any sizes; a path runs from the first to the
    last cell by steps right, down or diagonal. Dynamic time warping, computed along
    anti-diagonals of several matrices at once, so that numpy does the inner loops.
    Returns arrays of shape [rows].
    """
    found: list[npt.NDArray[np.int64]] = []
    for first in range(0, len(costs), _TOGETHER):
        found.extend(_paths(costs[first : first + _TOGETHER]))
    return found


def _paths(costs: Sequence[Costs]) -> list[npt.NDArray[np.int64]]:
    rows = max(cost.shape[0] for cost in costs)
    columns = max(cost.shape[1] for cost in costs)
    total = rows + columns - 1
    # Sheared copies: anti-diagonal d is [d], so that a step back is [d-1] or [d-2].
    sheared = np.full((total, len(costs), rows), np.inf, np.float32)
    for place, cost in enumerate(costs):
        for row in range(cost.shape[0]):
            sheared[row : row + cost.shape[1], place, row] = cost[row]
    steps = np.zeros((total, len(costs), rows), np.int8)  # 0 diagonal, 1 down, 2 right
    # One more row in front, never reachable, stands for "above the first".
    last = np.full((len(costs), rows + 1), np.inf, np.float32)
    before_last = last.copy()
    last[:, 1:] = sheared[0]
    for d in range(1, total):
        best, step = before_last[:, :-1].copy(), steps[d]
        for kind, other in ((1, last[:, :-1]), (2, last[:, 1:])):
            better = other < best
            step[better] = kind
            np.minimum(best, other, out=best)
        before_last, last = last, before_last
        last[:, 0] = np.inf
        np.add(best, sheared[d], out=last[:, 1:])
    return [_walk(steps[:, place], *cost.shape) for place, cost in enumerate(costs)]


def _walk(steps: npt.NDArray[np.int8], rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Back along the steps, `[anti-diagonal, row]`, from the last cell to the first."""
    entry = np.zeros(rows, np.int64)
    row, column = rows - 1, columns - 1
    while row > 0:
        taken = steps[row + column, row]
        if taken == 2:
            column -= 1
            continue
        entry[row] = column
        row -= 1
        if taken == 0:
            column -= 1
    return entry


def alignment(attention: torch.Tensor, frames: int, median_width: int = 7) -> Costs:
    """How well each token goes with each position, from attention weights.

    `attention`: [heads, tokens, positions]; `frames`: how many positions carry sound.
    Returns [tokens, frames], higher is better.
    """
    weights = attention[..., : max(frames, 1)].float()
    apart = weights - weights.mean(dim=-2, keepdim=True)
    # (`std` goes down the columns one number at a time: twenty times as long.)
    spread = apart.square().mean(dim=-2, keepdim=True).sqrt().clamp(min=1e-9)
    weights = apart / spread
    if weights.shape[-1] > median_width // 2:
        weights = medians(weights, median_width)
    matrix: Costs = weights.mean(dim=0).cpu().numpy()
    return matrix


def medians(weights: torch.Tensor, width: int) -> torch.Tensor:
    """The median of every `width` (odd) neighbours along the last axis, edges mirrored.

    The same numbers as `_median_filter` of transformers gives, which sorts `width` copies; here
    whole rows are compared with their own shifts, some of them at a time, so that they stay in
    the processor's cache.
    """
    import torch

    reach, columns = width // 2, weights.shape[-1]
    wide = torch.nn.functional.pad(weights, (reach, reach, 0, 0), mode="reflect").flatten(0, -2)
    rows = _ROWS if wide.device.type == "cpu" else wide.shape[0]
    parts = [
        _middle([some[:, first : first + columns] for first in range(width)])
        for some in torch.split(wide, rows)
    ]
    return torch.cat(parts).view(weights.shape)


def _middle(values: list[torch.Tensor]) -> torch.Tensor:
    """The median of an odd number of tensors, element by element.

    Of a little more than half of them neither the smallest nor the largest can be the median:
    both go, the next one comes, until one is left ("forgetful selection").
    """
    import torch

    def order(low: int, high: int) -> None:
        a, b = held[low], held[high]
        held[low], held[high] = torch.minimum(a, b), torch.maximum(a, b)

    most = len(values) // 2 + 2
    held, rest = values[:most], values[most:]
    while len(held) > 1:
        last = len(held) - 1
        for low in range(len(held) // 2):
            order(low, last - low)
        # The smallest is in the first half now, the largest in the second.
        for low in range(1, last // 2 + 1):
            order(0, low)
        for high in range((last + 1) // 2, last):
            order(high, last)
        held = held[1:last] + rest[:1]
        rest = rest[1:]
    return held[0]
