"""The library folder: names, metadata and files of every item, and links into them.

    <home>/media/YYYY-MM-DD_Title_videoId.mp4               the medium
                                         .json              metadata (see `LibraryEntry.record`)
                                         .txt               transcript for people
                                         .transcript.json   transcript, exact
    <home>/library.json                                     facts about the whole library
    <home>/kb.sqlite, <home>/index.lance/                   jobs and index; both can be rebuilt

The folder is the primary record: all other stored data can be rebuilt from it. Several processes
may write at once: of a file written twice, one complete version remains, and changes of an item's
metadata are made one after the other (`Library.metadata_lock`), so that none is lost.
"""

from __future__ import annotations

import filecmp
import hashlib
import logging
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urldefrag

from kb import storage
from kb.errors import LibraryError, MediaUnavailable
from kb.library.directory import DirectorySnapshot, MetadataIndex, is_metadata, list_directory
from kb.library.filenames import make_stem
from kb.library.importer import adopt
from kb.library.metadata import (
    MEDIA_EXTENSIONS,
    METADATA_VERSION,
    RETENTION,
    TEXT_SUFFIX,
    TRANSCRIPT_SUFFIX,
    LibraryEntry,
    LibraryListing,
    Problem,
    entry_from_record,
    is_record,
    item_document,
    merge_record,
)
from kb.library.originals import keep_original
from kb.library.transcript_names import DOCUMENT_SUFFIXES, SUBTITLE_SUFFIXES
from kb.settings import get_settings
from kb.types import MediaItem
from kb.types.safe_text import web_address

__all__ = [
    "MEDIA_EXTENSIONS",
    "Library",
    "LibraryEntry",
    "LibraryListing",
    "Problem",
    "deep_link",
]

# Metadata and exports are stored beside the medium under the same stem.
_OWN_SUFFIXES = (
    ".json", ".txt", ".damaged", ".tmp", *SUBTITLE_SUFFIXES, *DOCUMENT_SUFFIXES,
)  # fmt: skip
LOCK_FOLDER = ".locks"
LOCKS = 256
DEEP_LINK = "deep_link"  # key of `MediaItem.extra`

log = logging.getLogger(__name__)


def deep_link(item: MediaItem, start_s: float) -> str:
    """Return a link that opens the medium at the second of `start_s`.

    A source whose pages take a time in another form gives its form in the item's `extra`:
    `deep_link`, an address that ends in `t={second}`. Without it: YouTube's short link; for local
    files the dashboard's page (`KB_PUBLIC_URL`); for any other item its page with a media fragment
    (`#t=`, W3C Media Fragments), which replaces a fragment of the address. An address that is no
    page of the web (`javascript:`, `file:`) gives an empty text; a password in it is left out.
    """
    second = max(0, int(start_s))
    own_form = item.extra.get(DEEP_LINK)
    if isinstance(own_form, str) and own_form.endswith("t={second}"):
        return web_address(own_form.removesuffix("{second}") + str(second))
    if item.source == "youtube":
        return f"https://youtu.be/{quote(item.short_id, safe='')}?t={second}"
    if item.source == "file" or not item.url:
        dashboard = f"{get_settings().public_url.rstrip('/')}/"
        return f"{dashboard}?tab=Library&item={quote(item.id, safe='')}&t={second}"
    address = web_address(item.url)
    if not address:
        return ""
    page, fragment = urldefrag(address)
    if fragment.startswith(("/", "!")):
        return address  # the fragment selects the page: another one would be another page
    return f"{page}#t={second}"


