"""The trash of a library: each removed item whole in a folder of its own, for a week.

    <home>/trash/20260301T093000-1a2b3c4d/removal.json   the item, its rows, the state of the work
                                         /files/…        its files, named as in `media/`
                                         /extras/…       the results of its steps
                                         /later/…        files that were written afterwards

`removal.json` is written before anything else is changed, so that a removal and its undoing can
be completed after a kill. The ids of removed items are in `library.json` too, under `removed`:
they outlive the trash and a lost database, and backups have them.
"""

from __future__ import annotations

import errno
import logging
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library.directory import is_metadata, list_directory
from kb.library.extras import FOLDER as EXTRAS
from kb.library.library import LOCK_FOLDER, Library
from kb.library.products import forget_products
from kb.library.versions import Versions
from kb.storage import Fields

KEEP_S = 7 * 86_400.0
REMOVING, REMOVED, RESTORING = "removing", "removed", "restoring"
FOLDER, DOCUMENT, FILES, LATER = "trash", "removal.json", "files", "later"
KEPT = "kept"  # key of an item's `extra`: a person took its replacement by a whole file back
MARKS = "removed"  # key of `library.json`: {id: {"at", "serial", "title"}}
_DELETING = ".deleting-"  # beginning of the name of a folder that is being deleted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemovedItem:
    """An item in the trash; `at` is the time of its removal, in seconds since the epoch.

    `rows` are its rows by table, `indexed` the local knowledge bases that had it, `to_send` those
    that get it again when it comes back, `stem` the name of its files ("" for an item without
    any). `replaced_by` is the id of the item that took its place, "" if a person removed it.
    """

    id: str
    title: str
    at: float
    state: str
    stem: str
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    indexed: tuple[str, ...]
    to_send: tuple[str, ...]
    folder: Path
    replaced_by: str = ""

    @property
    def until(self) -> float:
        """The time at which the item is deleted for good."""
        return self.at + KEEP_S

    @property
    def serial(self) -> int:
        """The number of the item's last workflow; 0 without a row."""
        found = [row.get("serial") for row in self.rows.get("items", ())]
        return max((number for number in found if isinstance(number, int)), default=0)


