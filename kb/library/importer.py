"""Imports files that a person or an older tool put into the media folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import KBError, LibraryError
from kb.library.directory import DirectorySnapshot, is_metadata, list_directory
from kb.library.filenames import StemParts, split_stem
from kb.library.metadata import (
    MEDIA_EXTENSIONS,
    ORIGINAL_SUFFIX,
    TEXT_SUFFIX,
    TRANSCRIPT_SUFFIX,
    LibraryEntry,
    LibraryListing,
    Problem,
    is_record,
)
from kb.library.originals import keep_originals, original_name
from kb.library.transcript_names import (
    SUBTITLE_SUFFIXES,
    may_hold_transcript,
    owner_of,
    split_name,
)
from kb.types import MediaItem

WATCH_URL = "https://www.youtube.com/watch?v="


Write = Callable[[MediaItem, Mapping[str, Any], str], LibraryEntry]


def adopt(
    media_folder: Path, stem_of_id: Callable[[str], str | None], write: Write
) -> LibraryListing:
    """Import the files (see `Library.adopt`).

    `stem_of_id` maps an id to its stem, `write` writes metadata.
    """
    keep_originals(media_folder)
    names = frozenset(list_directory(media_folder))
    folder = DirectorySnapshot(media_folder, names)
    entries: list[LibraryEntry] = []
    problems: list[Problem] = []
    stems = {stem for name in names if (stem := _stem_of(name))}
    owners = {Path(name).stem for name in names if _is_owner(name)}
    for stem in sorted(stem for stem in stems if stem in owners or not owner_of(stem, owners)):
        try:
            if found := _examine(stem, folder, stem_of_id):
                entries.append(write(*found, stem))
        except KBError as error:
            problems.append(Problem.of(media_folder / f"{stem}.json", error))
    return LibraryListing(tuple(entries), tuple(problems))


def _is_owner(name: str) -> bool:
    """Return True for a medium and for metadata, whose stem is that of an item."""
    return Path(name).suffix.lower() in MEDIA_EXTENSIONS or is_metadata(name)


def _stem_of(name: str) -> str | None:
    """Return the stem of a file that belongs to an item, None for any other file."""
    if name.endswith(ORIGINAL_SUFFIX):
        return original_name(name).stem
    for suffix in (TRANSCRIPT_SUFFIX, ".info.json"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    suffix = Path(name).suffix.lower()
    if suffix in MEDIA_EXTENSIONS:
        return Path(name).stem
    if not may_hold_transcript(name):
        return None
    stem = split_name(name).stem
    if suffix in (".json", TEXT_SUFFIX):
        # A name without the form of an item's is a problem to report, with its whole stem.
        return stem if split_stem(stem) is not None else name.rpartition(".")[0]
    if suffix in SUBTITLE_SUFFIXES:
        return stem if split_stem(stem) is not None else None
    return None


def _examine(
    stem: str, folder: DirectorySnapshot, stem_of_id: Callable[[str], str | None]
) -> tuple[MediaItem, dict[str, Any]] | None:
    """Return a stem's item and its first record; None if it has metadata of this project."""
    foreign: dict[str, Any] = {}
    for suffix in (".json", ".info.json"):
        if path := folder.find(f"{stem}{suffix}"):
            foreign = storage.read_json(path)
            if is_record(foreign):
                return None
            break
    parts = split_stem(stem)
    if parts is None:
        raise LibraryError(
            "library.file_name",
            "{stem} in {folder} is not named YYYY-MM-DD_Title_videoId.",
            hint="Rename it, or take it in with: kb ingest FILE",
            stem=stem,
            folder=folder.path,
        )
    item, sha256 = _item(parts, foreign, stem, folder)
    if (other := stem_of_id(item.id)) and other != stem:  # its own metadata may be damaged
        raise LibraryError(
            "library.same_item",
            "{stem} in {folder} is the same item as {other} ({item_id}).",
            hint="Remove one of the two.",
            stem=stem,
            folder=folder.path,
            other=other,
            item_id=item.id,
        )
    record: dict[str, Any] = {}
    media = folder.media_of(stem)
    if media is not None:
        record["files"] = {"media": media.name}
    if sha256:
        record["media"] = {"sha256": sha256}
    # The state stays `new`: an item is done when its transcript was read (`kb.pipeline.adoption`).
    return item, record


def _item(
    parts: StemParts, foreign: dict[str, Any], stem: str, folder: DirectorySnapshot
) -> tuple[MediaItem, str]:
    """Return the item from the name, foreign metadata and content, and the medium's SHA-256.

    The hash is empty if the id does not need it: hashing a large library takes long.
    """
    sha256 = ""
    if parts.is_youtube:
        item_id, source, url = f"youtube:{parts.short_id}", "youtube", WATCH_URL + parts.short_id
    else:
        media = folder.media_of(stem)
        if media is not None:
            sha256 = _sha256(media)
            item_id, url = f"file:{sha256[:12]}", media.resolve().as_uri()
        else:
            short_id = parts.short_id
            if not parts.is_file:  # only the title remains: it identifies the medium
                short_id = hashlib.sha256(stem.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            item_id, url = f"file:{short_id}", ""
        source = "file"
    duration = foreign.get("duration")
    tags = foreign.get("tags")
    return (
        MediaItem(
            id=item_id,
            source=source,
            url=url,
            title=_text(foreign, "title") or parts.title,
            published=parts.published,
            duration_s=(
                float(duration)
                if isinstance(duration, int | float) and not isinstance(duration, bool)
                else None
            ),
            channel=_text(foreign, "channel", "channel_title", "uploader"),
            description=_text(foreign, "description"),
            tags=tuple(tag for tag in tags if isinstance(tag, str))
            if isinstance(tags, list)
            else (),
        ),
        sha256,
    )


def _text(document: dict[str, Any], *names: str) -> str:
    for name in names:
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise storage.library_error(error, path, "read") from error
