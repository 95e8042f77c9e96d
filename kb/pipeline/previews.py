"""Previews of items, made once and kept: `<home>/.previews/<SHA-256 of the medium>.jpg`.

They can be made again, so that a backup has none of them. An empty file says that the medium has
no such preview.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

from kb import storage
from kb.errors import LibraryError
from kb.library import Library, LibraryEntry
from kb.library.metadata import MEDIA_EXTENSIONS

Kind = Literal["still", "peaks"]
KINDS: tuple[Kind, ...] = ("still", "peaks")

FOLDER = ".previews"
_SUFFIX = {"still": ".jpg", "peaks": ".json"}
AUDIO = frozenset((".mp3", ".m4a", ".m4b", ".wav", ".flac", ".ogg", ".opus", ".weba", ".aac"))
_AT = 0.1  # of its length: the first second of a film is often black
_LONGEST_AT_S = 60.0
_places = {"still": threading.Semaphore(2), "peaks": threading.Semaphore(1)}  # processes at once


def may_have_still(entry: LibraryEntry) -> bool:
    """Return True if an item's medium is here and may have a picture; no file is read."""
    path = entry.media_path
    return path is not None and bool(entry.sha256) and path.suffix.lower() not in AUDIO


def preview(library: Library, entry: LibraryEntry, kind: Kind) -> bytes | None:
    """Return a preview of an item, made now if there is none; None if its medium has none.

    A medium in object storage is not fetched for it. Raises UsageError without ffmpeg.
    """
    if not entry.sha256 or (source := _medium(library, entry)) is None:
        return None
    path = library.home / FOLDER / f"{entry.sha256}{_SUFFIX[kind]}"
    if (known := _read(path)) is not None:
        return known or None
    with _places[kind]:
        if (known := _read(path)) is not None:  # made by another request meanwhile
            return known or None
        made = _made(source, entry, kind)
    with suppress(LibraryError, OSError):  # a library that can only be read
        library.check_place()  # its share may have gone away: nothing is made in its place
        path.parent.mkdir(exist_ok=True)
        storage.write_bytes(path, made)
    return made or None


def sweep(library: Library, kept: Collection[str]) -> int:
    """Delete the previews of media with none of these SHA-256; return their number."""
    gone, names = 0, set(kept)
    with suppress(OSError):
        for path in (library.home / FOLDER).iterdir():
            if path.stem not in names and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                gone += 1
    return gone


def _made(source: Path, entry: LibraryEntry, kind: Kind) -> bytes:
    from kb.media import previews

    if kind == "peaks":
        return previews.peaks(source)
    at_s = min(_LONGEST_AT_S, _AT * (entry.duration_s or 0.0))
    return previews.still(source, at_s)


def _medium(library: Library, entry: LibraryEntry) -> Path | None:
    """Return the medium of an item, if it is a file of the media folder."""
    if entry.media_path is None:
        return None
    path = entry.media_path.resolve()  # a link must not lead out of the folder
    inside = path.is_relative_to(library.media_folder.resolve())
    return path if inside and path.suffix.lower() in MEDIA_EXTENSIONS and path.is_file() else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
