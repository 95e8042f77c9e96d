"""Removal of items: files into the trash, rows out of the tables, passages out of the index.

Every step may be repeated. The item's document in the trash is written first and names the work
that has been started; `Removal.complete` carries it through after a kill.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb import storage
from kb.database import Database, deliveries, items, steps
from kb.database.repeating import repeated
from kb.errors import KBError, LibraryError, UsageError
from kb.jobs.queue.item_states import ACTIVE, ENDED
from kb.library import Library, LibraryEntry
from kb.library.clock_leaps import ClockLeaps
from kb.library.metadata import STORED
from kb.library.trash import (
    FILES,
    KEEP_S,
    KEPT,
    LATER,
    REMOVED,
    REMOVING,
    RESTORING,
    RemovedItem,
    Trash,
)
from kb.pipeline import captions, stages
from kb.pipeline.stored_media import StoredMedia
from kb.settings import Settings
from kb.sinks import SINKS, is_local_sink, open_sink

log = logging.getLogger(__name__)

_TABLES = {"items": items, "deliveries": deliveries, "steps": steps}

Send = Callable[[str, Sequence[str]], None]
"""Called with an item's id and the remote knowledge bases that are to get it again."""


def refuse_active(item_id: str, state: str) -> None:
    """Raise UsageError for the state of an item that a worker may still work on."""
    if state in ACTIVE:
        raise UsageError(
            "remove.active",
            "{item_id} is {state}; an item is removed only after its work has ended.",
            hint="Cancel it first: kb cancel {item_id}",
            item_id=item_id,
            state=state,
        )


