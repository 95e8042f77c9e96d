"""What the library folder holds, told to the items table."""

from __future__ import annotations

from collections.abc import Sequence

from kb.jobs.queue.item_states import STATES, Known
from kb.jobs.queue.items import ItemStore
from kb.library import Library, LibraryEntry

_LOOKED_FOR_SINGLY = 20  # more than that are found faster by reading the whole folder


def learn(items: ItemStore, library: Library, ids: Sequence[str]) -> None:
    """Takes in those of the ids whose transcripts the folder has and the table does not know.

    Transcripts that another database or another machine made are not made again.
    """
    unknown = set(items.unknown(ids))
    if len(unknown) <= _LOOKED_FOR_SINGLY:
        found = [entry for i in sorted(unknown) if (entry := library.find(i))]
    else:
        found = [entry for entry in library.entries() if entry.item.id in unknown]
    transcribed = [known(entry) for entry in found if entry.transcript_path is not None]
    if transcribed:
        items.adopt(transcribed)


def known(entry: LibraryEntry) -> Known:
    """An entry of the folder as the table takes it in."""
    state = entry.state
    if entry.transcript_path is not None and state not in STATES:
        state = "done"
    run = entry.transcribed.get("run")
    return Known(
        entry.item,
        state,
        entry.error,
        entry.hint,
        run if isinstance(run, int) else 1,
        entry.grade,
    )
