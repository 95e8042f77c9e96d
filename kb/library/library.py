"""The library folder: names, metadata and files of every item, and links into them.

    <home>/media/YYYY-MM-DD_Title_videoId.mp4               the medium
                                         .json              metadata (see `LibraryEntry.record`)
                                         .txt               transcript for people
                                         .transcript.json   transcript, exact
    <home>/library.json                                     facts about the whole library
    <home>/.kb-library.json, <home>/.kb-attempts            identity, number of the last attempt
    <home>/kb.sqlite, <home>/index.lance/                   jobs and index; both can be rebuilt

The folder is the primary record: all other stored data can be rebuilt from it. Several processes
may write at once: of a file written twice, one complete version remains, and changes of an item's
metadata are made one after the other (`Library.metadata_lock`), so that none is lost. Which attempt
at an item may write its files: `kb.library.fencing`; that the folder is the right one:
`kb.library.identity`.
"""

from __future__ import annotations

import copy
import filecmp
import hashlib
import logging
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import LibraryError, MediaUnavailable
from kb.library import scratch
from kb.library.directory import DirectorySnapshot, MetadataIndex, is_metadata, list_directory
from kb.library.fencing import (
    Fence,
    RowLock,
    no_row_lock,
    raise_mark,
)
from kb.library.filenames import make_stem
from kb.library.identity import check_identity
from kb.library.importer import adopt
from kb.library.metadata import (
    MEDIA_EXTENSIONS,
    METADATA_VERSION,
    RENEWAL,
    RETENTION,
    TEXT_SUFFIX,
    TRANSCRIPT_SUFFIX,
    LibraryEntry,
    LibraryListing,
    Problem,
    entry_from_record,
    merge_record,
)
from kb.library.records import RecordChanged, record_busy, write_record
from kb.library.transcript_names import DOCUMENT_SUFFIXES, SUBTITLE_SUFFIXES
from kb.types import MediaItem

__all__ = [
    "MEDIA_EXTENSIONS",
    "Library",
    "LibraryEntry",
    "LibraryListing",
    "Problem",
]

# Metadata and exports are stored beside the medium under the same stem.
_OWN_SUFFIXES = (
    ".json", ".txt", ".damaged", ".tmp", *SUBTITLE_SUFFIXES, *DOCUMENT_SUFFIXES,
)  # fmt: skip
LOCK_FOLDER = ".locks"
LOCKS = 256
_WRITE_ATTEMPTS = 20  # of a record that other machines change at the same time