@dataclass
class Removal:
    """The removed items of one library."""

    settings: Settings
    library: Library
    database: Database
    send: Send

    @property
    def trash(self) -> Trash:
        return Trash(self.library)

    def remove(
        self, item_id: str, *, title: str, to_send: Sequence[str] = (), replaced_by: str = ""
    ) -> RemovedItem:
        """Move an item to the trash; return it.

        `to_send` are remote knowledge bases that get the item again when the removal is undone;
        `replaced_by` is the item that takes its place.
        Raises UsageError for an item in the queue, LibraryError and KnowledgeBaseError.
        """
        with self.library.metadata_lock(item_id):
            entry = self.library.find(item_id)
            rows = self._rows(item_id)
            for row in rows["items"]:
                refuse_active(item_id, row["state"])
            at = self.database.time()
            item = RemovedItem(
                item_id, title, at, REMOVING, entry.stem if entry else "", rows,
                tuple(self._indexed(item_id, entry, rows["deliveries"])),
                tuple(to_send),
                self.trash.new_folder(item_id, at), replaced_by,
            )  # fmt: skip
            return self._remove(self.trash.write(item))

    def undo(self, item: RemovedItem) -> None:
        """Put an item of the trash back as it was.

        Raises UsageError if the library has the item again, LibraryError if a name is taken.
        """
        with self.library.metadata_lock(item.id):
            there = self._rows(item.id)["items"]
            if item.state == REMOVED and (there or self.library.find(item.id) is not None):
                raise UsageError(
                    "remove.taken_again",
                    "{item_id} ({title}) is in the library again: it was ingested after its "
                    "removal.",
                    hint="To have the earlier one back, remove the new one first, then take the "
                    "files from {folder}.",
                    item_id=item.id,
                    title=item.title,
                    folder=item.folder,
                )
            self._restore(item)

    def complete(self) -> list[str]:
        """Complete removals and their undoing that were interrupted; return the items' ids.

        Files that a cancelled step wrote after the removal are moved to the trash too.
        """
        self.trash.sweep()
        completed: list[str] = []
        found = self.trash.items()
        marks = self.trash.marks() if found else {}
        for item in found:
            try:
                with self.library.metadata_lock(item.id):
                    if self._complete(item, marked=item.id in marks):
                        completed.append(item.id)
            except KBError as error:  # one item must not hold up the others
                log.warning("%s: the removal is not complete: %s", item.id, error.message)
        return completed

    def _complete(self, item: RemovedItem, *, marked: bool) -> bool:
        if item.state == RESTORING:
            self._restore(item)
        elif item.state == REMOVING:
            self._remove(item)
        elif marked and self._left_over(item):
            self.trash.move_in(item, LATER)
        else:
            return False
        return True

    def empty(self, now: float | None = None, leaps: ClockLeaps | None = None) -> list[str]:
        """Delete the items whose week has passed; return their ids.

        `leaps` are those of the database's clock: no week passes in one of them.
        """
        now = self.database.time() if now is None else now
        leaps = leaps or ClockLeaps()
        ages = [(item, leaps.age_s(item.at, now)) for item in self.trash.items()]
        old = [
            item
            for item, age_s in ages
            if item.state == REMOVED and age_s is not None and age_s >= KEEP_S
        ]
        emptied = []
        for item in old:
            try:
                self._forget_stored(item)
            except LibraryError as error:  # a bucket that is away: the next call tries again
                log.warning("%s stays in the trash: %s", item.id, error)
                continue
            self.trash.delete(item)
            emptied.append(item.id)
        return emptied

    def _forget_stored(self, item: RemovedItem) -> None:
        """Delete what an item of the trash has in object storage."""
        media, back = StoredMedia.of(self.library, self.settings), self.library.find(item.id)
        for path in item.folder.rglob("*.json"):
            try:
                record = storage.read_json(path).get(STORED)
            except LibraryError:  # damaged: it names no object
                continue
            media.forget(record, back)

    # Steps: each may be repeated

    def _remove(self, item: RemovedItem) -> RemovedItem:
        state = self._delete_rows(item.id)
        if state is not None:  # it was queued again meanwhile
            if not (item.folder / FILES).is_dir():
                self.trash.delete(item)
            refuse_active(item.id, state)
        self.trash.mark(item)
        self.trash.move_in(item)
        for sink in item.indexed:
            open_sink(sink, self.settings).delete(item.id)
        return self.trash.with_state(item, REMOVED)

    def _restore(self, item: RemovedItem) -> None:
        self.trash.check_names(item)
        item = self.trash.with_state(item, RESTORING)
        self.trash.move_out(item)
        self._put_back_rows(item)
        self.trash.unmark([item.id])
        entry = self.library.find(item.id)
        if entry is not None:
            self._index(entry, item.indexed)
            if entry.transcript_path is not None and item.to_send:
                self.send(item.id, item.to_send)
        self.trash.delete(item)

    @repeated
    def _delete_rows(self, item_id: str) -> str | None:
        """Delete the rows of an item that has ended; return the state of one that has not."""
        with self.database.begin() as connection:
            gone = sa.delete(items).where(items.c.id == item_id, items.c.state.in_(ENDED))
            connection.execute(gone)
            query = sa.select(items.c.state).where(items.c.id == item_id)
            state: str | None = connection.scalar(query)
            if state is None:
                connection.execute(sa.delete(deliveries).where(deliveries.c.item_id == item_id))
                # A step that runs cannot write its result from now on (`Fences.step`).
                connection.execute(sa.delete(steps).where(steps.c.item_id == item_id))
        return state

    @repeated
    def _put_back_rows(self, item: RemovedItem) -> None:
        with self.database.begin() as connection:
            gone = sa.delete(items).where(items.c.id == item.id, items.c.state.in_(ENDED))
            connection.execute(gone)
            for name, table in _TABLES.items():
                for row in item.rows.get(name, ()):
                    known = {key: value for key, value in row.items() if key in table.c}
                    if name == "items" and item.replaced_by:
                        known["item"] = _kept(known["item"])
                    self.database.insert_if_missing(connection, table, **known)

    def _index(self, entry: LibraryEntry, sinks: Sequence[str]) -> None:
        if entry.transcript_path is not None:
            transcript = stages.read_transcript(self.library, entry)
            for sink in sinks:
                stages.publish(self.library, self.settings, entry, transcript, sink)
        elif "local" in sinks and (shown := captions.interim_passages(self.library, entry)):
            open_sink("local", self.settings).publish(entry.item, shown)

    def _left_over(self, item: RemovedItem) -> bool:
        if self._rows(item.id)["items"]:
            return False
        found = self.library.find(item.id)
        return found is not None and found.stem == item.stem

    @repeated
    def _rows(self, item_id: str) -> dict[str, list[dict[str, Any]]]:
        queries = {
            "items": sa.select(items).where(items.c.id == item_id),
            "deliveries": sa.select(deliveries).where(deliveries.c.item_id == item_id),
            "steps": sa.select(steps).where(steps.c.item_id == item_id),
        }
        with self.database.begin() as connection:
            return {
                name: [dict(row) for row in connection.execute(query).mappings()]
                for name, query in queries.items()
            }

    def _indexed(
        self, item_id: str, entry: LibraryEntry | None, rows: Sequence[dict[str, Any]]
    ) -> list[str]:
        """Return the local knowledge bases that have the item."""
        names = {"local", *(row["sink"] for row in rows), *(entry.published if entry else ())}
        return [
            name
            for name in sorted(names & SINKS.keys())
            if is_local_sink(name)
            and open_sink(name, self.settings).status(item_id).status != "missing"
        ]


def _kept(document: Any) -> Any:
    """Return an item's document with the mark that it stays beside the whole file's item."""
    if not isinstance(document, dict):
        return document
    extra = document.get("extra")
    return {**document, "extra": {**(extra if isinstance(extra, dict) else {}), KEPT: True}}
