"""The clock of sound that something was taken out of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise

from kb.types import Word


@dataclass(slots=True)
class TimestampMap:
    """From the seconds of what is left to the seconds of the medium.

    At a cut two times of the medium fall on one: what begins there begins after the pause, what
    ends there ended before it.
    """

    _cuts: list[float] = field(default_factory=list)  # where something was taken out
    _removed: list[float] = field(default_factory=lambda: [0.0])  # in all, before each cut

    def cut(self, at_s: float, removed_s: float) -> None:
        """`removed_s` were left out at `at_s`; cuts come in order."""
        # In this order: others may ask meanwhile.
        self._removed.append(self._removed[-1] + removed_s)
        self._cuts.append(at_s)

    def start(self, at_s: float) -> float:
        """The medium's time of what begins at `at_s`."""
        return at_s + self._removed[bisect_right(self._cuts, at_s)]

    def end(self, at_s: float) -> float:
        """The medium's time of what ends at `at_s`."""
        return at_s + self._removed[bisect_left(self._cuts, at_s)]

    def span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """The medium's times of what lies between two times."""
        return round(self.start(start_s), 3), round(self.end(end_s), 3)

    def word(self, word: Word) -> Word:
        """A word is said in one piece: one that reaches over a cut is where most of it lies."""
        piece = self.piece(word)
        removed_s = self._removed[piece]
        start_s = max(word.start_s, self._cuts[piece - 1]) if piece else word.start_s
        end_s = min(word.end_s, self._cuts[piece]) if piece < len(self._cuts) else word.end_s
        return replace(
            word, start_s=round(start_s + removed_s, 3), end_s=round(end_s + removed_s, 3)
        )

    def piece(self, word: Word) -> int:
        """The number of cuts before a word."""
        first = bisect_right(self._cuts, word.start_s)
        last = max(first, bisect_left(self._cuts, word.end_s))
        borders = [word.start_s, *self._cuts[first:last], word.end_s]
        lengths = [after - before for before, after in pairwise(borders)]
        return first + lengths.index(max(lengths))
