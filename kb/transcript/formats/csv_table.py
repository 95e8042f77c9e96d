"""CSV: one row per segment, or one row per word when timestamps are `word`.

A transcript that names speakers has a last column with them.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, and the content of a
transcript comes from strangers. Such a text gets an apostrophe: at its start, and before each sign
behind `,`, `;`, a tab or a line end, where a program with another separator finds a cell (of those
behind a comma and a space only `=`: `cold, -5 degrees` is prose). Where a text has apostrophes in
these places already, one more is written, so that `exact_text` of `kb.types.safe_text` restores
each text; reading a file back does so.

`transcript.table_form` is the form for programs (commas, decimals behind a point) or for a
spreadsheet, which reads `1.044` as 1044 where decimals stand behind a comma.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kb.transcript.chunks import pieces
from kb.types import MediaItem, Segment, Transcript
from kb.types.safe_text import BYTE_ORDER_MARK
from kb.types.spreadsheet_cells import exact_cell

MIME_TYPE = "text/csv"
GROUP = "spreadsheet"

SEGMENT_COLUMNS = ("start_s", "end_s", "text", "language")
WORD_COLUMNS = ("start_s", "end_s", "word", "probability", "segment")
SPEAKER_COLUMN = "speaker"

# More than RFC 4180 asks for: a spreadsheet may part cells at any of these separators, and
# LibreOffice does so at all of them, at a decimal comma too.
_TO_QUOTE = re.compile(r'[",;\t\r\n]|^\s|\s$')


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a cell, shown with so many decimals."""

    value: float
    decimals: int


Cell = Number | str


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return the table with a header and `\\n` after each row.

    Times are in seconds with 3 decimals.
    """
    form = transcript.table_form

    def shown(cell: Cell) -> str:
        if isinstance(cell, Number):
            text = f"{cell.value:.{cell.decimals}f}".replace(".", form.decimal)
        else:
            text = exact_cell(cell)
        return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text

    lines = (form.separator.join(map(shown, row)) + "\n" for row in rows(transcript))
    return (BYTE_ORDER_MARK if form.has_mark else "") + "".join(lines)


def rows(transcript: Transcript) -> Iterator[Sequence[Cell]]:
    """Yield the header and the rows; times are in seconds."""
    names_speakers = any(segment.speaker for segment in transcript.segments)
    last = (SPEAKER_COLUMN,) if names_speakers else ()
    by_word = transcript.timestamps == "word"
    yield (*(WORD_COLUMNS if by_word else SEGMENT_COLUMNS), *last)
    for number, segment in enumerate(transcript.segments, 1):
        speaker = (segment.speaker or "",) if names_speakers else ()
        if not by_word:
            start, end = Number(segment.start_s, 3), Number(segment.end_s, 3)
            yield start, end, segment.text, segment.language or transcript.language, *speaker
            continue
        for start_s, end_s, text, probability in _words(segment):
            chance = Number(probability, 4) if probability is not None else ""
            yield Number(start_s, 3), Number(end_s, 3), text, chance, Number(number, 0), *speaker


def _words(segment: Segment) -> Iterator[tuple[float, float, str, float | None]]:
    """Yield the words, or the pieces of the text if the words are not the whole text."""
    spoken = "".join(word.text for word in segment.words)
    if "".join(spoken.split()) == "".join(segment.text.split()):
        for word in segment.words:
            yield word.start_s, word.end_s, word.text, word.probability
    else:
        for piece in pieces(segment):
            yield piece.start_s, piece.end_s, piece.text, None
