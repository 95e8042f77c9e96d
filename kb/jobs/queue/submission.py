"""Submission of media, with regard to the items that a person removed."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from kb.jobs.queue.item_states import Skipped, removed_before
from kb.jobs.queue.items import Enqueue, ItemStore
from kb.jobs.queue.library_sync import sync_from_library
from kb.jobs.queue.partial_files import with_parts
from kb.library import Library
from kb.library.trash import Trash
from kb.types import MediaItem


def submit(
    items: ItemStore,
    library: Library,
    media: Sequence[MediaItem],
    options: Mapping[str, Any],
    enqueue: Enqueue,
    *,
    again: bool = False,
    asked: Container[str] = (),
) -> tuple[list[str], list[Skipped]]:
    """Queue media; return the queued ids and the skipped items.

    A whole local file names the items that have only its beginning. A removed item that is only
    one of a list is skipped; one in `asked` is taken in again, and is no removed item from then on.
    """
    sync_from_library(items, library, [item.id for item in media])
    trash = Trash(library)
    marks = trash.marks()
    removed = [item.id for item in media if item.id in marks]
    left_out = {i for i in items.unknown_ids(removed) if i not in asked} if removed else set()
    serials = {i: number for i in removed if isinstance(number := marks[i].get("serial"), int)}
    wanted = with_parts(items, [item for item in media if item.id not in left_out])
    queued, skipped = items.submit(wanted, options, enqueue, again=again, serials=serials)
    if removed:
        trash.unmark([i for i in queued if i in marks])
    return queued, [*skipped, *(removed_before(i) for i in sorted(left_out))]
