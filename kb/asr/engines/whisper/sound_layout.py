"""The order in memory in which a CPU reads the sound's keys and values fastest.

At every step the query of a window is multiplied by all its keys, and their weights by all its
values. As a row times a matrix this is fast if the keys lie transposed, as a matrix times a column
if the values do. Processors differ: on an Intel Xeon the row is two to four times as fast, and it
reads as fast as memory allows; on an AMD EPYC the column was faster. So both are tried once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

KEYS, VALUES = 0, 1

_WINDOWS, _HEADS, _POSITIONS, _WIDTH = 4, 6, 1500, 64  # whisper-tiny's, 9 MB
_ROUNDS = 5
# The column must be clearly faster, so that the choice, and with it the rounding, is the same at
# each start of a process.
_CLEARLY = 1.3


@cache
def transposed_part() -> int:
    """Return which of the two should lie transposed, KEYS or VALUES; measured once, in some ms."""
    weights, query, matrix, turned = (
        torch.ones(_WINDOWS, _HEADS, *shape)
        for shape in ((1, _POSITIONS), (1, _WIDTH), (_POSITIONS, _WIDTH), (_WIDTH, _POSITIONS))
    )

    def row() -> None:
        _ = query @ turned, weights @ matrix

    def column() -> None:
        _ = matrix @ query.transpose(-1, -2), turned @ weights.transpose(-1, -2)

    with torch.inference_mode():
        times_s = [[_seconds(each) for each in (row, column)] for _ in range(_ROUNDS)]
    row_s, column_s = (min(some) for some in zip(*times_s, strict=True))
    return VALUES if column_s * _CLEARLY < row_s else KEYS


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
