"""The markers of a medium for cutting programs: its chapters, and each segment of its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kb.transcript.chunks import collapse_whitespace
from kb.types import MediaItem, Transcript


@dataclass(frozen=True, slots=True)
class Marker:
    """A named span; a chapter has no length."""

    start_s: float
    end_s: float
    name: str
    is_chapter: bool


def markers(transcript: Transcript, item: MediaItem | None) -> Iterator[Marker]:
    """Yield the markers in order of time; a chapter comes before the text at its time."""
    found = [
        Marker(max(0.0, chapter.start_s), max(0.0, chapter.start_s), name, True)
        for chapter in (item.chapters if item else ())
        if (name := collapse_whitespace(chapter.title))
    ]
    found += [
        Marker(segment.start_s, max(segment.start_s, segment.end_s), name, False)
        for segment in transcript.segments
        if (name := collapse_whitespace(segment.text))
    ]
    yield from sorted(found, key=lambda marker: (marker.start_s, not marker.is_chapter))