class Trash:
    """The trash of one library. Every method raises LibraryError when files cannot be used."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.folder = library.home / FOLDER

    # The removed ids

    def marks(self) -> dict[str, Mapping[str, Any]]:
        """Return time (`at`), last workflow (`serial`) and title of each removed item, by id."""
        found = self.library.read_facts().get(MARKS)
        if not isinstance(found, dict):
            return {}
        return {key: mark for key, mark in found.items() if isinstance(mark, dict)}

    def mark(self, item: RemovedItem) -> None:
        """Record that an item was removed on request."""
        self._change({item.id: {"at": item.at, "serial": item.serial, "title": item.title}})

    def unmark(self, ids: Iterable[str]) -> None:
        """Forget that these items were removed."""
        known = self.marks()
        if gone := {item_id: None for item_id in ids if item_id in known}:
            self._change(gone)

    def _change(self, changes: Mapping[str, Mapping[str, Any] | None]) -> None:
        with storage.locked(self.library.home / LOCK_FOLDER / "library.lock"):
            merged = {**self.marks(), **changes}
            kept = {key: mark for key, mark in merged.items() if mark is not None}
            self.library.write_facts({MARKS: kept or None})

    # The items

    def items(self) -> list[RemovedItem]:
        """Return the items in the trash, the last removed one first; damaged ones are logged."""
        found: list[RemovedItem] = []
        for path in sorted(self.folder.glob(f"*/{DOCUMENT}")):
            try:
                if not path.parent.name.startswith("."):
                    found.append(_read(path))
            except LibraryError as error:
                log.warning("%s", error.message)
        return sorted(found, key=lambda item: item.at, reverse=True)

    def find(self, item_id: str) -> RemovedItem | None:
        """Return the last removed item with this id, or None."""
        return next((item for item in self.items() if item.id == item_id), None)

    def write(self, item: RemovedItem) -> RemovedItem:
        """Write an item's document and return the item."""
        document = {**asdict(item), "version": 1}
        del document["folder"]
        storage.write_json(item.folder / DOCUMENT, document)
        return item

    def with_state(self, item: RemovedItem, state: str) -> RemovedItem:
        """Record how far the work on an item is."""
        return self.write(replace(item, state=state))

    def new_folder(self, item_id: str, at: float) -> Path:
        """Return a folder for an item that is removed now; it is not made yet."""
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(at))
        name = f"{moment}-{zlib.crc32(item_id.encode('utf-8', 'surrogatepass')):08x}"
        folder, number = self.folder / name, 1
        while folder.exists():
            number += 1
            folder = self.folder / f"{name}-{number}"
        return folder

    def move_in(self, item: RemovedItem, folder: str = FILES) -> None:
        """Move the item's files from `media/` into the trash, the metadata first."""
        for name in sorted(self._names(item), key=lambda name: not is_metadata(name)):
            _move(self.library.media_folder / name, item.folder / folder / name)
        # What is written afterwards replaces what is in the trash already: both are the item's.
        self._move_extras(self._extras_of(item), item.folder / EXTRAS)
        forget_products(self.library.home, item.stem)

    def check_names(self, item: RemovedItem) -> None:
        """Raise LibraryError if another file has a name of the item's files."""
        for name in list_directory(item.folder / FILES):
            if (self.library.media_folder / name).exists():
                raise LibraryError(
                    "remove.name_taken",
                    "{name} is in the library already, and {title} cannot come back beside it.",
                    hint="Rename or move {path}, then try again.",
                    name=name,
                    title=item.title,
                    path=self.library.media_folder / name,
                )

    def move_out(self, item: RemovedItem) -> None:
        """Move the item's files back into `media/`, the metadata last."""
        self._move_extras(item.folder / EXTRAS, self._extras_of(item))
        inside = item.folder / FILES
        for name in sorted(list_directory(inside), key=is_metadata):
            _move(inside / name, self.library.media_folder / name)

    def _extras_of(self, item: RemovedItem) -> Path:
        # Without a stem the path is one that does not exist.
        return self.library.home / EXTRAS / (item.stem or ".none")

    def _move_extras(self, source: Path, target: Path) -> None:
        if not source.is_dir():
            return
        for name in sorted(list_directory(source)):
            _move(source / name, target / name)
        with storage.held(source) as real, suppress(OSError):
            real.rmdir()  # raises OSError unless the folder is empty

    def delete(self, item: RemovedItem) -> None:
        """Delete an item of the trash for good."""
        # The folder is renamed first: one that was deleted in part must not look whole.
        doomed = item.folder.with_name(f"{_DELETING}{item.folder.name}")
        try:
            with storage.held(item.folder.parent) as trash:
                (trash / item.folder.name).rename(trash / doomed.name)
        except OSError as error:
            raise storage.library_error(error, item.folder, "remove") from error
        if self.library.find(item.id) is None:  # it did not come back
            Versions(self.library).remove(item.id)
        self.sweep()

    def sweep(self) -> None:
        """Delete the folders whose deletion was interrupted, and an empty trash."""
        for folder in self.folder.glob(f"{_DELETING}*"):
            storage.remove_tree(folder)
        if self.folder.is_dir():
            with storage.held(self.folder) as real, suppress(OSError):
                real.rmdir()  # raises OSError unless the folder is empty

    def _names(self, item: RemovedItem) -> list[str]:
        """Return the names in `media/` that begin with the item's stem and are no other item's."""
        folder = self.library.media_folder
        if not item.stem or not folder.is_dir():
            return []
        names = [name for name in list_directory(folder) if name.startswith(f"{item.stem}.")]
        others = [
            name.removesuffix(".json")
            for name in names
            if is_metadata(name) and _id_in(folder / name) not in (None, item.id)
        ]
        return [name for name in names if not any(name.startswith(f"{other}.") for other in others)]


def _id_in(path: Path) -> str | None:
    try:
        described = storage.read_json(path).get("item")
    except LibraryError:
        return None
    found = described.get("id") if isinstance(described, dict) else None
    return found if isinstance(found, str) else None


def _read(path: Path) -> RemovedItem:
    fields = Fields(storage.read_json(path), str(path), hint="Move its folder out of trash/.")
    return RemovedItem(
        fields.text("id"),
        fields.text("title", ""),
        fields.number("at"),
        fields.text("state"),
        fields.text("stem", ""),
        fields.mapping("rows"),
        fields.texts("indexed"),
        fields.texts("to_send"),
        path.parent,
        fields.text("replaced_by", ""),
    )


def _move(source: Path, target: Path) -> None:
    try:
        with storage.held(source) as real_source, storage.held(target) as real_target:
            real_target.parent.mkdir(parents=True, exist_ok=True)
            try:
                real_source.replace(real_target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                # `media/` is on another disk
                storage.link_or_copy(real_source, real_target, link=False)
                real_source.unlink()
    except OSError as error:
        raise storage.library_error(error, target, "write") from error
