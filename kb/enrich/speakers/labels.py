"""Labels of speakers, put on the segments of a transcript by their times."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from kb.types import Segment, Transcript

LabelledTurn = tuple[float, float, str]
"""Start and end in seconds, and the label."""


def with_labels(transcript: Transcript, turns: Sequence[LabelledTurn]) -> Transcript:
    """Return the transcript with the speaker of each word, and of each segment.

    That of a word is who speaks the longest in it, that of a segment who speaks the longest in its
    words, or in its own time where it has none. A word that no turn overlaps has its segment's
    speaker. A segment that no turn overlaps keeps what it has; so does one whose speaker the
    transcript names already.
    """
    if not turns:
        return transcript
    ordered = sorted(turns)
    latest = [0.0]  # the latest end of the turns before each place
    for _, end_s, _ in ordered:
        latest.append(max(latest[-1], end_s))
    segments = tuple(
        segment if segment.speaker else _labelled(segment, ordered, latest)
        for segment in transcript.segments
    )
    return replace(transcript, segments=segments)


def _labelled(segment: Segment, turns: Sequence[LabelledTurn], latest: Sequence[float]) -> Segment:
    if not segment.words:
        spoken = _spoken(segment.start_s, segment.end_s, turns, latest)
        return replace(segment, speaker=_longest(spoken)) if spoken else segment
    by_word = [_spoken(word.start_s, word.end_s, turns, latest) for word in segment.words]
    total: dict[str, float] = {}
    for spoken in by_word:
        for label, seconds in spoken.items():
            total[label] = total.get(label, 0.0) + seconds
    if not total:
        return segment
    speaker = _longest(total)
    words = tuple(
        replace(word, speaker=_longest(spoken) if spoken else speaker)
        for word, spoken in zip(segment.words, by_word, strict=True)
    )
    return replace(segment, words=words, speaker=speaker)


def _spoken(
    start_s: float, end_s: float, turns: Sequence[LabelledTurn], latest: Sequence[float]
) -> dict[str, float]:
    """Return the seconds of each speaker within a span."""
    spoken: dict[str, float] = {}
    place = bisect_left(turns, (end_s,))
    while place > 0 and latest[place] > start_s:
        place -= 1
        begin, end, label = turns[place]
        shared = min(end, end_s) - max(begin, start_s)
        if shared > 0:
            spoken[label] = spoken.get(label, 0.0) + shared
    return spoken


def _longest(spoken: dict[str, float]) -> str:
    # Of two that speak equally long, the same one each time.
    return max(sorted(spoken), key=lambda label: spoken[label])
