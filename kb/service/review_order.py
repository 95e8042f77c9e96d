"""The items that wait for review, in the order in which they are reviewed."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from kb.jobs.queue.item_states import HELD
from kb.library import LibraryEntry
from kb.library.cache import library_cache
from kb.library.metadata import LibraryListing
from kb.pipeline.hold import uncertain_s, waits_for_review


def waiting_entries(media_folder: Path) -> tuple[LibraryEntry, ...]:
    """Return the entries that wait: held ones first, then by descending uncertain seconds.

    Only changed files are read again. Raises LibraryError if the folder cannot be read.
    """
    return _waiting(media_folder).of(library_cache(media_folder).listing())


def review_order(entry: LibraryEntry) -> tuple[bool, float, str]:
    """Return the key of the order in which items are reviewed."""
    return entry.state != HELD, -uncertain_s(entry), entry.stem


class _Waiting:
    """The items of one media folder that wait; found again when its listing has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listing: LibraryListing | None = None
        self._entries: tuple[LibraryEntry, ...] = ()

    def of(self, listing: LibraryListing) -> tuple[LibraryEntry, ...]:
        with self._lock:
            if listing is not self._listing:
                due = (entry for entry in listing.entries if waits_for_review(entry))
                self._entries = tuple(sorted(due, key=review_order))
                self._listing = listing
            return self._entries


@cache
def _waiting(_media_folder: Path) -> _Waiting:
    return _Waiting()
