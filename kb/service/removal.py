"""Removal of items for people: by id or its beginning, remote copies on request, undone later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kb.errors import KBError, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.outbox_states import DEFERRED, IN_PROGRESS, MISSING, SENDING, SYNCED, SYNCING
from kb.jobs.removal import Removal, refuse_active
from kb.jobs.replacement import Replacement
from kb.library import Library, LibraryEntry
from kb.library.trash import RemovedItem
from kb.pipeline.publish_record import in_other_project
from kb.settings import Settings
from kb.sinks import REMOTE
from kb.types import MediaItem
from kb.types.media import begins_with

if TYPE_CHECKING:
    from kb.service.items import Items
    from kb.service.publisher import Publisher


@dataclass(frozen=True, slots=True)
class Removed:
    """A removed item: the times of removal and of deletion for good, in seconds since the epoch.

    `remote` tells that its documents were deleted from the remote knowledge base, and
    `stays_in` names the remote knowledge bases that keep it. `replaced_by` is the item that took
    its place, "" if a person removed it.
    """

    id: str
    title: str
    at: float
    until: float
    folder: Path
    remote: bool = False
    stays_in: tuple[str, ...] = ()
    replaced_by: str = ""


def complete_removals(settings: Settings, library: Library, queue: JobQueue) -> list[str]:
    """Complete removals that were interrupted; return the items' ids. Raises LibraryError."""
    if not (library.home / "trash").is_dir():
        return []
    return Removal(settings, library, queue.database, queue.send).complete()


