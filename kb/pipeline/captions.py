"""Captions in the library.

They are stored beside the medium, compared with the transcript, and shown until it exists.
"""

from __future__ import annotations

import filecmp
import logging
import os
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from kb.errors import KBError, LibraryError
from kb.library import Library, LibraryEntry
from kb.settings import Settings
from kb.transcript import caption_parser
from kb.transcript.caption_agreement import add_caption_agreement
from kb.transcript.passages import passages
from kb.types import CaptionFile, MediaItem, MediaRef, Passage, Transcript

log = logging.getLogger(__name__)

KEY = "captions"  # in an item's metadata: {"files": [{"name", "language", "automatic"}], "shown"}


def keep(
    library: Library, item: MediaItem, files: Sequence[CaptionFile], *, shown: bool | None = None
) -> LibraryEntry | None:
    """Move captions beside the medium and record them in the item's metadata.

    They are named `….<language>.<ext>`, automatic ones `….<language>.auto.<ext>`. `shown`: they are
    shown instead of the transcript from now on, or no longer. An error in storing them is only
    logged: captions must not make an item fail.
    """
    entry = library.find(item.id)
    stem = entry.stem if entry else library.stem(item)
    kept = {str(each["name"]): each for each in _records(entry)}
    for file in files:
        target = _free_target(library, stem, file, frozenset(kept))
        if target is None:
            log.warning("%s: captions are not kept: other files have their names", item.id)
            continue
        try:
            library.put_file(item.id, file.path, target)
            file.path.unlink(missing_ok=True)
        except (LibraryError, OSError) as error:
            log.warning("%s: captions are not kept: %s", item.id, error)
            continue
        kept[target.name] = {
            "name": target.name, "language": file.language, "automatic": file.automatic,
        }  # fmt: skip
    if not kept:
        return entry
    record: dict[str, Any] = {"files": list(kept.values()), "shown": is_shown(entry)}
    if shown is not None:
        record["shown"] = shown
    return library.write_metadata(item, {KEY: record})


def _free_target(
    library: Library, stem: str, file: CaptionFile, kept: Container[str]
) -> Path | None:
    """Return the path for captions; None if files that are no captions have both possible names.

    Subtitles that a person or an export has put beside the medium are not replaced.
    """
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in file.language)
    ending = f"{'.auto' if file.automatic else ''}{file.path.suffix.lower()}"
    for suffix in (f".{plain}{ending}", f".{plain}-captions{ending}"):
        target = library.path(stem, suffix)
        if target.name in kept or not os.path.lexists(target) or _is_same(target, file.path):
            return target
    return None


def _is_same(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def _records(entry: LibraryEntry | None) -> Iterable[dict[str, Any]]:
    found = entry.record.get(KEY) if entry else None
    files = found.get("files") if isinstance(found, dict) else None
    for each in files if isinstance(files, list) else ():
        name = each.get("name") if isinstance(each, dict) else None
        if isinstance(name, str) and not {"/", "\\"} & set(name):
            yield each


def names_of(entry: LibraryEntry) -> frozenset[str]:
    """Return the file names of the item's captions."""
    return frozenset(str(each["name"]) for each in _records(entry))


def files_of(library: Library, entry: LibraryEntry) -> list[CaptionFile]:
    """Return the item's captions that still exist, captions made by people first."""
    found = [
        CaptionFile(
            library.media_folder / str(each["name"]),
            str(each.get("language") or ""),
            bool(each.get("automatic", True)),
        )
        for each in _records(entry)
    ]
    return sorted((f for f in found if f.path.is_file()), key=lambda f: f.automatic)


def is_shown(entry: LibraryEntry | None) -> bool:
    """Return whether captions are shown instead of the item's transcript."""
    found = entry.record.get(KEY) if entry else None
    return bool(isinstance(found, dict) and found.get("shown"))


def captions_retired(entry: LibraryEntry | None) -> dict[str, Any]:
    """Return the metadata change for captions that are no longer shown instead of a transcript."""
    if entry is None or not is_shown(entry):
        return {}
    return {KEY: {**entry.record[KEY], "shown": False}}


def interim_transcript(library: Library, entry: LibraryEntry) -> Transcript | None:
    """Return the captions that are shown instead of a transcript; None without them.

    Raises LibraryError when they cannot be read.
    """
    if entry.transcript_path is not None or not is_shown(entry):
        return None
    for file in files_of(library, entry)[:1]:
        medium = entry.media_path or Path(file.path.name)
        length_s = entry.duration_s or entry.item.duration_s or 0.0
        return caption_parser.read(file, MediaRef(medium.name, entry.sha256, length_s))
    return None


def interim_passages(library: Library, entry: LibraryEntry) -> Sequence[Passage]:
    """Return those captions as passages marked as captions; none without captions."""
    found = interim_transcript(library, entry)
    if found is None:
        return ()
    return passages(found, entry.item, path=entry.medium_place)


def with_caption_agreement(
    library: Library, item: MediaItem, transcript: Transcript, settings: Settings
) -> Transcript:
    """Return the transcript with a comparison with people's captions in its language, if any."""
    entry = library.find(item.id)
    if entry is None or not settings.witness:
        return transcript
    for file in files_of(library, entry):
        if file.automatic:
            continue
        try:
            caption_transcript = caption_parser.read(file, transcript.media)
        except KBError as error:
            log.warning("%s: %s", item.id, error.message)
            continue
        found = add_caption_agreement(
            transcript, caption_transcript, file.path.name, settings.witness_below
        )
        if found.witness is not None:
            return found
    return transcript
