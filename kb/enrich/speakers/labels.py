"""Labels of speakers, put on the segments of a transcript by their times."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from kb.types import Segment, Transcript

LabelledTurn = tuple[float, float, str]
"""Start and end in seconds, and the label."""


def with_labels(transcript: Transcript, turns: Sequence[LabelledTurn]) -> Transcript:
    """Return the transcript with each segment's speaker: who speaks the longest in it.

    The times of its words count where it has any, else its own. A segment that no turn overlaps
    keeps what it has; so does one whose speaker the transcript names already.
    """
    if not turns:
        return transcript
    ordered = sorted(turns)
    latest = [0.0]  # the latest end of the turns before each place
    for _, end_s, _ in ordered:
        latest.append(max(latest[-1], end_s))
    segments = tuple(
        segment
        if segment.speaker
        else replace(segment, speaker=_speaker_of(segment, ordered, latest))
        for segment in transcript.segments
    )
    return replace(transcript, segments=segments)


def _speaker_of(
    segment: Segment, turns: Sequence[LabelledTurn], latest: Sequence[float]
) -> str | None:
    spans = [(word.start_s, word.end_s) for word in segment.words] or [
        (segment.start_s, segment.end_s)
    ]
    spoken: dict[str, float] = {}
    for start_s, end_s in spans:
        place = bisect_left(turns, (end_s,))
        while place > 0 and latest[place] > start_s:
            place -= 1
            begin, end, label = turns[place]
            shared = min(end, end_s) - max(begin, start_s)
            if shared > 0:
                spoken[label] = spoken.get(label, 0.0) + shared
    # Of two that speak equally long, the same one each time.
    return max(sorted(spoken), key=lambda label: spoken[label]) if spoken else None
