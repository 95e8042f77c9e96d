"""The spans of a transcript that are to be listened to, with their reasons."""

from __future__ import annotations

from dataclasses import dataclass

from kb.transcript.editing import text_between
from kb.types import SpeechSpan, Transcript

NO_WORDS = "no words"


@dataclass(frozen=True, slots=True)
class UncertainSpan:
    """A span to listen to: its times in seconds, reasons, text and segment indices.

    `edited`: the text of the span has been changed by hand.
    """

    start_s: float
    end_s: float
    reasons: tuple[str, ...]
    text: str
    segments: tuple[int, ...]
    edited: bool = False


def uncertain_spans(transcript: Transcript, run: int = 1) -> tuple[UncertainSpan, ...]:
    """Return the uncertain spans of a transcript in order of time."""
    flags = [flag for window in transcript.windows for flag in window.flags]
    edits = [
        segment
        for revision in transcript.revisions
        if revision.run == run and revision.kind == "edit"
        for change in revision.changes
        if (segment := change.after or change.before)
    ]
    found = []
    for span in transcript.doubtful_spans:
        own = [s for s in flags if s.start_s < span.end_s and s.end_s > span.start_s]
        gap = any(_overlaps(span, g.start_s, g.end_s) for g in transcript.coverage.gaps)
        names = sorted({flag.name for flag in own} | ({NO_WORDS} if gap else set()))
        segment_indices = tuple(
            index
            for index, segment in enumerate(transcript.segments)
            if _overlaps(span, segment.start_s, segment.end_s)
        )
        found.append(
            UncertainSpan(
                span.start_s,
                span.end_s,
                tuple(names),
                text_between(transcript.segments, span.start_s, span.end_s),
                segment_indices,
                any(_overlaps(span, s.start_s, s.end_s) for s in edits),
            )
        )
    return tuple(found)


def _overlaps(span: SpeechSpan, start_s: float, end_s: float) -> bool:
    return span.start_s < end_s and span.end_s > start_s
