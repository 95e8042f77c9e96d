"""Word times from cross-attention.

The method is openai-whisper's (`timing.py`) as transformers has it
(`WhisperGenerationMixin._extract_token_timestamps`): attention of the alignment heads,
normalised over the tokens, smoothed by a median, and the cheapest monotonic path through it.
Here all windows of a batch are warped together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FRAME_S = 0.02  # seconds an encoder position
_BATCH_SIZE = 8  # matrices warped at once: some 30 MB at 200 tokens by 1,500 positions
_BATCH_SIZE_ON_GPU = 32  # four times that, but a quarter of the launches
_ROWS = 32  # whose medians a processor looks for at once: with their copies some 2 MB


def monotonic_paths(costs: Sequence[torch.Tensor]) -> list[list[int]]:
    """For each matrix and row the column at which the cheapest monotonic path enters the row.

    `costs`: matrices of shape [rows, columns], of any sizes, on one device; a path runs from the
    first to the last cell by steps right, down or diagonal.

    Dynamic time warping (Sakoe and Chiba 1978), a whole row of several matrices at once, on the
    device: a path that is in a row at column j has entered it at some column k before, so its
    cost is the least over k of (what it cost to come to k from above) + (the row's sum from k to
    j), and that is a running minimum once the row's running sums are taken off.
    """
    batch_size = _BATCH_SIZE if not costs or costs[0].device.type == "cpu" else _BATCH_SIZE_ON_GPU
    found: list[list[int]] = []
    for first in range(0, len(costs), batch_size):
        found.extend(_paths(costs[first : first + batch_size]))
    return found


def _paths(costs: Sequence[torch.Tensor]) -> list[list[int]]:
    import torch

    # The longest first: those that still have a row are always the first ones.
    order = sorted(range(len(costs)), key=lambda place: -costs[place].shape[0])
    sizes = [costs[place].shape for place in order]
    count, rows, columns = len(costs), sizes[0][0], max(size[1] for size in sizes)
    alive = [sum(size[0] > row for size in sizes) for row in range(rows)]
    device = costs[0].device
    # Running sums of hundreds of numbers, whose differences decide.
    sums = torch.zeros((count, rows, columns), dtype=torch.float64, device=device)
    for place, number in enumerate(order):
        sums[place, : sizes[place][0], : sizes[place][1]] = costs[number]
    sums = sums.cumsum(-1)
    entered = torch.zeros((rows, count, columns), dtype=torch.int16, device=device)
    straight = torch.ones((rows, count, columns), dtype=torch.bool, device=device)
    total = sums[:, 0]  # of the cheapest way to each cell of the row
    for row in range(1, rows):
        total = total[: alive[row]]
        start = total.clone()
        torch.minimum(total[:, 1:], total[:, :-1], out=start[:, 1:])
        straight[row, : alive[row], 1:] = total[:, 1:] < total[:, :-1]
        start[:, 1:] -= sums[: alive[row], row, :-1]
        total, entered[row, : alive[row]] = start.cummin(-1)
        total = total + sums[: alive[row], row]
    # And back from the last cells, all matrices at once.
    column = torch.tensor([size[1] - 1 for size in sizes], device=device)
    found = torch.zeros((rows, count), dtype=torch.long, device=device)
    every = torch.arange(count, device=device)
    for row in range(rows - 1, 0, -1):
        own = every[: alive[row]]
        at = entered[row, own, column[own]].long()
        found[row, own] = at
        column[own] = at - (~straight[row, own, at]).long()
    paths: list[list[int]] = [[] for _ in costs]
    for number, size, path in zip(order, sizes, found.T.tolist(), strict=True):
        paths[number] = path[: size[0]]
    return paths


def alignment(attention: torch.Tensor, frames: int, median_width: int = 7) -> torch.Tensor:
    """Return the match of each token with each position, from attention weights.

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
    return weights.mean(dim=0)


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
