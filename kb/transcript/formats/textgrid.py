"""TextGrid for Praat and ELAN: tiers with the segments and the words of the transcript.

Source of the form: "TextGrid file formats" of Praat's manual (long text form). The intervals of a
tier follow each other without gaps and overlaps from 0 to the end of the medium, and none has zero
length. Segments that overlap are therefore on further tiers (`segments 2`, `words 2`). Where
transcripts name speakers, each speaker has tiers of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kb.transcript.chunks import collapse_whitespace, pieces
from kb.types import MediaItem, Segment, Transcript

MIME_TYPE = "text/plain"
SUFFIX = "TextGrid"
GROUP = "programs"

# Segments that overlap by no more are put one after the other: it is rounding, not two speakers.
_ROUNDING_MS = 100

Interval = tuple[int, int, str]  # start and end in milliseconds, text


@dataclass
class _Tiers:
    """The segments of one speaker that do not overlap, and their words."""

    speaker: str
    segments: list[Interval] = field(default_factory=list)
    words: list[Interval] = field(default_factory=list)

    @property
    def end_ms(self) -> int:
        return self.segments[-1][1] if self.segments else 0


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the grid; two empty tiers if there are no words."""
    tiers = _divide(transcript.segments) or [_Tiers("")]
    end_ms = max(1, round(transcript.media.duration_s * 1000), *(each.end_ms for each in tiers))
    named: list[tuple[str, Sequence[Interval]]] = []
    for number, each in enumerate(tiers):
        same = sum(other.speaker == each.speaker for other in tiers[: number + 1])
        tail = f" {same}" if same > 1 else ""
        head = f"{each.speaker} " if each.speaker else ""
        named += [(f"{head}segments{tail}", each.segments), (f"{head}words{tail}", each.words)]
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "",
        "xmin = 0 ", f"xmax = {_time(end_ms)} ", "tiers? <exists> ", f"size = {len(named)} ",
        "item []: ",
    ]  # fmt: skip
    for number, (name, intervals) in enumerate(named, 1):
        filled = list(_filled(intervals, end_ms))
        lines += [
            f"    item [{number}]:", '        class = "IntervalTier" ',
            f'        name = "{_quoted(name)}" ', "        xmin = 0 ",
            f"        xmax = {_time(end_ms)} ", f"        intervals: size = {len(filled)} ",
        ]  # fmt: skip
        for place, (start, end, text) in enumerate(filled, 1):
            lines.append(
                f"        intervals [{place}]:\n            xmin = {_time(start)} \n"
                f'            xmax = {_time(end)} \n            text = "{_quoted(text)}" '
            )
    return "\n".join(lines) + "\n"


def _divide(segments: Sequence[Segment]) -> list[_Tiers]:
    """Put each segment on the first tiers of its speaker that are free at its time."""
    found: list[_Tiers] = []
    for segment in sorted(segments, key=lambda each: each.start_s):
        text = collapse_whitespace(segment.text)
        words = _words(segment)
        if not text and not words:
            continue
        start = round(segment.start_s * 1000)
        speaker = segment.speaker or ""
        place = next(
            (
                each
                for each in found
                if each.speaker == speaker and each.end_ms - start <= _ROUNDING_MS
            ),
            None,
        )
        if place is None:
            place = _Tiers(speaker)
            found.append(place)
        start = max(start, place.end_ms)
        words = list(_one_after_another(words, start))
        end = max(start + 1, round(segment.end_s * 1000), *(end for _, end, _ in words))
        place.segments.append((start, end, text))
        place.words += words
    return sorted(found, key=lambda each: each.speaker)


def _words(segment: Segment) -> list[Interval]:
    return [
        (round(piece.start_s * 1000), round(piece.end_s * 1000), piece.text)
        for piece in pieces(segment)
    ]


def _one_after_another(words: Sequence[Interval], earliest: int) -> Iterator[Interval]:
    """Yield the words from `earliest` on, each at least a millisecond long and without overlaps.

    Words at the same time divide the time until the next word.
    """
    place = 0
    while place < len(words):
        first, last, text = words[place]
        start = first if first > earliest else earliest
        after = place + 1
        following = words[after][0] if after < len(words) else last
        if start < following and start < last:
            # Most words: the general case below gives the same.
            earliest = last if last < following else following
            yield start, earliest, text
            place = after
            continue
        while after < len(words) and words[after][0] <= start:
            after += 1
        count = after - place
        end = max(start + count, max(end for _, end, _ in words[place:after]))
        if after < len(words):
            end = max(start + count, min(end, words[after][0]))
        for index in range(count):
            first = start + (end - start) * index // count
            last = start + (end - start) * (index + 1) // count
            yield first, last, words[place + index][2]
        earliest, place = end, after


def _filled(intervals: Sequence[Interval], end_ms: int) -> Iterator[Interval]:
    """Yield the intervals with empty ones between them, from 0 to `end_ms`."""
    latest = 0
    for start, end, text in intervals:
        if start > latest:
            yield latest, start, ""
        yield start, end, text
        latest = end
    if latest < end_ms:
        yield latest, end_ms, ""


def _quoted(text: str) -> str:
    return text.replace('"', '""') if '"' in text else text


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds}.{rest:03d}".rstrip("0") if rest else str(seconds)
