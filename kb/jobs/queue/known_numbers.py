"""The numbers of what is known of followed sources: one class for each entry and each item.

The classes of a source sum to what is known of it: the entries of its list, and the items of the
library that came from it. An item has the class of its state. The other classes are of entries
that have no item: `removed`, `files gone`, `cancelled` and `dismissed` (a person left them out),
`closed` (the source does not show them), `unread` (their details are not read yet), `filtered`
(the filters leave them out) and `to come` (the next look queues them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from kb.database import Database, items, list_entries
from kb.database.repeating import repeated
from kb.jobs.queue.item_queries import in_parts
from kb.library.left_out import Mark
from kb.sources.channel_identity import list_ids
from kb.sources.subscriptions import Subscription
from kb.types.clock import known_time

CLOSED, UNREAD, FILTERED, TO_COME = "closed", "unread", "filtered", "to come"
NO_ITEM = frozenset((CLOSED, UNREAD, FILTERED, TO_COME, "removed", "files gone"))
# In the order in which they are shown; the states of items that need attention come after done.
CLASSES = (
    "done", "held", "failed", "waiting", "paused", "queued", "running", TO_COME, UNREAD, FILTERED,
    CLOSED, "dismissed", "cancelled", "removed", "files gone",
)  # fmt: skip
# Those whose entries are named one by one; what the filters leave out is named by a scan.
NAMED = (CLOSED, UNREAD, TO_COME, "removed", "files gone", "cancelled", "dismissed")


@dataclass(frozen=True, slots=True)
class KnownEntry:
    """An entry of a source's list without an item; `title` is empty if it was never read.

    `read_at` is the time in epoch seconds at which the source was asked for it last, None if that
    is unknown.
    """

    id: str
    title: str
    read_at: float | None

    @property
    def name(self) -> str:
        """Title and id, as far as they are known."""
        return f"{self.title} ({self.id})" if self.title else self.id


Entries = dict[str, list[str]]
"""The ids of the entries of each class."""


def of_entries(
    database: Database, followed: Sequence[Subscription], marks: Mapping[str, Mark]
) -> dict[str, Entries]:
    """Return the listed entries that are no items, by key of the subscription and by class.

    `marks` are the items that a person left out. Raises LibraryError.
    """
    lists = {each.key: lists_of(each) for each in followed}
    known = _without_item(database, frozenset().union(*lists.values()))
    found: dict[str, Entries] = {}
    for each in followed:
        # The same entry may be in two lists of one source.
        entries = {
            item_id: facts
            for name in sorted(lists[each.key])
            for item_id, facts in known.get(name, {}).items()
        }
        has_filters = bool(each.filters.as_typed())
        own = found.setdefault(each.key, {})
        for item_id, facts in entries.items():
            marked = str(marks[item_id].why) if item_id in marks else ""
            own.setdefault(marked or _class_of(*facts, has_filters), []).append(item_id)
    return found


def named_entries(
    database: Database, found: Mapping[str, Entries], marks: Mapping[str, Mark]
) -> dict[str, dict[str, tuple[KnownEntry, ...]]]:
    """Return the entries that are named one by one, by key of the subscription and by class.

    The title of one that was never read is that of its record in `marks`. Raises LibraryError.
    """
    wanted = {
        item_id for classes in found.values() for name in NAMED for item_id in classes.get(name, ())
    }
    known = {
        entry.id: entry if entry.title or entry.id not in marks
        else replace(entry, title=marks[entry.id].title)
        for entry in _described(database, sorted(wanted))
    }  # fmt: skip
    return {
        key: {
            name: tuple(known.get(each, KnownEntry(each, "", None)) for each in classes[name])
            for name in NAMED
            if classes.get(name)
        }
        for key, classes in found.items()
    }


def _described(database: Database, ids: Sequence[str]) -> Iterator[KnownEntry]:
    e = list_entries.c
    query = sa.select(e.item_id, sa.func.coalesce(e["item"]["title"].as_string(), ""), e.read_at)
    with database.begin() as connection:
        for part in in_parts(ids):
            for item_id, title, read_at in connection.execute(query.where(e.item_id.in_(part))):
                yield KnownEntry(str(item_id), str(title), known_time(read_at))


def lists_of(each: Subscription) -> frozenset[str]:
    """Return the ids of the known lists of a subscription."""
    # One playlist of a channel is chosen by a title, and its id is not kept.
    return frozenset() if each.filters.playlist else list_ids(each.reference, each.channel_id or "")


def in_order(numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers that are not zero, in the order in which they are shown."""
    names = [*CLASSES, *sorted(numbers.keys() - set(CLASSES))]
    return {name: numbers[name] for name in names if numbers.get(name)}


def _class_of(is_available: bool, is_unread: bool, has_filters: bool) -> str:
    if not is_available:
        return CLOSED
    if is_unread:
        return UNREAD
    return FILTERED if has_filters else TO_COME


@repeated
def _without_item(
    database: Database, lists: frozenset[str]
) -> dict[str, dict[str, tuple[bool, bool]]]:
    """Return the entries without an item: by list and id, if available and if unread."""
    e = list_entries.c
    query = (
        sa.select(e.list_id, e.item_id, e.available, e.read_at.is_(None))
        .join_from(list_entries, items, items.c.id == e.item_id, isouter=True)
        .where(e.list_id.in_(sorted(lists)), e.gone.is_(False), items.c.id.is_(None))
    )
    found: dict[str, dict[str, tuple[bool, bool]]] = {}
    with database.begin() as connection:
        for name, item_id, available, unread in connection.execute(query):
            found.setdefault(str(name), {})[str(item_id)] = (bool(available), bool(unread))
    return found
