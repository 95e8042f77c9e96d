"""Results of the steps that follow an item's words, one document of each kind.

    <home>/extras/<stem>/speakers.json     the stem is that of the item's files in `media/`
                         meaning.json      the vectors of its passages
                         voices.json       the voices of its speakers, if a setting asks for them
                         de.transcript.json  a translation of its words

They are the primary record, as the files in `media/` are: backups have them, and they go with the
item into the trash and back. No item is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library.library import Library
from kb.library.metadata import LibraryEntry
from kb.storage import Guard
from kb.storage.places import remove_file

FOLDER = "extras"
VOICES = "voices"  # embeddings of the speakers' voices: no result of a step, and never published
VERSION = 1
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,39}(\.transcript)?")


class Extras:
    """The results in one library. Methods raise LibraryError when files cannot be used."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.folder = library.home / FOLDER

    def path(self, stem: str, kind: str) -> Path:
        """Return the path of one document."""
        if not _KIND.fullmatch(kind):
            raise ValueError(f"{kind!r} is no name of a result")
        return self.folder / stem / f"{kind}.json"

    def read(self, entry: LibraryEntry, kind: str) -> dict[str, Any] | None:
        """Return a document of an item; None if there is none.

        Raises LibraryError for a damaged one, for one of another item and for a newer version.
        """
        path = self.path(entry.stem, kind)
        if not path.exists():
            return None
        document = storage.read_json(path)
        if document.get("id") != entry.item.id:
            raise LibraryError(
                "extras.other_item",
                "{path} is not of {item_id}.",
                hint="Move it away.",
                path=path,
                item_id=entry.item.id,
            )
        version = document.get("version")
        if not isinstance(version, int) or version > VERSION:
            raise LibraryError(
                "library.newer",
                "{path} is of version {version}, this program knows {known}.",
                hint="Update KB Ingest before writing to this library.",
                path=path,
                version=version,
                known=VERSION,
            )
        return document

    def write(
        self, entry: LibraryEntry, kind: str, document: Mapping[str, Any], guard: Guard
    ) -> Path:
        """Write a document of an item, within `guard`, which raises for a late attempt."""
        path = self.path(entry.stem, kind)
        whole = {"version": VERSION, "id": entry.item.id, "kind": kind, **document}
        storage.write_bytes(path, storage.json_bytes(whole), guard)
        return path

    def remove(self, entry: LibraryEntry, kind: str, guard: Guard) -> bool:
        """Remove a document of an item within `guard`; return False if there is none."""
        path = self.path(entry.stem, kind)
        if not path.exists():
            return False
        with guard():
            remove_file(path)
        return True

    def kinds(self, stem: str) -> list[str]:
        """Return the kinds of the results under a stem: one for each step that was carried out."""
        return [name for name in self.documents(stem) if name != VOICES and "." not in name]

    def further(self, stem: str) -> list[str]:
        """Return the names of the further documents of results, such as `de.transcript`."""
        return [name for name in self.documents(stem) if "." in name]

    def documents(self, stem: str) -> list[str]:
        """Return the kinds of all documents under a stem."""
        return sorted(path.stem for path in (self.folder / stem).glob("*.json"))

    def stems(self) -> Iterator[str]:
        """Yield the names of the folders that have documents."""
        if self.folder.is_dir():
            for folder in sorted(self.folder.iterdir()):
                named = folder.is_dir() and not folder.name.startswith(".")
                if named and self.documents(folder.name):
                    yield folder.name
