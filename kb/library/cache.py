"""A cache of the library's entries: only files that have changed on disk are read again.

Every file of the library is written under a temporary name and moved into place, so that the time
of change of the media folder shows whether a file has changed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from kb import storage
from kb.errors import LibraryError
from kb.garbage import kept
from kb.library.directory import DirectorySnapshot, is_metadata
from kb.library.metadata import (
    MEDIA_EXTENSIONS,
    TEXT_SUFFIX,
    TRANSCRIPT_SUFFIX,
    LibraryEntry,
    LibraryListing,
    Problem,
    entry_from_record,
)

# Two changes within one clock tick have the same time: a folder that changed just now is read
# again.
TICK_NS = 2_000_000_000
MANY_FILES = 3_000  # of a thousand items: their first reading takes a good part of a second


@dataclass(frozen=True, slots=True)
class _CachedFile:
    """The entry read from one metadata file, and the state of the files at that time."""

    stamp: tuple[int, int]  # time of change in ns, size in bytes
    entry: LibraryEntry | None
    problem: Problem | None = None


class LibraryCache:
    """The entries of one media folder. Safe to share between threads."""

    def __init__(self, media_folder: Path) -> None:
        self._folder = media_folder
        self._lock = threading.Lock()
        self._cached: dict[str, _CachedFile] = {}
        self._listing = LibraryListing(())
        self._changed_ns: int | None = None
        self._was_read = False

    @property
    def known_files(self) -> int:
        """The number of metadata files that were read."""
        return len(self._cached)

    def is_quick(self) -> bool:
        """Return False before the end of the first reading of a folder with very many files.

        It takes seconds; what can be drawn without the entries need not wait for it.
        """
        if self._was_read:
            return True
        try:
            with os.scandir(self._folder) as found:
                return sum(1 for _ in islice(found, MANY_FILES)) < MANY_FILES
        except OSError:
            return True  # `listing` names the cause

    def listing(self) -> LibraryListing:
        """Return the result of `Library.scan`. Raises LibraryError if the folder cannot be read."""
        with self._lock:
            try:
                changed_ns = self._folder.stat().st_mtime_ns
            except FileNotFoundError:
                return LibraryListing(())
            except OSError as error:
                raise storage.library_error(error, self._folder, "read") from error
            if changed_ns != self._changed_ns:
                self._listing = self._read() if self._was_read else self._read_first()
                self._was_read = True
                settled = time.time_ns() - changed_ns > TICK_NS
                self._changed_ns = changed_ns if settled else None
            return self._listing

    def read_ahead(self, goes_on: Callable[[], bool]) -> None:
        """Read entries for the first `listing`, one after the other, while `goes_on` returns True.

        A problem is left to `listing`, which reports it.
        """
        with suppress(LibraryError), kept():
            stamps, names = self._names()
            folder = DirectorySnapshot(self._folder, frozenset(names))
            for name, stamp in stamps.items():
                if self._lock.locked() or self._was_read or not goes_on():
                    return  # `listing` reads the others
                self._cached.setdefault(name, self._read_one(name, stamp, folder))

    def _read_first(self) -> LibraryListing:
        if self.is_quick():
            return self._read()
        with kept():  # none of the entries is garbage
            return self._read()

    def _read(self) -> LibraryListing:
        stamps, names = self._names()
        there = frozenset(names)
        folder = DirectorySnapshot(self._folder, there)
        media = {stem for stem, dot, kind in map(_split, names) if dot + kind in MEDIA_EXTENSIONS}
        known: dict[str, _CachedFile] = {}
        for name, stamp in stamps.items():
            before = self._cached.get(name)
            if before is None or before.stamp != stamp or not _is_current(before, there, media):
                before = self._read_one(name, stamp, folder)
            known[name] = before
        self._cached = known
        entries = [each.entry for each in known.values() if each.entry is not None]
        entries.sort(key=lambda entry: (entry.item.published, entry.stem), reverse=True)
        problems = [known[name].problem for name in sorted(known)]
        return LibraryListing(tuple(entries), tuple(p for p in problems if p is not None))

    def _names(self) -> tuple[dict[str, tuple[int, int]], list[str]]:
        """Return the stamp of each metadata file by name, and the names of all files."""
        stamps: dict[str, tuple[int, int]] = {}
        names: list[str] = []
        try:
            with os.scandir(self._folder) as found:
                for file in found:
                    if file.name.startswith("."):
                        continue
                    names.append(file.name)
                    if is_metadata(file.name):
                        about = file.stat()
                        stamps[file.name] = (about.st_mtime_ns, about.st_size)
        except OSError as error:
            raise storage.library_error(error, self._folder, "read") from error
        return stamps, names

    def _read_one(
        self, name: str, stamp: tuple[int, int], folder: DirectorySnapshot
    ) -> _CachedFile:
        path = self._folder / name
        try:
            entry = entry_from_record(storage.read_json(path), name.removesuffix(".json"), folder)
        except LibraryError as error:
            return _CachedFile(stamp, None, Problem.of(path, error))
        return _CachedFile(stamp, entry)


@cache
def library_cache(media_folder: Path) -> LibraryCache:
    """Return this process's cache for a folder."""
    return LibraryCache(media_folder)


def _split(name: str) -> tuple[str, str, str]:
    stem, dot, kind = name.rpartition(".")
    return stem, dot, kind.lower()


def _is_current(cached: _CachedFile, present: frozenset[str], media: set[str]) -> bool:
    """Return whether the files beside the metadata are the same as when it was read."""
    entry = cached.entry
    if entry is None:
        return True  # damaged, and the file has not changed
    path, stem = entry.media_path, entry.stem
    as_before = path.name in present if path is not None else stem not in media
    for suffix, beside in (
        (TRANSCRIPT_SUFFIX, entry.transcript_path),
        (TEXT_SUFFIX, entry.text_path),
    ):
        as_before = as_before and (f"{stem}{suffix}" in present) == (beside is not None)
    return as_before