class Library:
    """The folder `home`; nothing is made or read before it is needed.

    Every method that reads or writes raises LibraryError, with cause and next step, if the folder
    cannot be used (disk full, access denied, a file in the way, path too long).
    """

    def __init__(self, home: Path) -> None:
        self.home = home = home.absolute()  # the limit holds for the length of the whole path
        self.media_folder = home / "media"
        self.facts_path = home / "library.json"
        self.database_path = home / "kb.sqlite"
        self.index_folder = home / "index.lance"
        self._index = MetadataIndex(self.media_folder)

    def prepare(self) -> None:
        """Make the folders and check that they can be written to.

        Raises LibraryError with the cause; call it before long work.
        """
        proof = self.media_folder / storage.temporary_name()
        storage.write_bytes(proof, b"")
        try:
            proof.unlink(missing_ok=True)
        except OSError as error:
            raise storage.library_error(error, proof, "remove") from error

    # Names and paths

    def stem(self, item: MediaItem) -> str:
        """Return the name of the item's files without suffix: the existing one, else a new one.

        A changed title or date renames nothing.
        """
        known = self._index.find(item.id)
        if known is not None:
            return known[0]
        number = 1
        while True:
            stem = make_stem(item, self.media_folder, number=number)
            # Damaged metadata has no id and does not reserve its name: `write_metadata` renames it.
            if self._index.owner_of(stem) in (None, item.id):
                return stem
            number += 1

    def path(self, entry: LibraryEntry | str, suffix: str) -> Path:
        """Return the path of an entry's (or stem's) file with this suffix (`.txt`)."""
        stem = entry if isinstance(entry, str) else entry.stem
        return self.media_folder / f"{stem}{suffix}"

    # Reading

    def find(self, item_id: str) -> LibraryEntry | None:
        """Return the entry with this id, or None."""
        known = self._index.find(item_id)
        return None if known is None else entry_from_record(known[1], known[0], self._on_disk)

    def scan(self) -> LibraryListing:
        """Return every entry, newest first, and a problem for each file that could not be read."""
        names = list_directory(self.media_folder)
        folder = DirectorySnapshot(self.media_folder, frozenset(names))
        entries: list[LibraryEntry] = []
        problems: list[Problem] = []
        for name in sorted(filter(is_metadata, names)):
            path, stem = self.media_folder / name, name.removesuffix(".json")
            try:
                entries.append(entry_from_record(storage.read_json(path), stem, folder))
            except LibraryError as error:
                problems.append(Problem.of(path, error))
        entries.sort(key=lambda entry: (entry.item.published, entry.stem), reverse=True)
        return LibraryListing(tuple(entries), tuple(problems))

    def entries(self) -> tuple[LibraryEntry, ...]:
        """Return every entry, newest first; damaged metadata is logged and skipped."""
        listing = self.scan()
        for problem in listing.problems:
            log.warning("%s", problem.message)
        return listing.entries

    def read_metadata(self, entry: LibraryEntry | str) -> dict[str, Any]:
        """Return the metadata document of an entry or stem, as it is on disk.

        Raises LibraryError if it is missing or damaged.
        """
        return storage.read_json(self.path(entry, ".json"))

    def read_text(self, entry: LibraryEntry | str, suffix: str) -> str:
        """Return an entry's text file with this suffix. Raises LibraryError if it is missing."""
        path = self.path(entry, suffix)
        try:
            text = storage.read_user_text(path, storage.MAX_DOCUMENT_BYTES)
        except OSError as error:
            raise storage.library_error(error, path, "read") from error
        except storage.UnreadableText as error:
            raise LibraryError(
                "library.text_damaged",
                "{path} is damaged: {reason}.",
                hint="Remove the file.",
                path=path,
                reason=error,
            ) from error
        return text.replace("\r\n", "\n")

    # Writing

    @contextmanager
    def metadata_lock(self, item_id: str) -> Iterator[None]:
        """Lock the item's metadata for the block, against all threads and processes.

        The same thread may acquire it again. Raises LibraryError.
        """
        # Items share locks, so that ten thousand items do not leave ten thousand files.
        number = zlib.crc32(item_id.encode("utf-8", "surrogatepass")) % LOCKS
        with storage.locked(self.home / LOCK_FOLDER / f"items-{number:02x}.lock"):
            yield

    def add_media(
        self,
        item: MediaItem,
        path: Path,
        *,
        link: bool = True,
        sha256: str = "",
        duration_s: float | None = None,
    ) -> LibraryEntry:
        """Put the medium at `path` into the library and record it in the item's metadata.

        It is hard-linked where the disk allows (`link`), else copied; the original is kept. An
        existing file with the same content is not copied again. `sha256` and the measured
        `duration_s` are recorded when given. Raises MediaUnavailable if `path` is no readable file.
        """
        source = path.resolve()  # a link to a link would break if the first one is removed
        try:
            with source.open("rb"):
                pass
        except OSError as error:
            raise MediaUnavailable(
                "library.medium_unreadable",
                "Cannot read {path}: {reason}.",
                hint="Check the path, its permissions and its disk.",
                path=path,
                reason=error.strerror or error,
            ) from error
        stem = self.stem(item)
        target = self.media_folder / f"{stem}{_media_suffix(path)}"
        if not _same_content(source, target):
            storage.link_or_copy(source, target, link=link)
        measured: dict[str, Any] = {}
        if sha256:
            measured["sha256"] = sha256
        if duration_s is not None:
            measured["duration_s"] = duration_s
        changes = {"files": {"media": target.name}, "media": measured, RETENTION: None}
        return self.write_metadata(item, changes)

    def write_metadata(
        self,
        item: MediaItem,
        changes: Mapping[str, Any] | None = None,
        *,
        stem: str | None = None,
    ) -> LibraryEntry:
        """Write the item's metadata with `changes` to the record; return the new entry.

        `files`, `media` and `published` are merged key by key, other keys replaced; None removes a
        key. Unknown keys are kept. Metadata of another program is kept whole under `adopted`,
        damaged metadata in a file `.json.damaged`. `stem` is for files that have a name already.
        Raises LibraryError, also for metadata of a newer version.
        """
        with self.metadata_lock(item.id):
            stem = self.stem(item) if stem is None else stem
            path = self.path(stem, ".json")
            record = self._record_to_change(path)
            known_item = record.get("item")
            kept = known_item if isinstance(known_item, dict) else {}
            # An available medium has no such key: that of an announced one must not stay.
            kept = {key: value for key, value in kept.items() if key != "availability"}
            described = {**kept, **item_document(item)}
            head = {"version": METADATA_VERSION, "item": described}
            merged = {**head, **merge_record(record, changes or {}), **head}
            storage.write_json(path, merged)
            self._index.add(stem, item.id)
            return entry_from_record(merged, stem, self._on_disk)

    def amend(self, item_id: str, changes: Mapping[str, Any]) -> LibraryEntry | None:
        """Change an item's record; return None and write nothing if the item does not exist.

        Unlike `write_metadata` it does not change the item's description: a caller that read the
        item some time ago must not overwrite a newer title with an old one.
        """
        with self.metadata_lock(item_id):
            entry = self.find(item_id)
            return None if entry is None else self.write_metadata(entry.item, changes)

    def _record_to_change(self, path: Path) -> dict[str, Any]:
        if not path.exists():
            return {}
        try:
            record = storage.read_json(path)
        except LibraryError as error:
            if keep_original(path):  # a list is no metadata
                return {}
            log.warning("%s It is kept as %s.damaged.", error.message, path.name)
            storage.link_or_copy(path, path.with_name(f"{path.name}.damaged"), link=True)
            return {}
        if not is_record(record):
            return {} if keep_original(path) else {"adopted": record}
        if record["version"] != METADATA_VERSION:
            raise LibraryError(
                "library.newer",
                "{path} is of version {version}, this program knows {known}.",
                hint="Update KB Ingest before writing to this library.",
                path=path,
                version=record["version"],
                known=METADATA_VERSION,
            )
        return record

    def write_text(self, entry: LibraryEntry | str, suffix: str, text: str) -> Path:
        """Write a text file of an entry (or stem) as UTF-8, completely or not at all."""
        path = self.path(entry, suffix)
        storage.write_text(path, text)
        return path

    def write_transcript(self, entry: LibraryEntry | str, text: str, exact: str) -> dict[str, str]:
        """Write both files of a transcript; return the SHA-256 of each by its suffix.

        The exact transcript is written last: if it exists, the text beside it is complete. The
        hashes belong into the record, as `transcribed.sha256`.
        """
        hashes = {}
        for suffix, content in ((TEXT_SUFFIX, text), (TRANSCRIPT_SUFFIX, exact)):
            path = self.write_text(entry, suffix, content)
            hashes[suffix] = hashlib.sha256(path.read_bytes()).hexdigest()
        return hashes

    def read_facts(self) -> dict[str, Any]:
        """Return the facts in `library.json` (subscriptions, publish records); empty without it."""
        return storage.read_json(self.facts_path) if self.facts_path.exists() else {}

    def write_facts(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change facts by key (None removes one); return all facts."""
        with storage.locked(self.home / LOCK_FOLDER / "library.lock"):
            facts = merge_record({"version": METADATA_VERSION, **self.read_facts()}, changes)
            storage.write_json(self.facts_path, facts)
            return facts

    # Upkeep

    def sweep_temporary(self) -> tuple[Path, ...]:
        """Remove temporary files of killed processes; return the paths of those in the library.

        Those that a command of this user left elsewhere (beside an export) are removed too.
        """
        storage.sweep_drafts()
        folders = (self.home, self.media_folder, self.home / "backups")
        return tuple(path for folder in folders for path in storage.sweep(folder))

    def adopt(self) -> LibraryListing:
        """Import media, metadata and transcripts in `media/` that have no metadata of this project.

        Names must be `YYYY-MM-DD_Title_videoId`. Returns the new entries, and a problem for each
        file that cannot be imported. Nothing is renamed or removed; foreign metadata is kept whole
        inside the new metadata.
        """
        return adopt(
            self.media_folder,
            stem_of_id=lambda item_id: found[0] if (found := self._index.find(item_id)) else None,
            write=lambda item, record, stem: self.write_metadata(item, record, stem=stem),
        )

    @property
    def _on_disk(self) -> DirectorySnapshot:
        return DirectorySnapshot(self.media_folder)


def _media_suffix(path: Path) -> str:
    """Return the medium's extension, or `.media` if it is missing, unusual, or a suffix of ours."""
    suffix = path.suffix.lower()
    if re.fullmatch(r"\.[a-z0-9]{1,8}", suffix) and suffix not in _OWN_SUFFIXES:
        return suffix
    return ".media"


def _same_content(source: Path, target: Path) -> bool:
    try:
        return source.samefile(target) or filecmp.cmp(source, target, shallow=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage.library_error(error, target, "read") from error
