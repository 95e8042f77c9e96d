"""Selection from a known list: the entries that pass the filters and are not in the library yet."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.known_list import KnownList
from kb.types import MediaItem

_AT_ONCE = 200
_EXTENT_MARK = "@"
# Returns an item, with more known of it, or None for one that cannot be decided now.
Resolve = Callable[[MediaItem], MediaItem | None]


@runtime_checkable
class KnownItems(Protocol):
    """Ids that can be asked for many at once."""

    def among(self, ids: Collection[str]) -> set[str]:
        """Return those of these ids that are known."""
        ...


def known_among(known: Container[str], ids: Collection[str]) -> set[str]:
    """Return those of these ids that are known."""
    if isinstance(known, KnownItems):
        return known.among(ids)
    return {each for each in ids if each in known}


def select_missing(
    entries: KnownList, filters: VideoFilters, known: Container[str], resolve: Resolve, *,
    by_date: bool,
) -> Iterator[MediaItem]:  # fmt: skip
    """Yield the entries that pass the filters and are not known: newest first, or by place."""
    ids = entries.ids(by_date=by_date)
    there = known_among(known, ids)
    for part in _parts([each for each in ids if each not in there]):
        for item in entries.items(part):
            resolved = resolve(item)
            if resolved is not None and filters.keep(resolved):
                yield resolved


def select_newest(
    entries: KnownList, filters: VideoFilters, known: Container[str], resolve: Resolve, *,
    is_final: bool,
) -> Iterator[MediaItem]:  # fmt: skip
    """Yield those of the newest N that pass the filters which are not known (`filters.limit`).

    An entry older than the oldest one that was ever among the newest N is not taken: a removal at
    the source does not lead back in time. `is_final` records that oldest one.
    """
    # Without the first day: it may move with the days, and the oldest one does not depend on it.
    key = filters_key(replace(filters, after=""), with_limit=True)
    floors = dict(entries.state().floors)
    floor = floors.get(key, "")
    newest: list[MediaItem] = []
    for item in _passing(entries, filters, resolve):
        if len(newest) == filters.limit or (floor and _moment(item) < floor):
            break
        newest.append(item)
    if is_final and len(newest) == filters.limit:
        oldest = max(floor, _moment(newest[-1]))
        if oldest != floor:
            entries.update(floors={**floors, key: oldest})
    there = known_among(known, [item.id for item in newest])
    yield from (item for item in newest if item.id not in there)


def _passing(entries: KnownList, filters: VideoFilters, resolve: Resolve) -> Iterator[MediaItem]:
    for part in _parts(entries.ids(by_date=True)):
        for item in entries.items(part):
            resolved = resolve(item)
            if resolved is not None and filters.keep(resolved):
                yield resolved


def filters_key(filters: VideoFilters, *, with_limit: bool = False) -> str:
    """Return a key for the filters that decide which entries are wanted; empty for none."""
    left_out = {"new", "playlist"} if with_limit else {"new", "limit", "playlist"}
    values = {
        name: value for name, value in filters.as_dict().items() if value and name not in left_out
    }
    if not values:
        return ""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def newest_extent(filters: VideoFilters) -> str:
    """Return the name of the part of a list by date that these filters need; see `is_within`.

    The filters are dated; the part begins at the newest entry.
    """
    key = before = ""
    if filters.limit:
        key = filters_key(replace(filters, after="", before=""), with_limit=True)
        before = filters.before
    return _EXTENT_MARK.join((key, filters.after, before))


def is_within(extent: str, read: str) -> bool:
    """Return True if a part of a list lies within the part that was read (`newest_extent`).

    The first and the last day of a part may have moved on: nothing older is needed for that.
    """
    own, whole = extent.split(_EXTENT_MARK), read.split(_EXTENT_MARK)
    if len(own) != 3 or len(whole) != 3:
        return False
    (key, after, before), (read_key, read_after, read_before) = own, whole
    is_later = not before or bool(read_before and read_before <= before)
    return key == read_key and read_after <= after and is_later


def _moment(item: MediaItem) -> str:
    return str(item.extra.get("published_at") or item.published)


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
