"""Adds items of the library folder to the items table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kb.jobs.queue.item_states import DONE, HELD, STATES, LibraryRow
from kb.jobs.queue.items import ItemStore
from kb.library import Library, LibraryEntry

LOOKUPS = 20  # for more ids, reading the whole folder is faster


def sync_from_library(items: ItemStore, library: Library, ids: Sequence[str]) -> None:
    """Bring the rows of these ids into agreement with the library folder.

    A transcript in the folder that the table does not have is added, so that one that was made
    with another database or machine is not made again. An item that ended with a transcript that
    is not there any more becomes failed, so that a request for it is carried out. Up to
    20 transcripts are read too: a damaged one counts as missing.
    """
    unknown = set(items.unknown_ids(ids))
    ended = set(items.ids_in(ids, (DONE, HELD)))
    if not unknown and not ended:
        return
    if len(unknown) + len(ended) <= LOOKUPS:
        from kb.pipeline.transcript_files import damage  # its reader is slow to import

        found = library.find_all(unknown | ended)
        broken = {e.item.id: error for e in found if (error := damage(e)) is not None}
    else:
        found = [e for e in library.entries() if e.item.id in unknown or e.item.id in ended]
        broken = {}
    transcribed = [entry for entry in found if entry.transcript_path is not None]
    new = [library_row(entry) for entry in transcribed if entry.item.id in unknown]
    if new:
        items.adopt(new)
    if library.media_folder.is_dir():  # a folder that is not there has lost nothing
        items.follow_library(transcribed_rows(transcribed), broken, ids=ended)


def transcribed_rows(entries: Sequence[LibraryEntry]) -> dict[str, LibraryRow]:
    """Return the entries that have a transcript as rows, by id."""
    return {
        entry.item.id: library_row(entry) for entry in entries if entry.transcript_path is not None
    }


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
        entry.expected_errors,
        _ended_at(entry),
    )


def _ended_at(entry: LibraryEntry) -> float | None:
    """Return the time at which an entry's transcript was made, None if it is not recorded."""
    try:
        return datetime.fromisoformat(str(entry.transcribed.get("at"))).timestamp()
    except (ValueError, OverflowError):
        return None
