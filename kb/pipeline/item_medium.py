"""The medium that an item's transcript was made from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from kb.errors import UsageError
from kb.library import Library, LibraryEntry
from kb.pipeline import stages
from kb.pipeline.stored_media import StoredMedia
from kb.settings import Settings
from kb.types.safe_text import command_argument


def medium_of(library: Library, settings: Settings, entry: LibraryEntry) -> Path:
    """Return the medium of an item's transcript, fetched from object storage where it is.

    Raises UsageError if it is not there, MediaUnavailable if it is another one by now.
    """
    if entry.stored and entry.media_path is None:
        entry = StoredMedia.of(library, settings).bring_back(
            entry, lambda need: settings.free_space.require(library.home, need)
        )
    if entry.media_path is None and (deleted := entry.retention):
        raise UsageError(
            "review.medium_deleted",
            "The medium of {item_id} was deleted by retention on {day}.",
            hint="Fetch it again: kb ingest {url} --again",
            item_id=entry.item.id,
            day=str(deleted.get("at", ""))[:10],
            url=command_argument(entry.item.url),
        )
    if entry.media_path is None:
        raise UsageError(
            "review.medium_gone",
            "The medium of {item_id} is not in {folder}.",
            hint="Put it back beside its metadata, or ingest it again.",
            item_id=entry.item.id,
            folder=library.media_folder,
        )
    # The times of the transcript belong to the sound it was made from.
    stages.check_unchanged(entry.media_path, entry.sha256, _transcribed_at_s(entry))
    return entry.media_path


def _transcribed_at_s(entry: LibraryEntry) -> float | None:
    """Return when the transcript was made, in seconds since 1970, or None."""
    try:
        return datetime.fromisoformat(str(entry.transcribed.get("at"))).timestamp()
    except ValueError:
        return None