@dataclass
class Removals:
    """The removed items of one library."""

    settings: Settings
    library: Library
    queue: JobQueue
    items: Items
    publisher: Callable[[], Publisher]

    def listed(self) -> list[Removed]:
        """Return the items that can come back, the last removed one first."""
        return [_shown(item) for item in self._removal.trash.items()]

    def find(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """Return full id and title of items given by id or its beginning; check that they can go.

        Raises UsageError for an unknown item, an ambiguous beginning, a listing, and an item that
        is in the queue.
        """
        found = [self._item(item_id) for item_id in ids]
        return list({item_id: (item_id, title) for item_id, title in found}.values())

    def remove(self, ids: Sequence[str], *, remote: bool = False) -> list[Removed]:
        """Move items to the trash; return them.

        `remote` deletes their documents from the remote knowledge base too, before anything else.
        Nothing is changed unless all of them can be removed. Raises as `find` does, and
        CredentialsMissing or KnowledgeBaseError for the remote knowledge base.
        """
        complete_removals(self.settings, self.library, self.queue)
        found = self.find(ids)
        removed: list[Removed] = []
        for item_id, title in found:
            sent, elsewhere, waiting = self._remote_copies(item_id)
            self.queue.cancel_publications([item_id])
            deleted = remote and (sent or REMOTE in waiting)
            if deleted:
                try:
                    self.publisher().odin.delete(item_id)
                except KBError:
                    self.queue.send(item_id, waiting)
                    raise
                waiting = sorted({*waiting, REMOTE})
            item = self._removal.remove(item_id, title=title, to_send=waiting)
            self.queue.record("remove", [item_id], remote=REMOTE if deleted else "")
            stays_in = (REMOTE,) if elsewhere or (sent and not deleted) else ()
            removed.append(_shown(item, remote=deleted, stays_in=stays_in))
        return removed

    def undo(self, ids: Sequence[str]) -> list[str]:
        """Put removed items back as they were; return their ids.

        Raises UsageError for an item that is not in the trash or was ingested again meanwhile.
        """
        chosen = [self._in_trash(item_id) for item_id in ids]
        for item in chosen:
            self._removal.undo(item)
            self.queue.record("undo remove", [item.id])
        return [item.id for item in chosen]

    def replace_parts(self, parts: Sequence[str], whole: str) -> list[str]:
        """Move items that have only the beginning of a file to the trash, for the whole one's sake.

        Return their ids; undone as a removal is. Raises LibraryError.
        """
        if not parts:
            return []
        replacement = Replacement(
            self._removal,
            self.queue.outbox,
            self.queue.cancel,
            lambda item_id: self.publisher().odin.delete(item_id),
        )
        moved = [item.id for item in replacement.run(parts, whole)]
        if moved:
            self.queue.record("remove", moved, replaced_by=whole)
        return moved

    @property
    def _removal(self) -> Removal:
        return Removal(self.settings, self.library, self.queue.database, self.queue.send)

    def _item(self, item_id: str) -> tuple[str, str]:
        found: ItemRow | LibraryEntry
        try:
            found = self._find(item_id)
        except UsageError as error:
            gone = _matching(self._removal.trash.items(), item_id)
            if error.code == "item.unknown" and gone:
                raise UsageError(
                    "remove.already",
                    "{item_id} ({title}) was removed already.",
                    hint="To have it back: kb remove --undo {item_id}",
                    item_id=gone[0].id,
                    title=gone[0].title,
                ) from error
            raise
        if isinstance(found, LibraryEntry):
            return found.item.id, found.item.title
        if not isinstance(found.job, MediaItem):
            raise UsageError(
                "remove.listing",
                "{item_id} is a listing and no item of the library.",
                hint="End it with: kb cancel {item_id}",
                item_id=found.id,
            )
        refuse_active(found.id, found.state)
        return found.id, found.title

    def _find(self, item_id: str) -> ItemRow | LibraryEntry:
        try:
            return self.items.row(item_id)
        except UsageError as error:
            if error.code != "item.unknown":
                raise
            return self.items.entry(item_id)  # it was put into the folder by hand

    def _remote_copies(self, item_id: str) -> tuple[bool, bool, list[str]]:
        """Return whether ODIN may have the item, and the knowledge bases for which it waits.

        The second value is True if another project has it than that of the settings.
        """
        entry = self.library.find(item_id)
        rows = self.queue.outbox.for_items([item_id]).get(item_id, ())
        record = entry.published.get(REMOTE) if entry else None
        elsewhere = any(row.sink == REMOTE and row.status == MISSING for row in rows) or (
            isinstance(record, Mapping) and in_other_project(record, self.settings.odin_project_id)
        )
        states = {row.status for row in rows if row.sink == REMOTE}
        sent = bool(entry and REMOTE in entry.published) or bool(
            states & {SYNCED, SYNCING, SENDING}
        )
        pending = (*IN_PROGRESS, *DEFERRED)
        return (
            sent,
            elsewhere,
            [row.sink for row in rows if row.sink != "local" and row.status in pending],
        )

    def _in_trash(self, item_id: str) -> RemovedItem:
        found = _matching(self._removal.trash.items(), item_id)
        if len({item.id for item in found}) > 1:
            raise UsageError(
                "item.ambiguous",
                "{item_id!r} could be any of: {ids}.",
                hint="Give more of the id.",
                item_id=item_id,
                ids=", ".join(item.id for item in found[:5]),
            )
        if not found:
            raise UsageError(
                "remove.not_in_trash",
                "There is no removed item {item_id!r} in {folder}.",
                hint="List those that can come back: kb remove --list",
                item_id=item_id,
                folder=self._removal.trash.folder,
            )
        return found[0]


def _matching(items: Sequence[RemovedItem], item_id: str) -> list[RemovedItem]:
    """Return the items with this id, else those whose id, or its last part, begins so."""
    exact = [item for item in items if item.id == item_id]
    return exact or [item for item in items if item_id and begins_with(item.id, item_id)]


def _shown(item: RemovedItem, *, remote: bool = False, stays_in: tuple[str, ...] = ()) -> Removed:
    return Removed(
        item.id, item.title, item.at, item.until, item.folder, remote, stays_in, item.replaced_by
    )
