"""CSV for spreadsheets: one row per segment, or one row per word when timestamps are `word`.

A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, and the content of a
transcript comes from strangers. Such a cell gets a leading apostrophe, which marks it as text in
spreadsheets. The exact text is in the JSON document.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from kb.transcript.chunks import pieces
from kb.types import MediaItem, Segment, Transcript
from kb.types.safe_text import spreadsheet_cell

MIME_TYPE = "text/csv"

SEGMENT_COLUMNS = ("start_s", "end_s", "text", "language")
WORD_COLUMNS = ("start_s", "end_s", "word", "probability", "segment")


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return comma-separated text with a header and `\\n` after each row.

    Times are in seconds with 3 decimals.
    """
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    if transcript.timestamps == "word":
        writer.writerow(WORD_COLUMNS)
        for number, segment in enumerate(transcript.segments, 1):
            for start_s, end_s, text, probability in _words(segment):
                writer.writerow(
                    (f"{start_s:.3f}", f"{end_s:.3f}", spreadsheet_cell(text), probability, number)
                )
    else:
        writer.writerow(SEGMENT_COLUMNS)
        for segment in transcript.segments:
            writer.writerow(
                (
                    f"{segment.start_s:.3f}",
                    f"{segment.end_s:.3f}",
                    spreadsheet_cell(segment.text),
                    spreadsheet_cell(segment.language or transcript.language),
                )
            )
    return target.getvalue()


def _words(segment: Segment) -> Iterator[tuple[float, float, str, str]]:
    """Yield the words, or the pieces of the text if the words are not the whole text."""
    spoken = "".join(word.text for word in segment.words)
    if "".join(spoken.split()) == "".join(segment.text.split()):
        for word in segment.words:
            yield word.start_s, word.end_s, word.text, f"{word.probability:.4f}"
    else:
        for piece in pieces(segment):
            yield piece.start_s, piece.end_s, piece.text, ""
