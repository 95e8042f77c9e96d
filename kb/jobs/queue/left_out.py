"""Items that a person left out: the one answer for every list, and the acts that change it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from kb.jobs.queue.item_states import (
    ACTIVE,
    CANCELLED,
    DISMISSED,
    DONE,
    FAILED,
    HELD,
    PAUSED,
    ItemRow,
    ItemSummary,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_rows import TRANSCRIPT_GONE
from kb.jobs.queue.library_sync import LOOKUPS, sync_from_library, transcribed_rows
from kb.library import Library
from kb.library.directory import list_directory
from kb.library.filenames import file_id
from kb.library.left_out import LeftOut, Mark, Why
from kb.library.metadata import TRANSCRIPT_SUFFIX, LibraryListing
from kb.types import MediaItem

SHARE_DELAY_S = 300.0
FEW = 3  # items
_ACTS = {CANCELLED: Why.CANCELLED, DISMISSED: Why.DISMISSED}
_RECORDED = {**_ACTS, PAUSED: Why.PAUSED}  # a paused item stays in the queue

_NOT_FAILED = (Why.REMOVED, Why.PAUSED)  # their items are tried again where they failed since

log = logging.getLogger(__name__)


def why_left_out(items: ItemStore, library: Library, ids: Sequence[str]) -> dict[str, Why]:
    """Return the reason for each of these items that a person deliberately left out.

    It was removed, cancelled or dismissed, or its files were deleted from the folder by hand. A
    look at a followed source queues none of them. An item that is in the queue or has its
    transcript is not left out: it was asked for since.
    """
    rows = {row.id: row for row in items.rows(ids)}
    marks = LeftOut(library).marks()
    found: dict[str, Why] = {}
    for item_id in dict.fromkeys(ids):
        row, mark = rows.get(item_id), marks.get(item_id)
        if row is None:
            if mark is not None:
                found[item_id] = mark.why
        elif row.state in _ACTS:
            found[item_id] = _ACTS[row.state]  # also one of a version that kept no record
        elif row.state == FAILED and mark is not None and mark.why not in _NOT_FAILED:
            found[item_id] = mark.why
        elif row.state == FAILED and (row.problem or {}).get("code") == TRANSCRIPT_GONE:
            found[item_id] = Why.FILES_GONE
    return found


def record_act(items: ItemStore, library: Library, why: Why, ids: Sequence[str]) -> None:
    """Record in the library's files that these items were cancelled, dismissed or paused.

    Listings are left out: only what a source has can come back by itself.
    """
    now = items.database.time()
    LeftOut(library).mark({row.id: _mark(row, why, now) for row in _media(items.rows(ids))})


def record_earlier_acts(items: ItemStore, library: Library) -> list[str]:
    """Record the cancelled, dismissed and paused rows that the library's files do not know of.

    They are those of a version that kept no record, and of a process that was killed between the
    two. Returns their ids.
    """
    ids = [item_id for state in _RECORDED for item_id in items.ids(state)]
    known = LeftOut(library).own_marks() if ids else {}
    rows = _media(items.rows([item_id for item_id in ids if item_id not in known]))
    now = items.database.time()
    LeftOut(library).mark({row.id: _mark(row, _RECORDED[row.state], now) for row in rows})
    return [row.id for row in rows]


def restore_rows(items: ItemStore, library: Library) -> int:
    """Bring the table to what the library's files say of left out items; return the changes.

    Items that the table does not have are added, so that they are listed and taken back as before
    the loss of the database. An item that waits in an older copy of the database is stopped. The
    record of an item that has its transcript ends.
    """
    record = LeftOut(library)
    marks = {i: mark for i, mark in record.own_marks().items() if mark.why in _STATES}
    rows = {row.id: row for row in items.rows(list(marks))}
    changed, done = 0, []
    for item_id, mark in sorted(marks.items()):
        row, state = rows.get(item_id), _STATES[mark.why]
        if row is None:
            item = mark.media_item(item_id)
            if item is not None:
                changed += items.restore(item, state, mark.options, mark.serial, mark.error)
        elif row.state in (DONE, HELD):
            done.append(item_id)
        elif row.serial > mark.serial or row.state in _ACTS:
            continue  # a later request has a higher number and ends the record
        elif state == PAUSED:
            changed += len(items.stop([item_id], PAUSED)) if row.state != PAUSED else 0
        else:
            changed += len(items.end_as([item_id], state, (row.state,)))
    record.unmark(done)
    return changed


_STATES = {why: state for state, why in _RECORDED.items()}


def note_gone_files(
    items: ItemStore, library: Library, read: Callable[[], LibraryListing]
) -> list[str]:
    """Record the items that had a transcript here and have no files any more; return new ones.

    `read` reads the folder. The rows of such items become failed, so that no list shows them as
    done; an item whose files are back is done again. Does nothing where the folder is empty,
    or missing: a disk that is not connected has lost nothing; an item whose metadata is damaged has
    not either.
    """
    record = LeftOut(library)
    # What ended before the folder is read has its files in it.
    taken_in, ended = record.taken_in(), _ended(items)
    listing = read()
    if not listing.entries or not library.media_folder.is_dir():
        return []
    unreadable = [problem.path.name for problem in listing.problems]
    present = {entry.item.id for entry in listing.entries}
    transcribed = transcribed_rows(listing.entries)
    record.record_taken_in(transcribed)
    marks = record.marks()
    back = [i for i in transcribed if i in marks and marks[i].why is Why.FILES_GONE]
    items.restore_transcribed([*back, *items.failed_with(TRANSCRIPT_GONE)], transcribed)
    record.unmark(back, (Why.FILES_GONE,))
    lost = [i for i in ended if i not in transcribed and not _is_named(i, unreadable)]
    items.follow_library(transcribed, {}, ids=lost)
    gone = sorted(taken_in - present - marks.keys())
    rows = {row.id: row for row in _media(items.rows(gone))} if gone else {}
    gone = [
        i
        for i in gone
        if (i not in rows or rows[i].state not in ACTIVE) and not _is_named(i, unreadable)
    ]
    now = items.database.time()
    record.mark(
        {
            i: _mark(rows[i], Why.FILES_GONE, now) if i in rows else Mark(Why.FILES_GONE, now)
            for i in gone
        }
    )
    if gone:
        log.warning(
            "the files of %d items were deleted from %s: %s; they are not fetched again by "
            "themselves", len(gone), library.media_folder, ", ".join(gone[:10]),
        )  # fmt: skip
    return gone


def notice_gone_files(items: ItemStore, library: Library, rows: Sequence[ItemSummary]) -> bool:
    """Correct the state of listed items whose files are gone; return True if any was changed.

    Of many items only the names in the folder are read, and the metadata of the few that seem to be
    gone; of up to `FEW` that were found before, the files alone are looked for: the names of a
    large folder take longer.
    """
    ended = [row.id for row in rows if row.state in (DONE, HELD)]
    if len(ended) <= FEW:
        ended = [item_id for item_id in ended if not library.has_transcript(item_id)]
    if not ended:
        return False
    ends = {i: f"_{file_id(MediaItem(i, '', '', '', ''))}{TRANSCRIPT_SUFFIX}" for i in ended}
    names = list_directory(library.media_folder)
    if not names:
        return False  # more likely a disk that is not connected
    text = "\n".join([*names, ""])
    doubtful = [item_id for item_id in ended if f"{ends[item_id]}\n" not in text]
    sync_from_library(items, library, doubtful[:LOOKUPS])
    return bool(set(doubtful) - set(items.ids_in(doubtful, (DONE, HELD))))


def _is_named(item_id: str, names: Sequence[str]) -> bool:
    return any(f"_{item_id.rsplit(':', 1)[-1]}." in name for name in names)


def _ended(items: ItemStore) -> list[str]:
    """Return the ids of the items that have ended with a transcript, long enough ago.

    A share of several machines shows the files of another one with a delay.
    """
    before = None if items.database.is_sqlite else items.database.time() - SHARE_DELAY_S
    return items.ended_with_transcript(before)


def _media(rows: Iterable[ItemRow]) -> list[ItemRow]:
    return [row for row in rows if isinstance(row.job, MediaItem)]


def _mark(row: ItemRow, why: Why, at: float) -> Mark:
    error = {"error": row.error, "hint": row.hint, "problem": row.problem} if row.error else {}
    return Mark.of(why, at, row.item, serial=row.serial, options=row.options, error=error)
