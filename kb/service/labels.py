"""Tags, notes and titles that a person gives to items, stored in the item's metadata."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.library import Library, LibraryEntry
from kb.library.metadata import USER, user_part
from kb.pipeline import stages
from kb.service.items import Items
from kb.service.revisions import Revisions

MOST_TAGS = 50  # of one item
LONGEST_TAG, LONGEST_TITLE, LONGEST_NOTE = 60, 300, 20_000  # characters


@dataclass
class Labels:
    """The labels of one library. Methods raise UsageError and LibraryError."""

    library: Library
    queue: JobQueue
    items: Items
    revisions: Revisions
    _counted: tuple[object, dict[str, int]] = field(default=(None, {}), init=False, repr=False)

    def tag(
        self, ids: Sequence[str], add: Collection[str] = (), remove: Collection[str] = ()
    ) -> list[str]:
        """Add and remove tags of items; return the ids of those that changed.

        Two tags are the same if they differ in case alone. Raises UsageError for an unknown item
        before anything is changed.
        """
        added = [_tag(each) for each in add]
        gone = {_tag(each).casefold() for each in remove}
        entries = [self.items.entry(item_id) for item_id in ids]
        changed = []
        for entry in entries:
            with self.library.metadata_lock(entry.item.id):
                entry = self.items.entry(entry.item.id)
                kept: dict[str, str] = {}
                for tag in (*entry.user_tags, *added):
                    kept.setdefault(tag.casefold(), tag)
                tags = [tag for key, tag in kept.items() if key not in gone]
                if len(tags) > MOST_TAGS:
                    raise UsageError(
                        "labels.many_tags",
                        "{item_id} would have {count} tags; the most are {most}.",
                        hint="Remove some of them first.",
                        item_id=entry.item.id,
                        count=len(tags),
                        most=MOST_TAGS,
                    )
                if tags != list(entry.user_tags):
                    self._write(entry, {"tags": tags or None})
                    changed.append(entry.item.id)
        if changed:
            self.queue.record("tag", changed)
        return changed

    def tags(self) -> dict[str, int]:
        """Return all tags with the number of their items, by name."""
        listing = self.items.listing()
        if self._counted[0] is not listing:
            counts = Counter(tag for entry in listing.entries for tag in entry.user_tags)
            ordered = sorted(counts.items(), key=lambda pair: pair[0].casefold())
            self._counted = listing, dict(ordered)
        return self._counted[1]

    def note(self, item_id: str, text: str) -> None:
        """Write the note about an item; an empty text removes it."""
        entry = self.items.entry(item_id)
        text = text.strip()
        _check_length("note", text, LONGEST_NOTE)
        if text != entry.user_note:
            self._write(entry, {"note": text or None})
            self.queue.record("note", [entry.item.id])

    def rename(self, item_id: str, title: str) -> LibraryEntry:
        """Give an item another title; an empty one gives back that of its source.

        Its passages and its documents in knowledge bases get it too; its files keep their names.
        Raises UsageError for an item in the queue.
        """
        entry = self.items.entry(item_id)
        title = re.sub(r"\s+", " ", title).strip()
        _check_length("title", title, LONGEST_TITLE)
        self.revisions.refuse_active(entry)
        given = "" if title == entry.source_title else title
        if (title or entry.source_title) == entry.item.title:
            return entry
        found = self._write(entry, {"title": given or None})
        self.queue.record("rename", [entry.item.id])
        if found.transcript_path is not None:
            transcript = stages.read_transcript(self.library, found)
            self.revisions.follow_up(found, transcript)
        return found

    def _write(self, entry: LibraryEntry, changes: Mapping[str, Any]) -> LibraryEntry:
        with self.library.metadata_lock(entry.item.id):
            present = self.library.find(entry.item.id) or entry
            own = {**user_part(present.record), **changes}
            kept = {key: value for key, value in own.items() if value is not None}
            return self.library.amend(entry.item.id, {USER: kept or None}) or present


def _tag(text: str) -> str:
    """Return a tag without spaces around it. Raises UsageError for an empty or a long one."""
    tag = re.sub(r"\s+", " ", text).strip().lstrip("#").strip()
    if not tag or "," in tag:
        raise UsageError(
            "labels.tag",
            "{tag!r} is no tag.",
            hint="A tag has letters or digits, and no comma.",
            tag=text[:LONGEST_TAG],
        )
    _check_length("tag", tag, LONGEST_TAG)
    return tag


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise UsageError(
            "labels.long",
            "The {what} has {length} characters; the most are {most}.",
            hint="Shorten it.",
            what=what,
            length=len(text),
            most=most,
        )
