"""Plain text: one line per chunk, `[MM:SS - MM:SS] text`, with hours from one hour on."""

from __future__ import annotations

import re

from kb.transcript.chunks import chunks, collapse_whitespace, format_time_range
from kb.types import Coverage, MediaItem, MediaRef, Segment, Timing, Transcript

_CLOCK = r"(?:(\d+):)?(\d+):(\d\d)"
_LINE = re.compile(rf"\[{_CLOCK} - {_CLOCK}\]\s*(.*)")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per chunk of at most `transcript.chunk_s` seconds; empty without words."""
    return "".join(
        f"[{format_time_range(chunk.start_s, chunk.end_s)}] {chunk.text}\n"
        for chunk in chunks(transcript, transcript.chunk_s)
    )


def parse(text: str, media: MediaRef, *, language: str = "") -> Transcript:
    """Return the transcript of a text in this format, with one segment per line.

    The function reads transcripts of an older tool, which have no exact document. Times are in
    whole seconds, and words have no times. A line without a time belongs to the previous line. The
    coverage is unknown, and so equal to that of a medium without speech.
    """
    rows: list[tuple[float, float, list[str]]] = []
    for line in text.removeprefix("\ufeff").splitlines():
        match = _LINE.match(line.strip())
        if match:
            rows.append((_seconds(match, 1), _seconds(match, 4), [match[7]]))
        elif line.strip():
            if not rows:
                rows.append((0.0, 0.0, []))
            rows[-1][2].append(line)
    segments = tuple(
        Segment(start_s, max(start_s, end_s), collapse_whitespace(" ".join(parts)), ())
        for start_s, end_s, parts in rows
    )
    return Transcript(
        media=media,
        segments=segments,
        language=language,
        engine="",
        model="",
        preset="",
        coverage=Coverage(speech_s=0.0, covered_s=0.0),
        timing=Timing(),
        warnings=("Read from a plain text: times are those of its lines.",),
    )


def _seconds(match: re.Match[str], group: int) -> float:
    hours, minutes, seconds = (int(match[group + place] or 0) for place in range(3))
    return float(hours * 3600 + minutes * 60 + seconds)
