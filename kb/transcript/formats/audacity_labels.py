"""Labels for Audacity: start and end in seconds and the text, with tabs between them.

Source of the form: "Importing and Exporting Labels" of Audacity's manual. With word timestamps
there is a label for each word.
"""

from __future__ import annotations

from kb.transcript.chunks import timed_texts
from kb.types import MediaItem, Transcript

SUFFIX = "labels.txt"
GROUP = "cutting"


def render(transcript: Transcript, *, item: MediaItem | None = None) -> str:
    """Return one line per segment, or per word; empty if there are no words."""
    return "".join(
        f"{start_s:.6f}\t{max(start_s, end_s):.6f}\t{text}\n"
        for start_s, end_s, text in timed_texts(transcript)
    )
