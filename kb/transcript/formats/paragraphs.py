"""Paragraphs for reading: they end with a sentence where the text has any, or at a long pause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kb.transcript.chunks import Piece, join, pieces
from kb.types import MediaItem, Segment, Transcript

PAUSE_S = 3.0  # a pause of this length or more ends a paragraph
_SENTENCE_ENDS = ".!?…。！？।۔؟"
_CLOSING = "\"'”’»)]」』"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text on one line, spoken from `start_s` to `end_s` by `speaker`, if the name is known."""

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """The paragraphs of a chapter; those before the first chapter have an empty title."""

    title: str
    paragraphs: tuple[Paragraph, ...]


def paragraphs(segments: Iterable[Segment], length_s: float) -> Iterator[Paragraph]:
    """Yield the text of segments as paragraphs; no word is lost, and none appears twice.

    A paragraph ends with its speaker, at a pause, with the first sentence that ends after
    `length_s` seconds, and after twice that time in any case. With `length_s` 0 each segment is a
    paragraph.
    """
    pending: list[Piece] = []
    speaker: str | None = None
    for segment in segments:
        for place, piece in enumerate(pieces(segment)):
            ends = _ends(pending, piece, length_s) if length_s > 0 else place == 0
            if pending and (ends or segment.speaker != speaker):
                yield _paragraph(pending, speaker)
                pending = []
            speaker = segment.speaker
            pending.append(piece)
    if pending:
        yield _paragraph(pending, speaker)


def sections(transcript: Transcript, item: MediaItem | None) -> Iterator[Section]:
    """Yield the paragraphs by chapter; a chapter without text has none.

    A segment belongs to the chapter that contains most of it.
    """
    chapters = sorted(item.chapters, key=lambda chapter: chapter.start_s) if item else []
    title, segments = "", list[Segment]()
    for segment in transcript.segments:
        while chapters and chapters[0].start_s <= (segment.start_s + segment.end_s) / 2:
            yield from _section(title, segments, transcript.chunk_s)
            title, segments = chapters.pop(0).title, []
        segments.append(segment)
    yield from _section(title, segments, transcript.chunk_s)
    for chapter in chapters:
        yield Section(chapter.title, ())


def _section(title: str, segments: list[Segment], length_s: float) -> Iterator[Section]:
    found = tuple(paragraphs(segments, length_s))
    if title or found:
        yield Section(title, found)


def _ends(pending: list[Piece], following: Piece, length_s: float) -> bool:
    """Return True if the paragraph ends before the piece that follows it."""
    if not pending:
        return False
    if following.start_s - pending[-1].end_s >= PAUSE_S:
        return True
    spoken_s = pending[-1].end_s - pending[0].start_s
    ends_sentence = pending[-1].text.rstrip(_CLOSING)[-1:] in _SENTENCE_ENDS
    return not following.glued and (
        spoken_s >= 2 * length_s or (spoken_s >= length_s and ends_sentence)
    )


def _paragraph(parts: list[Piece], speaker: str | None) -> Paragraph:
    return Paragraph(parts[0].start_s, max(part.end_s for part in parts), join(parts), speaker)
