"""Text on the screen of an item: read from its result, and joined with the passages of its words.

The local index has both; documents for other knowledge bases are made in `kb.jobs.documents`.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path

from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.extras import Extras
from kb.pipeline import translations
from kb.transcript.passages import passages
from kb.transcript.screen_text import read_screen_text, screen_passages
from kb.types import Passage, Transcript
from kb.types.screen import ScreenText

KIND = "screen"

log = logging.getLogger(__name__)

_Found = tuple[str, ScreenText]
_Stamp = tuple[int, int, int]
MOST_KEPT = 4  # results, a few MB each with their thumbnails: a page draws one again and again


class _Kept:
    """The last results that were read, each with the stamp of its file; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[Path, tuple[_Stamp, _Found | None]] = {}

    def get(self, path: Path, stamp: _Stamp) -> _Found | None:
        with self._lock:
            found = self._results.get(path)
        return found[1] if found is not None and found[0] == stamp else None

    def put(self, path: Path, stamp: _Stamp, found: _Found | None) -> None:
        with self._lock:
            self._results.pop(path, None)
            self._results[path] = (stamp, found)
            for old in list(self._results)[:-MOST_KEPT]:
                del self._results[old]


_kept = _Kept()


def screen_text(library: Library, entry: LibraryEntry, transcript: Transcript) -> ScreenText | None:
    """Return what was read on the screen of the transcript's medium, None if nothing is there.

    Raises LibraryError for a damaged result.
    """
    path = Extras(library).path(entry.stem, KIND)
    try:
        status = path.stat()
    except OSError:  # not there, or the reader names the cause
        found = _read(library, entry)
    else:
        found = _kept.get(path, (status.st_mtime_ns, status.st_size, status.st_ino))
        if found is None:
            found = _read(library, entry)
            _kept.put(path, (status.st_mtime_ns, status.st_size, status.st_ino), found)
    if found is None:
        return None
    sha256, text = found
    if transcript.media.sha256 and sha256 != transcript.media.sha256:
        return None  # of an earlier version of the medium
    return text


def _read(library: Library, entry: LibraryEntry) -> _Found | None:
    document = Extras(library).read(entry, KIND)
    if document is None:
        return None
    basis = document.get("basis")
    sha256 = str(basis.get("sha256")) if isinstance(basis, dict) else ""
    return sha256, read_screen_text(document)


def indexed_passages(
    library: Library, entry: LibraryEntry, transcript: Transcript
) -> tuple[Passage, ...]:
    """Return what the local index has of an item: its words, translations, pages of its screen."""
    found = passages(transcript, entry.item, path=entry.medium_place)
    found += translations.indexed(library, entry, transcript)
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
