"""Word times from cross-attention.

The method is openai-whisper's (`timing.py`) in the form of transformers
(`WhisperGenerationMixin._extract_token_timestamps`): attention of the alignment heads,
normalised over the tokens, smoothed by a median, and the cheapest monotonic path through it.
Here all windows of a batch are warped together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FRAME_S = 0.02  # seconds per encoder position
_BATCH_SIZE = 8  # matrices warped at once: about 30 MB at 200 tokens by 1,500 positions
# Matrices normalised and warped at once on a GPU: the fewer parts, the fewer kernels to launch.
_ROWS_AT_ONCE = 8  # 0.1 GB each for some copies, at 6 heads
_WARPED_AT_ONCE = 64  # 0.5 GB at 256 tokens
_ROWS = 32  # rows computed at once: of medians on a CPU about 2 MB with their copies


def frames_of(duration_s: float, longest: int) -> int:
    """Return the number of positions of so many seconds of sound, at least 1, at most `longest`."""
    return max(1, min(longest, int(duration_s / FRAME_S) + 1))


def monotonic_paths(costs: Sequence[torch.Tensor]) -> list[list[int]]:
    """Return, for each row of each matrix, the column at which the cheapest path enters it.

    `costs`: matrices of shape [rows, columns], of any sizes, on one device. A path runs from the
    first to the last cell by steps right, down or diagonal.

    The algorithm is dynamic time warping (Sakoe and Chiba 1978), computed for a whole row of
    several matrices at once on the device. A path that is in a row at column j has entered the row
    at some column k <= j. Its cost is the minimum over k of (the cost to enter at k from the row
    above) + (the row's sum from k to j). With the row's running sums subtracted, this is a running
    minimum.
    """
    import torch

    found: list[list[int]] = []
    for first in range(0, len(costs), _BATCH_SIZE):
        some = costs[first : first + _BATCH_SIZE]
        # The longest first: the matrices that still have a row are then always the first ones.
        order = sorted(range(len(some)), key=lambda place: -some[place].shape[0])
        shapes = [some[place].shape for place in order]
        rows, columns = shapes[0][0], max(shape[1] for shape in shapes)
        # A path never goes left or up: padding to the right and below changes none.
        padded = some[0].new_zeros(len(some), rows, columns, dtype=torch.float64)
        for place, number in enumerate(order):
            padded[place, : shapes[place][0], : shapes[place][1]] = some[number]
        sizes = torch.tensor([list(shape) for shape in shapes], device=padded.device)
        alive = [sum(shape[0] > row for shape in shapes) for row in range(rows)]
        paths: list[list[int]] = [[] for _ in some]
        columns_of = _entries(padded, sizes[:, 0], sizes[:, 1], alive).T.tolist()
        for number, shape, path in zip(order, shapes, columns_of, strict=True):
            paths[number] = path[: shape[0]]
        found.extend(paths)
    return found


def padded_paths(costs: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Return the paths as `monotonic_paths` does, for matrices [count, rows, columns] of one size.

    `rows`, `columns`: [count], the numbers that count in each. Returns [rows, count], integers
    without meaning beyond them. All tensors have the same sizes for all of these numbers, and
    nothing waits for the device.
    """
    import torch

    found = []
    for first in range(0, costs.shape[0], _WARPED_AT_ONCE):
        some = slice(first, first + _WARPED_AT_ONCE)
        part = costs[some]
        alive = [part.shape[0]] * part.shape[1]
        found.append(_entries(part.to(torch.float64), rows[some], columns[some], alive))
    return torch.cat(found, 1)


def timed_paths(
    attention: torch.Tensor, tokens: torch.Tensor, frames: torch.Tensor, median_width: int
) -> torch.Tensor:
    """Return the position at which each token of several windows begins, [tokens, windows].

    `attention`, `tokens` and `frames` as for `padded_alignment`; the result as of `padded_paths`.
    """
    import torch

    costs = []
    for first in range(0, attention.shape[0], _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        costs.append(-padded_alignment(attention[part], tokens[part], frames[part], median_width))
    return padded_paths(torch.cat(costs), tokens, frames)


def _entries(
    costs: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, alive: Sequence[int]
) -> torch.Tensor:
    """Return the columns at which paths enter each row, [rows, count], for float64 costs.

    `costs`: [count, rows, columns]. float64, because differences of running sums over hundreds of
    numbers decide. `alive`: for each row, how many of the matrices have it; they are the first
    ones.
    """
    import torch

    count, height, width = costs.shape
    device = costs.device
    # With a column before the first: the sum before it is 0, and no path comes from there.
    sums = torch.nn.functional.pad(costs.cumsum(-1), (1, 0))
    total = torch.empty((height, count, width + 1), dtype=torch.float64, device=device)
    total[..., 0] = math.inf
    total[0, :, 1:] = sums[:, 0, 1:]  # cost of the cheapest path to each cell of the row
    entered = torch.zeros((height, count, width), dtype=torch.int16, device=device)
    start = torch.empty((count, width), dtype=torch.float64, device=device)
    for row in range(1, height):
        some = slice(0, alive[row])
        above, begin = total[row - 1, some], start[some]
        torch.minimum(above[:, 1:], above[:, :-1], out=begin)
        begin -= sums[some, row, :-1]
        values, entered[row, some] = begin.cummin(-1)
        torch.add(values, sums[some, row, 1:], out=total[row, some, 1:])
    # From each cell of a row: the column in the row above from which its cheapest path comes.
    came_from = entered.clone()
    for first in range(1, height, _ROWS):  # in parts, because `gather` takes indices of 8 bytes
        part = slice(first, first + _ROWS)
        above = total[part.start - 1 : part.stop - 1]
        diagonal = above[:, :, 1:] >= above[:, :, :-1]
        came_from[part] -= diagonal.gather(-1, entered[part].long()).to(torch.int16)
    # Backtracking from the last cells, all matrices at once.
    column = (columns - 1)[:, None]
    found = torch.zeros((height, count, 1), dtype=torch.int16, device=device)
    has_row = rows[None, :, None] > torch.arange(height, device=device)[:, None, None]
    for row in range(height - 1, 0, -1):
        some = slice(0, alive[row])
        at = column[some]
        torch.gather(entered[row, some], -1, at, out=found[row, some])
        before = came_from[row, some].gather(-1, at).long()
        column[some] = torch.where(has_row[row, some], before, at)
    return found[..., 0]


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
    attention: torch.Tensor, tokens: torch.Tensor, frames: torch.Tensor, median_width: int = 7
) -> torch.Tensor:
    """Return the matches of several windows as `alignment` does, [windows, tokens, positions].

    `attention`: [windows, heads, tokens, positions]; `tokens`, `frames`: [windows], the numbers of
    rows and columns that count (at least 1); the values of the others have no meaning. All tensors
    have the same sizes for all of these numbers.
    """
    import torch

    device = attention.device
    steps, columns = attention.shape[-2:]
    counted = (torch.arange(steps, device=device) < tokens[:, None])[:, None, :, None]
    share = tokens[:, None, None, None]
    weights = attention.float() * counted
    apart = (weights - weights.sum(dim=-2, keepdim=True) / share) * counted
    spread = (apart.square().sum(dim=-2, keepdim=True) / share).sqrt().clamp(min=1e-9)
    weights = apart / spread
    reach = median_width // 2
    # Columns with mirrored edges, as `medians` pads them: the last one that counts is a mirror.
    last = frames[:, None] - 1
    place = torch.arange(-reach, columns + reach, device=device).abs()
    place = (last - (place - last).abs()).clamp(min=0)
    wide = weights.gather(-1, place[:, None, None, :].expand(*weights.shape[:-1], -1))
    smooth = _middles(wide.flatten(0, -2), median_width).view(weights.shape)
    long = (frames > reach)[:, None, None, None]
    return torch.where(long, smooth, weights).mean(dim=1)


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
