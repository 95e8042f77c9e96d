"""The batch size: limited by the preset, by free memory and by earlier failures.

The first size is the number of windows that fit into the free memory as measured, with the need
of a window computed in `kb.asr.engines.whisper.memory`. If memory still runs out, the same
windows are decoded again: once unchanged, after a clean-up, if as many windows succeeded before
(then fragmentation was the cause), else in halves. After a number of batches without failure the
size doubles again, as far as memory allows. A failure at the full size makes the next growth
wait longer; full batches that succeed for as long as that wait make it shorter again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gpu.manager import BatchCeiling

log = logging.getLogger(__name__)

GROW_AFTER = 20  # batches without failure before the size may grow again
SLOWEST_GROWTH = 16  # largest factor on GROW_AFTER
MEMORY_POLL_BATCHES = 10  # batches between two measurements of the free memory
UNDERUTILISED_STEP = 4  # growth comes sooner by this factor while the device is underutilised


class AdaptiveBatchSize:
    """The current batch size. One thread changes it; any may read `size`, `ceiling`, `reason`."""

    def __init__(
        self,
        ceiling: int,
        max_batch: Callable[[], BatchCeiling] | None = None,
        grow_after: int = GROW_AFTER,
        *,
        padded: bool = False,
    ) -> None:
        """`ceiling`: the preset's size; `max_batch`: the limit by memory now, with its reason.

        `padded`: engines fill batches up to a power of two or the ceiling, so that other sizes
        would take more memory than they say.
        """
        self._padded = padded
        self.ceiling = max(1, ceiling)
        self._max_batch = max_batch
        self._first_wait = self._grow_after = grow_after
        self._quiet = self._batches = self._full = 0
        self._proven = 0  # the largest batch that succeeded since the last reduction
        self._repeating = 0
        self.halved = self.repeated = 0
        self.size, self.reason = self._start()

    def set_ceiling(self, ceiling: int) -> None:
        """Set the ceiling of another preset and restart from it."""
        self.ceiling = max(1, ceiling)
        self._quiet = self._proven = self._full = 0
        self._grow_after = self._first_wait
        self.size, self.reason = self._start()

    def on_out_of_memory(self, count: int) -> bool:
        """Reduce the size after `count` windows ran out of memory; return whether to try again.

        If `size` is still `count`, the same windows are to be repeated. The caller cleans up first.
        """
        self._quiet = self._full = 0
        if (count <= self._proven or count == 1) and count != self._repeating:
            self._repeating = count
            log.info("The device's memory is full or in pieces; once more with %d", count)
            return True
        if not self._halve(count, f"memory ran out with {count} windows"):
            return False
        self.halved += 1
        return True

    def on_refused(self, count: int) -> bool:
        """Reduce the size after a library refused `count` windows; return whether to try again."""
        self._quiet = self._full = 0
        return self._halve(count, f"the device's libraries refused {count} windows at once")

    def _halve(self, count: int, reason: str) -> bool:
        """Go on with half of `count` windows; return False for a single window."""
        self._proven = self._repeating = 0
        if count == 1:
            return False
        if self.size >= self.ceiling:
            self._grow_after = min(2 * self._grow_after, SLOWEST_GROWTH * self._first_wait)
        self.size, self.reason = self._unpadded(max(1, count // 2)), reason
        log.warning("%s; going on with %d windows a batch", reason, self.size)
        return True

    def on_success(self, count: int, *, underutilised: bool = False) -> None:
        """Count a successful batch of `count` windows; `underutilised`: the device has capacity."""
        if self._repeating:
            self.repeated += count == self._repeating
            self._repeating = 0
        self._proven = max(self._proven, count)
        self._batches += 1
        if self._batches % MEMORY_POLL_BATCHES == 0:
            self._poll_memory()
        if self.size >= self.ceiling:
            self._shorten_growth_wait(count)
            return
        self._quiet += UNDERUTILISED_STEP if underutilised else 1
        if self._quiet < self._grow_after:
            return
        self._quiet = 0
        limit, why = self._limit()
        size = min(2 * self.size, limit)
        self.size, self.reason = max(self.size, self._unpadded(size)), why
        if self.size < limit:
            self.reason = f"growing again, to {limit} windows"

    def _shorten_growth_wait(self, count: int) -> None:
        """Shorten the wait before growth after enough full batches without failure."""
        self._full += count >= self.ceiling
        if self._full >= self._grow_after:
            self._full = 0
            self._grow_after = max(self._first_wait, self._grow_after // 2)

    def _start(self) -> tuple[int, str]:
        return self._limit()

    def _poll_memory(self) -> None:
        """Reduce the size if other programs have taken memory since the last measurement."""
        limit, why = self._limit()
        if limit < self.size:
            self.size, self.reason, self._quiet = limit, why, 0

    def _limit(self) -> tuple[int, str]:
        memory_limit = self._max_batch() if self._max_batch else None
        if memory_limit is not None and memory_limit.size < self.ceiling:
            size = self._unpadded(max(1, memory_limit.size))
            return size, memory_limit.reason or "the device allows no more"
        reason = memory_limit.reason if memory_limit is not None and memory_limit.reason else ""
        return self.ceiling, reason or f"the preset's most is {self.ceiling}"

    def _unpadded(self, size: int) -> int:
        """Return the largest size up to `size` that an engine does not pad."""
        if not self._padded or size >= self.ceiling:
            return size
        return 1 << (size.bit_length() - 1)
