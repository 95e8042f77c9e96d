"""Adds items of the library folder to the items table."""

from __future__ import annotations

from collections.abc import Sequence

from kb.jobs.queue.item_states import STATES, LibraryRow
from kb.jobs.queue.items import ItemStore
from kb.library import Library, LibraryEntry

_MAX_SINGLE_LOOKUPS = 20  # for more ids, reading the whole folder is faster


def sync_from_library(items: ItemStore, library: Library, ids: Sequence[str]) -> None:
    """Add those of the ids whose transcript is in the folder and not in the table.

    So a transcript that was made with another database or machine is not made again.
    """
    unknown = set(items.unknown_ids(ids))
    if len(unknown) <= _MAX_SINGLE_LOOKUPS:
        found = [entry for i in sorted(unknown) if (entry := library.find(i))]
    else:
        found = [entry for entry in library.entries() if entry.item.id in unknown]
    transcribed = [library_row(entry) for entry in found if entry.transcript_path is not None]
    if transcribed:
        items.adopt(transcribed)


def library_row(entry: LibraryEntry) -> LibraryRow:
    """Return an entry of the folder as a row to add."""
    state = entry.state
    if entry.transcript_path is not None and state not in STATES:
        state = "done"
    run = entry.transcribed.get("run")
    return LibraryRow(
        entry.item,
        state,
        entry.error,
        entry.hint,
        run if isinstance(run, int) else 1,
        entry.grade,
        entry.problem,
    )
