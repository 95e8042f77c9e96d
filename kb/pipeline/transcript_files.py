"""The transcript files of an item, without the readers of other programs' files."""

from __future__ import annotations

from kb.errors import LibraryError
from kb.library import LibraryEntry
from kb.transcript.formats import json_document

BROUGHT = "transcripts"
"""Key of `MediaItem.extra`: the transcripts that are taken in with the medium, by name."""


def damage(entry: LibraryEntry) -> LibraryError | None:
    """Return the error of an exact transcript that cannot be read; None if it can or is missing."""
    if entry.transcript_path is None:
        return None
    try:
        json_document.read(entry.transcript_path)
    except LibraryError as error:
        return error
    return None
