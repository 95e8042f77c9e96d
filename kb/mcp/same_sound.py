"""The other items with the sound of an item, as a tool of assistants returns them."""

from __future__ import annotations

from dataclasses import dataclass

from kb.service import Service
from kb.types.safe_text import clean

MOST_LINKS = 50
_MOST_STRETCHES = 20  # of one link


@dataclass(frozen=True, slots=True)
class SoundStretch:
    """A stretch of this item in seconds, and the second of its start in the other one."""

    start_s: float
    end_s: float
    there_s: float


@dataclass(frozen=True, slots=True)
class SameSound:
    """Another item with sound of this one.

    `kind`: this one is `from` it, it has this one `again`, this one `contains` parts of it, or the
    match is `doubtful`. The words of `words_taken_s` seconds are from there; `is_gone` says that it
    was removed.
    """

    id: str
    title: str
    kind: str
    words_taken_s: float
    is_gone: bool
    stretches: tuple[SoundStretch, ...]


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class SoundOfItem:
    """The other items with the same sound, at most 50; `not_compared_yet` may be more."""

    id: str
    items: tuple[SameSound, ...]
    not_compared_yet: int


def sound_of(service: Service, item_id: str) -> SoundOfItem:
    """Return the items with the sound of an item. Raises UsageError and LibraryError."""
    entry = service.items.entry(item_id)
    found = service.enrichment.sound_links(entry)
    return SoundOfItem(
        entry.item.id,
        tuple(
            SameSound(
                link.item_id,
                clean(link.title),
                link.kind,
                round(link.taken_s, 1),
                link.gone,
                tuple(
                    SoundStretch(
                        round(each.start_s, 2), round(each.end_s, 2), round(each.other_s, 2)
                    )
                    for each in link.stretches[:_MOST_STRETCHES]
                ),
            )
            for link in found.links[:MOST_LINKS]
        ),
        found.left,
    )
