"""The file names in the media folder, and the item id of each metadata file.

A look-up of one item must cost the same with ten items and with ten thousand: ids never change, so
that each metadata file is read for its id once, and later only new files are read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library.metadata import MEDIA_EXTENSIONS, ORIGINAL_SUFFIX, TRANSCRIPT_SUFFIX

METADATA_SUFFIX = ".json"


_MEDIA_RANK: Mapping[str, int] = {
    spelling: 2 * number + is_upper
    for number, extension in enumerate(MEDIA_EXTENSIONS)
    for is_upper, spelling in enumerate((extension, extension.upper()))
}  # the lowest of a stem is its medium


def list_directory(folder: Path) -> list[str]:
    """Return the names in a folder without hidden and temporary ones; none if it does not exist.

    Raises LibraryError when it cannot be listed.
    """
    try:
        # Only names are needed, and making a path object for each takes ten times as long.
        names = os.listdir(folder)  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage.library_error(error, folder, "read") from error
    return [name for name in names if name[0] != "."]


def is_metadata(name: str) -> bool:
    """Return whether a file of this name holds an item's metadata, rather than other data of it."""
    others = (TRANSCRIPT_SUFFIX, ORIGINAL_SUFFIX, ".info.json")
    return name.endswith(METADATA_SUFFIX) and not name.endswith(others)


@dataclass(frozen=True)
class DirectorySnapshot:
    """The existing files: from `names`, read once for many queries, or from the disk."""

    path: Path
    names: frozenset[str] | None = None

    def find(self, name: str) -> Path | None:
        """Return the path of an existing name, else None."""
        if self.names is not None:
            return self.path / name if name in self.names else None
        path = self.path / name
        return path if path.exists() else None

    @cached_property
    def _media(self) -> Mapping[str, str]:
        """The name of each stem's medium, from `names`."""
        best: dict[str, tuple[int, str]] = {}
        for name in self.names or ():
            stem, _, kind = name.rpartition(".")
            rank = _MEDIA_RANK.get(f".{kind}")
            if rank is not None and (stem not in best or rank < best[stem][0]):
                best[stem] = rank, name
        return {stem: name for stem, (_, name) in best.items()}

    def media_of(self, stem: str) -> Path | None:
        """Return the stem's medium: video files before audio files."""
        if self.names is not None:  # one walk over all names, not dozens of look-ups an item
            name = self._media.get(stem)
            return self.path / name if name else None
        for extension in MEDIA_EXTENSIONS:
            for spelling in (extension, extension.upper()):
                if path := self.find(f"{stem}{spelling}"):
                    return path
        return None


@dataclass
class MetadataIndex:
    """Maps item ids to metadata files; safe to use from several threads.

    Other processes add files: the folder is read again for an unknown id.
    """

    folder: Path
    _id_of: dict[str, str | None] = field(default_factory=dict)
    _name_of: dict[str, str] = field(default_factory=dict)
    _folded: dict[str, str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)  # all files, as of the last listing
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, item_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return the stem and the present metadata of an item; None if it has none.

        Raises LibraryError when the folder cannot be listed.
        """
        return self.find_all([item_id]).get(item_id)

    def find_known(self, item_id: str) -> tuple[str, dict[str, Any]] | None:
        """Return what `find` returns where the id was read before; the folder is not listed."""
        with self._lock:
            return self._known(item_id)

    def find_all(self, ids: Collection[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the stem and the present metadata of each of these items that has some, by id.

        The folder is listed at most once. Raises LibraryError when it cannot be listed.
        """
        with self._lock:
            found = {item_id: known for item_id in ids if (known := self._known(item_id))}
            if len(found) < len(ids):
                self._refresh()
                for item_id in ids:
                    if item_id not in found and (known := self._known(item_id)):
                        found[item_id] = known
            return found

    def _known(self, item_id: str) -> tuple[str, dict[str, Any]] | None:
        name = self._name_of.get(item_id)
        if name is None:
            return None
        # The file is read again: it may have been removed, or its name given to another item.
        record = _read(self.folder / name)
        if record is not None and _id_in(record) == item_id:
            return name.removesuffix(METADATA_SUFFIX), record
        self._forget(name)
        return None

    def owner_of(self, stem: str) -> str | None:
        """Return the id of another item with metadata under this stem, ignoring case; else None.

        The result is as of the last reading of the folder, which `find` does for an unknown id.
        """
        with self._lock:
            name = self._folded.get(f"{stem}{METADATA_SUFFIX}".casefold())
            return self._id_of.get(name) if name else None

    def add(self, stem: str, item_id: str) -> None:
        """Add metadata that was just written."""
        with self._lock:
            self._store(f"{stem}{METADATA_SUFFIX}", item_id)

    def learn(self, ids: Mapping[str, str]) -> None:
        """Add ids by stem, as a reading of the whole folder has found them: no file is read.

        What is known already costs one look-up: a page calls this often with very many names.
        """
        with self._lock:
            for stem, item_id in ids.items():
                name = f"{stem}{METADATA_SUFFIX}"
                if self._id_of.get(name) == item_id:
                    continue
                self._forget(name)
                old = self._name_of.get(item_id)
                if old is not None and ids.get(old.removesuffix(METADATA_SUFFIX)) != item_id:
                    self._forget(old)  # another process has renamed it
                self._store(name, item_id)

    def _refresh(self) -> None:
        names = set(list_directory(self.folder))
        for name in self._id_of.keys() - names:
            self._forget(name)
        # Only what was added is looked at one by one: the folder may have very many files.
        added = {name for name in names - self._names if is_metadata(name)} - self._id_of.keys()
        self._names = names
        # Files without an id were damaged or another program's: they may have been repaired.
        unread: set[str] = set()
        for name, item_id in self._id_of.items():
            if item_id is None:
                unread.add(name)
            else:  # perhaps a copy of a file that has gone
                self._name_of.setdefault(item_id, name)
        for name in sorted(added | unread):
            record = _read(self.folder / name)
            self._store(name, None if record is None else _id_in(record))

    def _store(self, name: str, item_id: str | None) -> None:
        self._id_of[name] = item_id
        self._folded.setdefault(name.casefold(), name)
        if item_id is not None:
            self._name_of.setdefault(item_id, name)

    def _forget(self, name: str) -> None:
        self._names.discard(name)
        item_id = self._id_of.pop(name, None)
        if item_id is not None and self._name_of.get(item_id) == name:
            del self._name_of[item_id]
        if self._folded.get(name.casefold()) == name:
            del self._folded[name.casefold()]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return storage.read_json(path)
    except LibraryError:
        return None


def _id_in(record: dict[str, Any]) -> str | None:
    item = record.get("item")
    item_id = item.get("id") if isinstance(item, dict) else None
    return item_id if isinstance(item_id, str) else None
