"""Maps times of the trimmed sound to times of the medium."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise

from kb.types import Word


@dataclass(slots=True)
class TimestampMap:
    """A map from seconds of the trimmed sound to seconds of the medium.

    A cut is one time of the trimmed sound and two times of the medium: a start at the cut maps to
    the end of the removed pause, an end at the cut maps to its beginning.
    """

    _cuts: list[float] = field(default_factory=list)  # trimmed times of the cuts
    _removed: list[float] = field(default_factory=lambda: [0.0])  # in total, before each cut

    def cut(self, at_s: float, removed_s: float) -> None:
        """Record that `removed_s` seconds were removed at `at_s`; calls are in order of time."""
        # The order of the two lines matters: other threads may read between them.
        self._removed.append(self._removed[-1] + removed_s)
        self._cuts.append(at_s)

    def between(self, start_s: float, end_s: float) -> TimestampMap:
        """Return a map that is the same for a start at `start_s` and for later times to `end_s`."""
        first = bisect_right(self._cuts, start_s)
        last = max(first, bisect_left(self._cuts, end_s))
        return TimestampMap(self._cuts[first:last], self._removed[first : last + 1])

    def start(self, at_s: float) -> float:
        """Return the medium's time of a start at `at_s`."""
        return at_s + self._removed[bisect_right(self._cuts, at_s)]

    def end(self, at_s: float) -> float:
        """Return the medium's time of an end at `at_s`."""
        return at_s + self._removed[bisect_left(self._cuts, at_s)]

    def trimmed(self, at_s: float) -> float:
        """Return the time of the trimmed sound for one of the medium, the cut's in a removed pause.

        It is the inverse of `start` and `end`.
        """
        ends = [cut + removed for cut, removed in zip(self._cuts, self._removed[1:], strict=False)]
        piece = bisect_right(ends, at_s)
        found = at_s - self._removed[piece]
        return min(found, self._cuts[piece]) if piece < len(self._cuts) else found

    def span(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return the medium's start and end time of a span of the trimmed sound, in seconds."""
        return round(self.start(start_s), 3), round(self.end(end_s), 3)

    def word(self, word: Word) -> Word:
        """Return a word in the medium's times; a word over cuts keeps its longest part."""
        piece = self.piece(word)
        removed_s = self._removed[piece]
        start_s = max(word.start_s, self._cuts[piece - 1]) if piece else word.start_s
        end_s = min(word.end_s, self._cuts[piece]) if piece < len(self._cuts) else word.end_s
        return replace(
            word, start_s=round(start_s + removed_s, 3), end_s=round(end_s + removed_s, 3)
        )

    def piece(self, word: Word) -> int:
        """Return the number of cuts before a word, or before its longest part."""
        first = bisect_right(self._cuts, word.start_s)
        last = max(first, bisect_left(self._cuts, word.end_s))
        borders = [word.start_s, *self._cuts[first:last], word.end_s]
        lengths = [after - before for before, after in pairwise(borders)]
        return first + lengths.index(max(lengths))
