"""Rich Transcription Time Marked (RTTM): the spans of each speaker, as speech research uses it.

Source of the form: NIST, "RT-09 Evaluation Plan", appendix A. A line has ten fields with spaces
between them; those that do not apply are `<NA>`. Spans of a speaker that touch are one.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from kb.errors import UsageError
from kb.types import MediaItem, Transcript

GROUP = "programs"
TIMES_WORDS = False

_TOUCHING_S = 0.05


def unavailable(transcript: Transcript, item: MediaItem | None) -> UsageError | None:
    """Return the error for a transcript without speakers."""
    if any(segment.speaker for segment in transcript.segments):
        return None
    return UsageError(
        "format.no_speakers",
        "The transcript names no speakers, which {format!r} consists of.",
        hint="Transcripts of other programs often name them (whisperX). For words and times: "
        "textgrid, json or csv.",
        format="rttm",
    )


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per span; segments without a speaker have none."""
    name = _field(item.short_id if item else PurePath(transcript.media.path).stem)
    spans: list[tuple[float, float, str]] = []
    latest: dict[str, int] = {}  # speaker -> place of their last span
    for segment in sorted(transcript.segments, key=lambda each: each.start_s):
        if not segment.speaker:
            continue
        end_s = max(segment.start_s, segment.end_s)
        place = latest.get(segment.speaker)
        if place is not None and segment.start_s - spans[place][1] <= _TOUCHING_S:
            start_s, until_s, _ = spans[place]
            spans[place] = (start_s, max(until_s, end_s), segment.speaker)
            continue
        latest[segment.speaker] = len(spans)
        spans.append((segment.start_s, end_s, segment.speaker))
    return "".join(
        f"SPEAKER {name} 1 {start_s:.3f} {end_s - start_s:.3f} <NA> <NA> {_field(speaker)} "
        "<NA> <NA>\n"
        for start_s, end_s, speaker in spans
    )


def _field(text: str) -> str:
    """Return text as one field: white space would end it."""
    return re.sub(r"\s+", "_", text.strip()) or "<NA>"
