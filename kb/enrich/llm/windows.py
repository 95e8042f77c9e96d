"""Parts of a transcript for a model: windows of whole segments, and the segments' own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.types import Segment, SpeechSpan

WORDS = 3_000  # of a window
SHARED = 200  # words that two windows share
SMALLEST = 4  # segments of a window that is not divided any more


@dataclass(frozen=True, slots=True)
class Window:
    """Segments `first` to `last` (exclusive) of a transcript."""

    first: int
    last: int

    def halves(self) -> tuple[Window, Window] | None:
        """Return the window's two halves, None if it is too small to be divided."""
        size = self.last - self.first
        if size < 2 or size <= SMALLEST:
            return None
        middle = self.first + size // 2
        return Window(self.first, middle), Window(middle, self.last)


def windows(segments: Sequence[Segment]) -> Iterator[Window]:
    """Yield windows of about 3,000 words; each begins 200 words before the end of the last."""
    sizes = [len(segment.text.split()) for segment in segments]
    first = 0
    while first < len(segments):
        last, words = first, 0
        while last < len(segments) and (words < WORDS or last == first):
            words += sizes[last]
            last += 1
        yield Window(first, last)
        if last >= len(segments):
            return
        back, shared = last, 0
        while back - 1 > first and shared + sizes[back - 1] <= SHARED:
            back -= 1
            shared += sizes[back]
        first = back


def numbered_lines(
    segments: Sequence[Segment], window: Window, doubtful: Sequence[SpeechSpan], *, leave_out: bool
) -> str:
    """Return the window's lines, each with its segment's number; doubtful ones are marked [12?]."""
    lines = []
    for number in range(window.first, window.last):
        segment = segments[number]
        is_doubtful = any(
            span.start_s < segment.end_s and segment.start_s < span.end_s for span in doubtful
        )
        if is_doubtful and leave_out:
            continue
        text = " ".join(segment.text.split())
        if text:
            lines.append(f"[{number}{'?' if is_doubtful else ''}] {text}")
    return "\n".join(lines)
