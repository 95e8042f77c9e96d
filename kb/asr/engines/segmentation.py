"""Groups words into segments, for engines whose models give none."""

from __future__ import annotations

from collections.abc import Sequence

from kb.types import Word

PAUSE_S = 0.6  # least pause between two words that starts a new segment
LONGEST_S = 15.0
ENDS = (".", "?", "!", "。", "？", "！")


def split_into_segments(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Return the segments: split after a pause, after a full stop, or when one is too long."""
    groups: list[list[Word]] = []
    for word in words:
        if groups:
            last, first = groups[-1][-1], groups[-1][0]
            ends = last.text.endswith(ENDS)
            long = word.end_s - first.start_s > LONGEST_S
            if not (ends or long or word.start_s - last.end_s > PAUSE_S):
                groups[-1].append(word)
                continue
        groups.append([word])
    return [tuple(group) for group in groups]
