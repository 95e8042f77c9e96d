"""Submission of media, with regard to the items that a person left out."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from kb.jobs.queue.item_states import Skipped, skipped_as
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.left_out import why_left_out
from kb.jobs.queue.library_sync import sync_from_library
from kb.jobs.queue.partial_files import with_parts
from kb.library import Library
from kb.library.left_out import LeftOut, Mark, Why
from kb.library.trash import Trash
from kb.types import MediaItem
from kb.types.clock import is_future

# What a list that a person asked for takes in again: the request is younger than the act.
_ASKED_AGAIN = (Why.CANCELLED, Why.FILES_GONE)


def submit(
    items: ItemStore,
    library: Library,
    media: Sequence[MediaItem],
    options: Mapping[str, Any],
    enqueue: Enqueue,
    *,
    again: bool = False,
    asked: Container[str] = (),
    asked_at: float | None = None,
    by_itself: bool = False,
) -> tuple[list[str], list[Skipped]]:
    """Queue media; return the queued ids and the skipped items.

    A whole local file names the items that have only its beginning. An item of a list that a
    person removed or dismissed is skipped. One that was cancelled, or whose files were deleted by
    hand, is skipped in a look at a followed source (`by_itself`), and in a list that was asked for
    before that (`asked_at`, by the database's clock). An item in `asked` is taken in again, and is
    left out no longer from then on.
    """
    ids = [item.id for item in media]
    sync_from_library(items, library, ids)
    record = LeftOut(library)
    marks, now = record.marks(), items.database.time()
    left_out = {
        item_id: why
        for item_id, why in why_left_out(items, library, ids).items()
        if item_id not in asked
        and (by_itself or why not in _ASKED_AGAIN or _is_later(marks.get(item_id), asked_at, now))
    }
    serials = {i: marks[i].serial for i in ids if i in marks and marks[i].serial}
    wanted = with_parts(items, [item for item in media if item.id not in left_out])
    queued, skipped = items.submit(wanted, options, enqueue, again=again, serials=serials)
    if back := [i for i in queued if i in marks]:
        Trash(library).unmark(back)
        record.unmark(back)
    return queued, [*skipped, *(skipped_as(i, why) for i, why in sorted(left_out.items()))]


def _is_later(mark: Mark | None, asked_at: float | None, now: float) -> bool:
    """Return True if an act came after a request, as far as its time is known."""
    if mark is None or asked_at is None:
        return False
    return mark.at >= asked_at or is_future(asked_at, now)