log = logging.getLogger(__name__)


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
        self.identity = ""  # that of the library's database, once it is known
        self.row_lock: RowLock = no_row_lock
        self._fence: Fence | None = None
        self._index = MetadataIndex(self.media_folder)

    def fenced(self, fence: Fence) -> Library:
        """Return this library for the attempt of `fence`, which may write one item's files."""
        twin = copy.copy(self)
        twin._fence = fence
        return twin

    def guard(self, item_id: str) -> AbstractContextManager[object]:
        """Lock the item's row for a block that moves its files into place.

        Raises Superseded, or UsageError for a change by hand, for an attempt that does not own the
        item any more.
        """
        return self._fence.guard() if self._fence else self.row_lock(item_id)

    def belong_to(self, identity: str) -> None:
        """Tie the folder to the identity of a database, or to none ("").

        From then on, every write in the folder by this process is preceded by a comparison, and
        stays in the folder that was compared: an unmounted share must not get an empty library.
        """
        self.identity, home = identity, self.home
        if not identity:
            storage.claim(home, None)
            return
        storage.claim(home, lambda real: check_identity(home, identity, real))

    def check_place(self) -> None:
        """Raise LibraryError if the folder is not there or is that of another library.

        `belong_to` lets every write be preceded by the same check.
        """
        if self.identity:
            check_identity(self.home, self.identity)

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

    def has_transcript(self, item_id: str) -> bool:
        """Return True for an item whose transcript is there, without a reading of the folder.

        False says nothing about an item that this process has not found before.
        """
        known = self._index.find_known(item_id)
        return (
            known is not None and self._on_disk.find(f"{known[0]}{TRANSCRIPT_SUFFIX}") is not None
        )

    def find_all(self, ids: Collection[str]) -> list[LibraryEntry]:
        """Return the entries with these ids that exist; the folder is listed at most once."""
        found = self._index.find_all(ids).values()
        return [entry_from_record(record, stem, self._on_disk) for stem, record in found]

    def learn(self, listing: LibraryListing) -> None:
        """Take the ids of a listing, so that `find_all` does not read every item's metadata."""
        self._index.learn({entry.stem: entry.item.id for entry in listing.entries})

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
        # A link to a link would break if the first one is removed. Other paths stay as they are:
        # one through a descriptor must not become the folder's path.
        source = path.resolve() if path.is_symlink() else path
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
            self.put_file(item.id, source, target, link=link)
        measured: dict[str, Any] = {}
        if sha256:
            measured["sha256"] = sha256
        if duration_s is not None:
            measured["duration_s"] = duration_s
        files = {"media": target.name}
        changes = {"files": files, "media": measured, RETENTION: None, RENEWAL: None}
        return self.write_metadata(item, changes)

    def put_file(self, item_id: str, source: Path, target: Path, *, link: bool = True) -> None:
        """Put a file at `target` among those of an item; see `storage.link_or_copy`."""
        storage.link_or_copy(source, target, link=link, guard=lambda: self.guard(item_id))

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
        return self._write(item, changes or {}, {}, stem)

    def _write(
        self,
        item: MediaItem,
        changes: Mapping[str, Any],
        files: Mapping[str, bytes],
        stem: str | None = None,
    ) -> LibraryEntry:
        """Write an item's files, by suffix, and then its record; they appear together."""
        number = self._fence.number if self._fence else 0
        with self.metadata_lock(item.id):
            for _ in range(_WRITE_ATTEMPTS):
                name = self.stem(item) if stem is None else stem
                with suppress(RecordChanged):
                    written = {self.path(name, suffix): data for suffix, data in files.items()}
                    path, own = self.path(name, ".json"), Fence(number, lambda: self.guard(item.id))
                    merged = write_record(path, item, changes, written, own)
                    self._index.add(name, item.id)
                    if number:
                        raise_mark(self.home, number)
                    return entry_from_record(merged, name, self._on_disk)
        raise record_busy(self.path(name, ".json"))

    def amend(self, item_id: str, changes: Mapping[str, Any]) -> LibraryEntry | None:
        """Change an item's record; return None and write nothing if the item does not exist.

        Unlike `write_metadata` it does not change the item's description: a caller that read the
        item some time ago must not overwrite a newer title with an old one.
        """
        with self.metadata_lock(item_id):
            entry = self.find(item_id)
            return None if entry is None else self.write_metadata(entry.item, changes)

    def write_text(self, entry: LibraryEntry | str, suffix: str, text: str) -> Path:
        """Write a text file of an entry (or stem) as UTF-8, completely or not at all."""
        path = self.path(entry, suffix)
        item_id = "" if isinstance(entry, str) else entry.item.id
        storage.write_bytes(path, storage.text_bytes(text), lambda: self.guard(item_id))
        return path

    def write_transcript(
        self, item: MediaItem, text: str, exact: str, changes: Mapping[str, Any]
    ) -> LibraryEntry:
        """Write both files of a transcript, and `changes` to the record, together.

        The record gets the SHA-256 of each file, by its suffix, as `transcribed.sha256`. The record
        is the last to appear: what it says is there. See `write_metadata` for `changes`.
        """
        files = {
            TEXT_SUFFIX: storage.text_bytes(text),
            TRANSCRIPT_SUFFIX: storage.text_bytes(exact),
        }
        hashes = {suffix: hashlib.sha256(data).hexdigest() for suffix, data in files.items()}
        transcribed = {**changes.get("transcribed", {}), "sha256": hashes}
        return self._write(item, {**changes, "transcribed": transcribed}, files)

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
        scratch.sweep(self.home)
        folders = [self.home, self.media_folder, self.home / "backups"]
        folders += (self.home / "extras").glob("*/")
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
