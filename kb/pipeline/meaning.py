"""Vectors of an item's texts: read from its result, for the local index."""

from __future__ import annotations

import logging
from contextlib import suppress

from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.sinks.local.vectors import TextVectors, read_vectors

KIND = "meaning"

log = logging.getLogger(__name__)


def vectors_of(library: Library, entry: LibraryEntry) -> TextVectors | None:
    """Return the vectors of an item; None without any and for a damaged result, which is logged.

    They belong to texts, so that those of an earlier transcript do no harm.
    """
    try:
        document = Extras(library).read(entry, KIND)
        return None if document is None else read_vectors(document)
    except LibraryError as error:  # `kb verify` names it
        log.warning("%s: %s", entry.item.id, error.message)
        return None


def changed_ns(library: Library, entry: LibraryEntry) -> int:
    """Return the time of the last change of an item's result, 0 without one."""
    with suppress(OSError):
        return Extras(library).path(entry.stem, KIND).stat().st_mtime_ns
    return 0
