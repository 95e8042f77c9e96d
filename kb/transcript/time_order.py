"""The times of a transcript before an export: checked, and in order of time.

Transcripts of other programs may have segments in any order, words outside of their segment, and
times that no medium has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kb.errors import KBError, TranscriptionError
from kb.transcript.chunks import join, pieces
from kb.types import LONGEST_MEDIUM_S, Segment, Transcript, Word

ROUNDING_S = 0.001  # a difference that comes from rounded times
# A word that begins so much earlier than the word before it is spoken at another place.
# The limit is far below 0.2 s, the longest time from a word to its subtitle.
STEP_BACK_S = 0.05


def check_times(
    transcript: Transcript, source: str = "", kind: type[KBError] = TranscriptionError
) -> None:
    """Raise an error of the class `kind` for the first time that no medium has.

    Such a time is not a number, infinite, negative, above 1000 hours, or an end before its start.
    `source` is the file that the error names: by default the medium.
    """
    for number, segment in enumerate(transcript.segments, 1):
        if not _possible(segment):
            raise _impossible(kind, source or transcript.media.path, segment, number)
        for place, word in enumerate(segment.words, 1):
            if not _possible(word):
                raise _impossible(kind, source or transcript.media.path, word, number, place)


def _possible(part: Segment | Word) -> bool:
    # NaN compares false with every number.
    return -ROUNDING_S <= part.start_s <= part.end_s + ROUNDING_S <= LONGEST_MEDIUM_S


def _impossible(
    kind: type[KBError], path: str, part: Segment | Word, segment: int, word: int = 0
) -> KBError:
    text = part.text.strip()[:40]
    if word:
        place = KBError(
            "transcript.word_place",
            "segment {segment}, word {word} ({text!r})",
            segment=segment,
            word=word,
            text=text,
        )
    else:
        place = KBError(
            "transcript.segment_place", "segment {segment} ({text!r})", segment=segment, text=text
        )
    if -ROUNDING_S <= part.end_s < part.start_s <= LONGEST_MEDIUM_S:
        backwards = KBError(
            "transcript.end_before_start",
            "{path}, {place}: it ends at {end_s:.3f} s, before its start at {start_s:.3f} s.",
            hint="Correct the time in the file, or transcribe the medium again.",
            path=path,
            place=place,
            start_s=part.start_s,
            end_s=part.end_s,
        )
        return backwards.recast(kind)
    impossible = KBError(
        "transcript.impossible_time",
        "{path}, {place}: {start} to {end} seconds are no times of a medium; "
        "they are from 0 to {longest:.0f}.",
        hint="Correct the time in the file, or transcribe the medium again.",
        path=path,
        place=place,
        start=f"{part.start_s:g}",
        end=f"{part.end_s:g}",
        longest=LONGEST_MEDIUM_S,
    )
    return impossible.recast(kind)


def in_time_order(transcript: Transcript) -> Transcript:
    """Return the transcript with its segments in order of time, each around its own words.

    Segments that overlap stay as they are: several people may speak at once. A segment whose words
    jump back by more than 0.05 seconds is cut there, so that each part is at its own time.
    """
    parts = [part for segment in transcript.segments for part in _steady_parts(segment)]
    parts.sort(key=lambda part: part.start_s)
    segments = tuple(parts)
    return transcript if segments == transcript.segments else replace(transcript, segments=segments)


def _steady_parts(segment: Segment) -> Sequence[Segment]:
    words = segment.words
    if not words:
        return (segment,)
    cuts: list[int] = []
    latest = words[0].start_s
    for place, word in enumerate(words):
        if word.start_s < latest - STEP_BACK_S:
            cuts.append(place)
            latest = word.start_s
        elif word.start_s > latest:
            latest = word.start_s
    if cuts:
        parts = _cut(segment, cuts)
        if parts:
            return parts
    start_s = min(word.start_s for word in words)
    end_s = max(word.end_s for word in words)
    if segment.start_s <= start_s and end_s <= segment.end_s:
        return (segment,)
    return (
        replace(segment, start_s=min(start_s, segment.start_s), end_s=max(end_s, segment.end_s)),
    )


def _cut(segment: Segment, cuts: Sequence[int]) -> list[Segment]:
    """Return the segment cut before these words; empty if its text does not consist of them."""
    texts = pieces(segment)
    if len(texts) != len(segment.words):
        return []
    parts: list[Segment] = []
    for first, after in zip([0, *cuts], [*cuts, len(texts)], strict=True):
        words = segment.words[first:after]
        parts.append(
            replace(
                segment,
                start_s=min(word.start_s for word in words),
                end_s=max(word.end_s for word in words),
                text=join(texts[first:after]),
                words=words,
            )
        )
    return parts
