"""The first reading of a medium, stretch by stretch, for a caller that shows text at once.

A stretch is given when its window was decoded, in order of time, and never again. The transcript
may differ where a window was read again later.
"""

from __future__ import annotations

from collections.abc import Callable

from kb.asr.stitching import keep_words, restore_segment_times, seam
from kb.asr.windows.windowing import Window
from kb.types import Segment

OnText = Callable[[tuple[Segment, ...]], None]


class FirstReadings:
    """Passes the segments of the windows on, each word once, in the medium's times.

    Words of a stretch that the next window contains as well are kept until it was decoded.
    """

    def __init__(self, on_text: OnText | None) -> None:
        self._on_text = on_text
        self._window: Window | None = None
        self._kept: tuple[Segment, ...] = ()

    def add(self, window: Window, segments: tuple[Segment, ...]) -> None:
        """Add the next window's first reading, in the times of the trimmed sound."""
        if self._on_text is None:
            return
        if window.overlap_s > 0:
            before_s, from_s = seam(
                [word for segment in self._kept for word in segment.words],
                [word for segment in segments for word in segment.words],
                window.start_s,
                window.start_s + window.overlap_s,
            )
            self._kept = keep_words(self._kept, before_s=before_s)
            segments = keep_words(segments, from_s=from_s)
        self.end()
        shared_from_s = window.end_s - window.shared_s
        self._window = window
        self._kept = keep_words(segments, before_s=shared_from_s)
        self.end()
        self._kept = keep_words(segments, from_s=shared_from_s)

    def end(self) -> None:
        """Pass the words on that were kept."""
        if self._on_text is not None and self._window is not None and self._kept:
            self._on_text(tuple(restore_segment_times(self._window.time_map, self._kept)))
        self._kept = ()
