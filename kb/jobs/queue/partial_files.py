"""Items that have only the beginning of a local file, found when the whole file is submitted.

Their ids are kept in the new item (`extra`); it takes their place when it is done
(`kb.jobs.replacement`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kb.jobs.queue.item_queries import ItemQueries
from kb.library.trash import KEPT
from kb.sources.files import is_begun_by
from kb.types import MediaItem

REPLACES = "replaces"  # key of an item's `extra`: the ids of the items whose place it takes


def parts_of(item: MediaItem) -> tuple[str, ...]:
    """Return the ids of the items whose place an item takes."""
    found = item.extra.get(REPLACES)
    if not isinstance(found, (list, tuple)):
        return ()
    return tuple(each for each in found if isinstance(each, str) and each != item.id)


def with_parts(items: ItemQueries, media: Sequence[MediaItem]) -> list[MediaItem]:
    """Return media with the ids of the items that have only the beginning of their file.

    Raises LibraryError.
    """
    earlier = items.earlier_copies([item for item in media if REPLACES not in item.extra])
    found = []
    for item in media:
        parts = [each for each in earlier.get(item.id, ()) if _is_part(items, each, item)]
        found.append(replace(item, extra={**item.extra, REPLACES: parts}) if parts else item)
    return found


def _is_part(items: ItemQueries, item_id: str, whole: MediaItem) -> bool:
    row = items.read(item_id)
    if row is None or not isinstance(row.job, MediaItem) or row.job.extra.get(KEPT):
        return False
    size, sha256 = row.job.extra.get("size"), row.job.extra.get("sha256")
    if not isinstance(size, int) or not isinstance(sha256, str):
        return False
    return is_begun_by(Path(str(whole.extra.get("path", ""))), size, sha256)
