"""Whisper's table (`--output_format tsv`): start and end in milliseconds, text, with tabs between.

The form is that of openai-whisper's `WriteTSV`: whole milliseconds, a header, and a space for each
tab in the text. With word timestamps there is a row for each word.
"""

from __future__ import annotations

from kb.transcript.chunks import timed_texts
from kb.types import MediaItem, Transcript
from kb.types.spreadsheet_cells import exact_cell

MIME_TYPE = "text/tab-separated-values"
GROUP = "programs"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return a header and a row for each segment, or for each word."""
    rows = (
        f"{round(1000 * start_s)}\t{round(1000 * end_s)}\t{exact_cell(text)}\n"
        for start_s, end_s, text in timed_texts(transcript)
    )
    return "".join(["start\tend\ttext\n", *rows])
