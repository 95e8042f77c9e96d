"""Spans of time with the label of who speaks in them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from kb.types import Transcript

LabelledSpan = tuple[float, float, str]
"""Start and end in seconds, and the label."""

_PAUSE_S = 1.0  # between two words of one span


class SpokenSpans:
    """Labelled spans in order of time; they may overlap."""

    def __init__(self, spans: Iterable[LabelledSpan]) -> None:
        self.spans = sorted(spans)
        self._latest = [0.0]  # the latest end of the spans before each place
        for _, end_s, _ in self.spans:
            self._latest.append(max(self._latest[-1], end_s))

    def seconds(self, start_s: float, end_s: float) -> dict[str, float]:
        """Return the seconds of each label between two times, in order of their first span."""
        spoken: dict[str, float] = {}
        for begin, end, label in self._between(start_s, end_s):
            spoken[label] = spoken.get(label, 0.0) + min(end, end_s) - max(begin, start_s)
        return spoken

    def _between(self, start_s: float, end_s: float) -> list[LabelledSpan]:
        found = []
        place = bisect_left(self.spans, (end_s,))
        while place > 0 and self._latest[place] > start_s:
            place -= 1
            begin, end, _ = self.spans[place]
            if min(end, end_s) > max(begin, start_s):
                found.append(self.spans[place])
        return found[::-1]

    def totals(self) -> dict[str, float]:
        """Return the seconds of each label, in order of their first span."""
        spoken: dict[str, float] = {}
        for start_s, end_s, label in self.spans:
            spoken[label] = spoken.get(label, 0.0) + end_s - start_s
        return spoken


def longest(spoken: dict[str, float]) -> str:
    """Return the label with the most seconds; of two that speak equally long the same each time."""
    return max(sorted(spoken), key=lambda label: spoken[label])


def spans_of(transcript: Transcript) -> SpokenSpans:
    """Return the spans of a transcript's speakers: words of one without a pause are one span."""
    found: list[LabelledSpan] = []

    def add(start_s: float, end_s: float, label: str | None) -> None:
        if label is None or end_s <= start_s:
            return
        last = found[-1] if found else None
        if last is not None and last[2] == label and -_PAUSE_S <= start_s - last[1] < _PAUSE_S:
            found[-1] = (last[0], max(last[1], end_s), label)
        else:
            found.append((start_s, end_s, label))

    for segment in transcript.segments:
        if any(word.speaker for word in segment.words):
            for word in segment.words:
                add(word.start_s, word.end_s, word.speaker or segment.speaker)
        else:
            add(segment.start_s, segment.end_s, segment.speaker)
    return SpokenSpans(found)
