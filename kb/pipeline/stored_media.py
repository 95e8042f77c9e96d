"""Media in object storage (KB_MEDIA_URL): stored once, fetched again where they are needed.

The record of an item says where its medium is and what it must be. A local file is given up only
after the stored one was seen there with the right size and hash; one that comes back is compared
with its hash before it is put into the library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kb import storage
from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.metadata import STORED
from kb.media import sha256_of
from kb.settings import Settings
from kb.storage.object_store import ObjectStore, StoredFile

DOWNLOADS = "downloads"


@dataclass(frozen=True)
class StoredMedia:
    """The stored media of a library. Methods raise LibraryError."""

    library: Library
    store: ObjectStore
    folder_url: str  # empty: nothing new is stored; what was stored can be fetched

    @classmethod
    def of(cls, library: Library, settings: Settings) -> StoredMedia:
        """Return the stored media of a library by its settings."""
        store = ObjectStore(
            settings.s3_endpoint,
            settings.s3_region,
            settings.s3_key_id,
            settings.s3_secret.get_secret_value(),
        )
        return cls(library, store, settings.media_url)

    def keep(self, entry: LibraryEntry) -> bool:
        """Store the medium of an item and record it; return False if there is none to store.

        A file that is not the recorded one any more is not stored.
        """
        path = entry.media_path
        if path is None:
            return False
        sha256 = sha256_of(path)
        if entry.sha256 not in ("", sha256):
            return False
        size = path.stat().st_size
        # Of its item alone, and of one content: a later medium never replaces this one.
        owner = hashlib.sha256(entry.item.id.encode()).hexdigest()[:16]
        url = f"{self.folder_url}/{owner}/{sha256}{path.suffix.lower()}"
        if self.store.find(url) != StoredFile(size, sha256):
            self.store.put(path, url, sha256)
            if self.store.find(url) != StoredFile(size, sha256):
                raise _lost(entry, url)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record = {"url": url, "name": path.name, "sha256": sha256, "bytes": size, "at": at}
        self.library.amend(entry.item.id, {STORED: record, "media": {"sha256": sha256}})
        return True

    def is_stored(self, entry: LibraryEntry) -> bool:
        """Return True if the object of an item is there, with the recorded size and hash."""
        found = self.store.find(str(entry.stored["url"]))
        return found == StoredFile(int(entry.stored["bytes"]), entry.sha256)

    def give_up_local(self, entry: LibraryEntry) -> bool:
        """Delete the local file of a stored medium; False if it is not surely stored."""
        if entry.media_path is None or not entry.stored or not self.is_stored(entry):
            return False
        with self.library.metadata_lock(entry.item.id):
            fresh = self.library.find(entry.item.id)
            if fresh is None or fresh.record != entry.record or fresh.media_path is None:
                return False
            with storage.held(fresh.media_path) as real:
                try:
                    real.unlink()
                except OSError as error:  # in use, on Windows
                    raise storage.library_error(error, fresh.media_path, "remove") from error
        return True

    def bring_back(
        self, entry: LibraryEntry, room: Callable[[int], None] = lambda need: None
    ) -> LibraryEntry:
        """Fetch the stored medium of an item into the library; return the entry then.

        `room` is called with its bytes before. Without a stored medium the entry is returned.
        """
        if not entry.stored or entry.media_path is not None:
            return entry
        url, name = str(entry.stored["url"]), str(entry.stored["name"])
        room(int(entry.stored["bytes"]))
        with storage.held(self.library.home / DOWNLOADS) as folder:
            folder.mkdir(parents=True, exist_ok=True)
            arrived = folder / storage.temporary_name()
            try:
                self.store.get(url, arrived)
                if sha256_of(arrived) != entry.sha256:
                    raise _lost(entry, url)
                self.library.put_file(
                    entry.item.id, arrived, self.library.media_folder / name, link=True
                )
            finally:
                arrived.unlink(missing_ok=True)
        return self.library.find(entry.item.id) or entry

    def forget(self, record: Any, but: LibraryEntry | None = None) -> None:
        """Delete the object of a record, unless the item `but` has the same one."""
        url = record.get("url") if isinstance(record, dict) else None
        if isinstance(url, str) and (but is None or but.stored.get("url") != url):
            self.store.delete(url)


def _lost(entry: LibraryEntry, url: str) -> LibraryError:
    return LibraryError(
        "objects.differs",
        "{url} is missing or is not the medium of {item_id}.",
        hint="Fetch it from its source: kb ingest LINK --again",
        url=url,
        item_id=entry.item.id,
    )
