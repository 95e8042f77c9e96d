"""Word times from cross-attention.

The method is openai-whisper's (`timing.py`) in the form of transformers
(`WhisperGenerationMixin._extract_token_timestamps`): attention of the alignment heads,
normalised over the tokens, smoothed by a median, and the cheapest monotonic path through it.
Here all windows of a batch are warped together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FRAME_S = 0.02  # seconds per encoder position
_BATCH_SIZE = 8  # matrices warped at once: about 30 MB at 200 tokens by 1,500 positions
_BATCH_SIZE_ON_GPU = 32  # four times the memory, but a quarter of the kernel launches
_ROWS = 32  # rows whose medians are computed at once on a CPU: about 2 MB with their copies


def monotonic_paths(
    costs: Sequence[torch.Tensor], sizes: Sequence[tuple[int, int]] = ()
) -> list[list[int]]:
    """Return, for each row of each matrix, the column at which the cheapest path enters it.

    `costs`: matrices of shape [rows, columns], of any sizes, on one device; `sizes`: the rows and
    columns of each that count, if the rest is padding. A path runs from the first to the last cell
    by steps right, down or diagonal.

    The algorithm is dynamic time warping (Sakoe and Chiba 1978), computed for a whole row of
    several matrices at once on the device. A path that is in a row at column j has entered the row
    at some column k <= j. Its cost is the minimum over k of (the cost to enter at k from the row
    above) + (the row's sum from k to j). With the row's running sums subtracted, this is a running
    minimum.
    """
    batch_size = _BATCH_SIZE if not costs or costs[0].device.type == "cpu" else _BATCH_SIZE_ON_GPU
    found: list[list[int]] = []
    for first in range(0, len(costs), batch_size):
        some = slice(first, first + batch_size)
        found.extend(_paths(costs[some], sizes[some]))
    return found


def _paths(costs: Sequence[torch.Tensor], counted: Sequence[tuple[int, int]]) -> list[list[int]]:
    import torch

    # The longest first: the matrices that still have a row are then always the first ones.
    order = sorted(range(len(costs)), key=lambda place: -costs[place].shape[0])
    shapes = [costs[place].shape for place in order]
    # A path never goes left or up: padding to the right and below changes none.
    sizes = [counted[place] if counted else costs[place].shape for place in order]
    count, rows, columns = len(costs), shapes[0][0], max(shape[1] for shape in shapes)
    alive = [sum(shape[0] > row for shape in shapes) for row in range(rows)]
    device = costs[0].device
    # float64, because differences of running sums over hundreds of numbers decide.
    sums = torch.zeros((count, rows, columns), dtype=torch.float64, device=device)
    for place, number in enumerate(order):
        sums[place, : shapes[place][0], : shapes[place][1]] = costs[number]
    sums = sums.cumsum(-1)
    entered = torch.zeros((rows, count, columns), dtype=torch.int16, device=device)
    straight = torch.ones((rows, count, columns), dtype=torch.bool, device=device)
    total = sums[:, 0]  # cost of the cheapest path to each cell of the row
    for row in range(1, rows):
        total = total[: alive[row]]
        start = total.clone()
        torch.minimum(total[:, 1:], total[:, :-1], out=start[:, 1:])
        straight[row, : alive[row], 1:] = total[:, 1:] < total[:, :-1]
        start[:, 1:] -= sums[: alive[row], row, :-1]
        total, entered[row, : alive[row]] = start.cummin(-1)
        total = total + sums[: alive[row], row]
    # Backtracking from the last cells, all matrices at once.
    column = torch.tensor([size[1] - 1 for size in sizes], device=device)
    lengths = torch.tensor([size[0] for size in sizes], device=device)
    found = torch.zeros((rows, count), dtype=torch.long, device=device)
    every = torch.arange(count, device=device)
    for row in range(rows - 1, 0, -1):
        own = every[: alive[row]]
        at = entered[row, own, column[own]].long()
        found[row, own] = at
        before = at - (~straight[row, own, at]).long()
        column[own] = torch.where(lengths[own] > row, before, column[own])
    paths: list[list[int]] = [[] for _ in costs]
    for number, size, path in zip(order, sizes, found.T.tolist(), strict=True):
        paths[number] = path[: size[0]]
    return paths


def alignment(attention: torch.Tensor, frames: int, median_width: int = 7) -> torch.Tensor:
    """Return the match of each token with each position, from attention weights.

    `attention`: [heads, tokens, positions]; `frames`: number of positions with sound.
    Returns [tokens, frames]; higher is better.
    """
    weights = attention[..., : max(frames, 1)].float()
    apart = weights - weights.mean(dim=-2, keepdim=True)
    # `std` reads the columns one number at a time, which takes twenty times as long.
    spread = apart.square().mean(dim=-2, keepdim=True).sqrt().clamp(min=1e-9)
    weights = apart / spread
    if weights.shape[-1] > median_width // 2:
        weights = medians(weights, median_width)
    return weights.mean(dim=0)


def padded_alignment(
    attention: torch.Tensor, tokens: int, frames: int, median_width: int = 7
) -> torch.Tensor:
    """Return the match as `alignment` does, in the shape of `attention` without its heads.

    Only the first `tokens` rows and `frames` columns count; the values of the others have no
    meaning. All tensors have the same sizes for every number of tokens and frames.
    """
    import torch

    frames, device = max(frames, 1), attention.device
    counted = (torch.arange(attention.shape[-2], device=device) < tokens)[:, None]
    weights = attention.float() * counted
    apart = (weights - weights.sum(dim=-2, keepdim=True) / tokens) * counted
    spread = (apart.square().sum(dim=-2, keepdim=True) / tokens).sqrt().clamp(min=1e-9)
    weights = apart / spread
    reach, columns = median_width // 2, weights.shape[-1]
    if frames > reach:
        # Columns with mirrored edges, as `medians` pads them: the last one that counts is a mirror.
        place = torch.arange(-reach, columns + reach, device=device).abs()
        place = (frames - 1 - (place - (frames - 1)).abs()).clamp(min=0)
        wide = weights.index_select(-1, place).flatten(0, -2)
        weights = _middles(wide, median_width).view(weights.shape)
    return weights.mean(dim=0)


def medians(weights: torch.Tensor, width: int) -> torch.Tensor:
    """Return the median of every `width` (odd) neighbours along the last axis, edges mirrored.

    The result equals `_median_filter` of transformers, which sorts `width` copies. Here whole
    rows are compared with their own shifts, a few rows at a time, so that they stay in the
    processor's cache.
    """
    import torch

    reach = width // 2
    wide = torch.nn.functional.pad(weights, (reach, reach, 0, 0), mode="reflect").flatten(0, -2)
    return _middles(wide, width).view(weights.shape)


def _middles(wide: torch.Tensor, width: int) -> torch.Tensor:
    """Return the median of every `width` neighbours in each row of `wide` [rows, columns]."""
    import torch

    columns = wide.shape[-1] - width + 1
    rows = _ROWS if wide.device.type == "cpu" else wide.shape[0]
    parts = [
        _middle([some[:, first : first + columns] for first in range(width)])
        for some in torch.split(wide, rows)
    ]
    return torch.cat(parts)


def _middle(values: list[torch.Tensor]) -> torch.Tensor:
    """Return the median of an odd number of tensors, element by element.

    The algorithm is "forgetful selection": among slightly more than half of the values neither the
    smallest nor the largest can be the median; both are dropped, the next value is added, until
    one is left.
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
        # Now the smallest is in the first half and the largest in the second.
        for low in range(1, last // 2 + 1):
            order(0, low)
        for high in range((last + 1) // 2, last):
            order(high, last)
        held = held[1:last] + rest[:1]
        rest = rest[1:]
    return held[0]
