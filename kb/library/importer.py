"""Imports files that a person or an older tool put into the media folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kb import storage
from kb.errors import KBError, LibraryError
from kb.library.directory import DirectorySnapshot, list_directory
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
from kb.types import MediaItem

# Lists in the JSON of recognizers; metadata of a medium has none of them.
_TRANSCRIPT_KEYS = ("segments", "transcription", "chunks", "utterances", "events")
SUBTITLE_SUFFIXES = (".srt", ".vtt", ".tsv")
_LANGUAGE = re.compile(r"\.[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$")
WATCH_URL = "https://www.youtube.com/watch?v="


Write = Callable[[MediaItem, Mapping[str, Any], str], LibraryEntry]


def adopt(
    media_folder: Path, stem_of_id: Callable[[str], str | None], write: Write
) -> LibraryListing:
    """Import the files (see `Library.adopt`).

    `stem_of_id` maps an id to its stem, `write` writes metadata.
    """
    names = frozenset(list_directory(media_folder))
    folder = DirectorySnapshot(media_folder, names)
    entries: list[LibraryEntry] = []
    problems: list[Problem] = []
    for stem in sorted({stem for name in names if (stem := _stem_of(name))}):
        try:
            if found := _examine(stem, folder, stem_of_id):
                _keep_original(stem, folder)
                entries.append(write(*found, stem))
        except KBError as error:
            problems.append(Problem.of(media_folder / f"{stem}.json", error))
    return LibraryListing(tuple(entries), tuple(problems))


def _stem_of(name: str) -> str | None:
    """Return the stem of a file that belongs to an item, None for any other file."""
    if name.endswith(ORIGINAL_SUFFIX):
        return None
    for suffix in (TRANSCRIPT_SUFFIX, ".info.json", ".json", TEXT_SUFFIX):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    path = Path(name)
    if path.suffix.lower() in SUBTITLE_SUFFIXES:
        stem = subtitle_stem(name)
        return stem if split_stem(stem) is not None else None
    return path.stem if path.suffix.lower() in MEDIA_EXTENSIONS else None


def subtitle_stem(name: str) -> str:
    """Return the stem of a subtitle file, whose name may have a language: `STEM.en.srt`."""
    return _LANGUAGE.sub("", Path(name).stem.removesuffix(".auto"))


def _is_transcript(path: Path) -> bool:
    """Return whether a JSON file has the form of a recognizer's transcript."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False  # `storage.read_json` names the damage
    if isinstance(document, list):
        return bool(document) and isinstance(document[0], dict) and "text" in document[0]
    return isinstance(document, dict) and any(
        isinstance(document.get(key), list) for key in _TRANSCRIPT_KEYS
    )


def _keep_original(stem: str, folder: DirectorySnapshot) -> None:
    """Keep a transcript under another name: its own is that of the metadata to be written."""
    path = folder.path / f"{stem}.json"
    if folder.find(path.name) and _is_transcript(path):
        target = folder.path / f"{stem}{ORIGINAL_SUFFIX}"
        storage.link_or_copy(path, target, link=True)
        path.unlink()


def _examine(
    stem: str, folder: DirectorySnapshot, stem_of_id: Callable[[str], str | None]
) -> tuple[MediaItem, dict[str, Any]] | None:
    """Return a stem's item and its first record; None if it has metadata of this project."""
    foreign: dict[str, Any] = {}
    for suffix in (".json", ".info.json"):
        if path := folder.find(f"{stem}{suffix}"):
            if _is_transcript(path):
                continue
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
