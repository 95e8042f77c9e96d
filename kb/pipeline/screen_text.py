"""Text on the screen of an item: read from its result, and joined with the passages of its words.

The local index has both; what is published elsewhere has the words alone.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.transcript.passages import passages
from kb.transcript.screen_text import read_screen_text, screen_passages
from kb.types import Passage, Transcript
from kb.types.screen import ScreenText

KIND = "screen"

log = logging.getLogger(__name__)


def screen_text(library: Library, entry: LibraryEntry, transcript: Transcript) -> ScreenText | None:
    """Return what was read on the screen of the transcript's medium, None if nothing is there.

    Raises LibraryError for a damaged result.
    """
    document = Extras(library).read(entry, KIND)
    if document is None:
        return None
    basis = document.get("basis")
    sha256 = basis.get("sha256") if isinstance(basis, dict) else None
    if transcript.media.sha256 and sha256 != transcript.media.sha256:
        return None  # of an earlier version of the medium
    return read_screen_text(document)


def indexed_passages(
    library: Library, entry: LibraryEntry, transcript: Transcript
) -> tuple[Passage, ...]:
    """Return what the local index has of an item: its words, then the pages of its screen."""
    found = passages(transcript, entry.item, path=entry.medium_place)
    try:
        shown = screen_text(library, entry, transcript)
    except LibraryError as error:  # `kb verify` names it
        log.warning("%s: %s", entry.item.id, error.message)
        return found
    if shown is None:
        return found
    return found + screen_passages(shown, entry.item, path=entry.medium_place)


def changed_ns(library: Library, entry: LibraryEntry) -> int:
    """Return the time of the last change of an item's result, 0 without one."""
    with suppress(OSError):
        return Extras(library).path(entry.stem, KIND).stat().st_mtime_ns
    return 0
