"""The rows of a transcript of another program, before they become segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.transcript.chunks import collapse_whitespace
from kb.types import Segment, Word

SECONDS_PER_WORD = 0.4  # of ordinary speech: for texts without times
LONGEST_PER_WORD_S = 1.5  # a row without an end lasts no longer than its words


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its times in seconds from the start of the medium; None if unknown."""

    text: str
    start_s: float | None = None
    end_s: float | None = None
    words: tuple[Word, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a file, and the language that it names (empty if it names none)."""

    rows: tuple[Row, ...]
    language: str = ""

    @property
    def has_times(self) -> bool:
        return any(row.start_s is not None for row in self.rows)


def segments_of(rows: Sequence[Row], duration_s: float) -> Iterator[Segment]:
    """Yield the rows as segments in order of time; rows without words are left out.

    A row without an end lasts until the next one starts, but no longer than its words take.
    Rows without any time divide the medium by the length of their text.
    """
    kept = [row for row in rows if row.text.strip()]
    if not any(row.start_s is not None for row in kept):
        yield from _spread(kept, duration_s)
        return
    timed: list[Row] = []
    for row in kept:
        if row.start_s is None:  # text before the first time
            row = Row(row.text, timed[-1].end_s if timed else 0.0, None, (), row.language)
        timed.append(row)
    timed.sort(key=lambda row: row.start_s or 0.0)
    for place, row in enumerate(timed):
        start_s = max(0.0, row.start_s or 0.0)
        end_s = row.end_s
        if end_s is None or end_s < start_s:
            longest_s = start_s + LONGEST_PER_WORD_S * max(2, len(row.text.split()))
            following = timed[place + 1].start_s if place + 1 < len(timed) else duration_s
            end_s = min(longest_s, following or longest_s)
        text = collapse_whitespace(row.text)
        yield Segment(start_s, max(start_s, end_s), text, row.words, row.language)


def _spread(rows: Sequence[Row], duration_s: float) -> Iterator[Segment]:
    total = sum(len(row.text) + 1 for row in rows)
    if not total:
        return
    length_s = duration_s or SECONDS_PER_WORD * sum(len(row.text.split()) for row in rows)
    done = 0
    for row in rows:
        start_s = length_s * done / total
        done += len(row.text) + 1
        text = collapse_whitespace(row.text)
        end_s = round(length_s * done / total, 3)
        yield Segment(round(start_s, 3), end_s, text, (), row.language)
