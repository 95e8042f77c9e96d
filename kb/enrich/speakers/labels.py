"""Labels of speakers, put on the words and segments of a transcript by their times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kb.storage import Fields
from kb.transcript.spoken_spans import LabelledSpan, SpokenSpans, longest
from kb.types import Segment, Transcript


def turns_of(document: Mapping[str, Any]) -> list[LabelledSpan]:
    """Return the turns in a result of the step. Raises LibraryError for a damaged one."""
    fields = Fields(
        document, "speakers.json", hint="Make it again: kb enrich ID --steps speakers --again"
    )
    return [
        (row.number("start"), row.number("end"), row.text("speaker"))
        for row in fields.objects("turns", required=True)
    ]


def with_labels(transcript: Transcript, turns: Iterable[LabelledSpan]) -> Transcript:
    """Return the transcript with the speaker of each word, and of each segment.

    That of a word is who speaks the longest in it, that of a segment who speaks the longest in its
    words, or in its own time where it has none. A word that no turn overlaps has its segment's
    speaker. A segment that no turn overlaps keeps what it has; so does one whose speaker the
    transcript names already.
    """
    spans = SpokenSpans(turns)
    if not spans.spans:
        return transcript
    segments = tuple(
        segment if segment.speaker else _labelled(segment, spans) for segment in transcript.segments
    )
    return replace(transcript, segments=segments)


def _labelled(segment: Segment, turns: SpokenSpans) -> Segment:
    if not segment.words:
        spoken = turns.seconds(segment.start_s, segment.end_s)
        return replace(segment, speaker=longest(spoken)) if spoken else segment
    by_word = [turns.seconds(word.start_s, word.end_s) for word in segment.words]
    total: dict[str, float] = {}
    for spoken in by_word:
        for label, seconds in spoken.items():
            total[label] = total.get(label, 0.0) + seconds
    if not total:
        return segment
    speaker = longest(total)
    words = tuple(
        replace(word, speaker=longest(spoken) if spoken else speaker)
        for word, spoken in zip(segment.words, by_word, strict=True)
    )
    return replace(segment, words=words, speaker=speaker)
