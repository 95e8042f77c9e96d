"""The sizes of a batch's tensors, which on a GPU are few and always the same.

Libraries of a GPU (cuDNN, cuFFT) make a plan for each new combination of sizes, 20 to 150 ms of the
processor each, and its memory allocator serves a size best that it has served before. So windows
are padded to a few numbers of rows, sound to the whole window, and texts to blocks of steps.
On a CPU nothing is padded: every row costs its share there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STEP_BLOCK = 64  # steps by which text caches and recorded attention grow


def ceil_to_block(steps: int) -> int:
    """Return the number of steps rounded up to whole blocks."""
    return -(-steps // STEP_BLOCK) * STEP_BLOCK


@dataclass(frozen=True, slots=True)
class BatchShapes:
    """The sizes of a batch; `most` returns the most windows in one, None: sizes as they come."""

    most: Callable[[], int] | None = None

    @property
    def fixed(self) -> bool:
        """True if batches are padded."""
        return self.most is not None

    def rows(self, count: int) -> int:
        """Return the number of rows for `count` windows: a power of two, or the most windows."""
        if self.most is None or count < 1:
            return count
        power = 1 << (count - 1).bit_length()
        return power if count > self.most() else min(power, self.most())

    def steps(self, count: int) -> int:
        """Return the number of steps that are allocated for `count` steps of text."""
        return ceil_to_block(count) if self.fixed else count
