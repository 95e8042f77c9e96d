"""Stretches of an item that recur in its channel, as a tag of its hits and passages.

The result of the step `recurring` stands beside the transcript and changes nothing of it: what
recurs is left out where that is asked for, and stays in the library and in its index.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from kb.errors import LibraryError
from kb.library import Library, LibraryEntry, deep_link
from kb.library.extras import Extras
from kb.transcript.recurring import read_recurring, recurs, recurs_at, without_recurring
from kb.types import Hit, Passage
from kb.types.passages import ON_SCREEN
from kb.types.recurring import RecurringStretch

STEP = "recurring"
_MOST_KEPT = 2000  # items whose stretches are kept in memory

_Found = tuple[str, tuple[RecurringStretch, ...]]
_kept: dict[tuple[Path, int, int, int], _Found] = {}  # of a search over a whole channel

log = logging.getLogger(__name__)


def stretches(library: Library, entry: LibraryEntry) -> tuple[RecurringStretch, ...]:
    """Return what of an item recurs in its channel; nothing of another version of its medium.

    Raises LibraryError for a damaged result.
    """
    path = Extras(library).path(entry.stem, STEP)
    try:
        status = path.stat()
    except OSError:  # there is none
        return ()
    key = (path, status.st_mtime_ns, status.st_size, status.st_ino)
    found = _kept.get(key)
    if found is None:
        document = Extras(library).read(entry, STEP) or {}
        basis = document.get("basis")
        sha256 = str(basis.get("sha256", "")) if isinstance(basis, dict) else ""
        found = sha256, read_recurring(document)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[key] = found
    return found[1] if found[0] == entry.sha256 or not entry.sha256 else ()


def tagged(library: Library, hits: Sequence[Hit]) -> list[Hit]:
    """Return hits with the tag of those whose words recur in their channel.

    A damaged result tags nothing; it is logged.
    """
    spoken = {hit.item_id for hit in hits if hit.origin != ON_SCREEN}
    by_item = {each.item.id: _safely(library, each) for each in library.find_all(spoken)}
    return [
        replace(hit, recurring=True) if _recurs(hit, by_item.get(hit.item_id, ())) else hit
        for hit in hits
    ]


def left_out(
    library: Library, entry: LibraryEntry, passages: Iterable[Passage]
) -> tuple[Passage, ...]:
    """Return the passages of an item without what recurs; all of them with a damaged result."""
    return without_recurring(
        passages, _safely(library, entry), lambda second: deep_link(entry.item, second)
    )


def _safely(library: Library, entry: LibraryEntry) -> tuple[RecurringStretch, ...]:
    try:
        return stretches(library, entry)
    except LibraryError as error:  # `kb verify` names it
        log.warning("%s: %s", entry.item.id, error.message)
        return ()


def _recurs(hit: Hit, found: Sequence[RecurringStretch]) -> bool:
    """Return True if all places of the words of a hit recur."""
    if not found or hit.origin == ON_SCREEN:
        return False
    if hit.by_meaning:
        return recurs(found, hit.start_s, hit.end_s)
    places = [one.at_s for one in hit.occurrences] or [hit.at_s]
    return all(recurs_at(found, at_s) for at_s in places)
