"""The chore of object storage: media of ended items are stored, old local copies given up.

It runs beside the other chores, because a large medium takes its time. A bucket that is away is
reported and tried again; meanwhile every medium stays in the library folder.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from kb import storage
from kb.errors import KBError
from kb.jobs.queue.item_queries import ItemQueries
from kb.jobs.queue.item_states import DONE
from kb.library import Library, LibraryEntry
from kb.library.library import LOCK_FOLDER
from kb.library.metadata import STORED
from kb.pipeline.stored_media import StoredMedia
from kb.settings import Settings
from kb.storage.locks import locked_now

GB = 1e9

log = logging.getLogger(__name__)


def run(
    settings: Settings, library: Library, items: ItemQueries, stop: threading.Event | None = None
) -> None:
    """Store what has ended, then bring the local media below KB_MEDIA_CACHE_GB.

    One process of a machine does it at a time. Raises the first error of the bucket; one item's
    own trouble is logged.
    """
    if not settings.media_url:
        return
    lock = library.home / LOCK_FOLDER / "stored-media"
    storage.make_folder(lock.parent)
    with locked_now(lock) as is_mine:
        if not is_mine:
            return
        media = StoredMedia.of(library, settings)
        _store(media, library, items, stop)
        _give_up(media, library, items, settings.media_cache_gb * GB, stop)


def waiting(library: Library, items: ItemQueries) -> list[LibraryEntry]:
    """Return the ended items whose medium is not stored yet."""
    states = items.states()
    return [
        entry
        for entry in library.entries()
        if entry.media_path is not None
        and not entry.stored
        and not entry.renewal
        and states.get(entry.item.id) == DONE
    ]


def _store(
    media: StoredMedia, library: Library, items: ItemQueries, stop: threading.Event | None
) -> None:
    for entry in waiting(library, items):
        if stop is not None and stop.is_set():
            return
        before = entry.record.get(STORED)  # of an earlier medium
        try:
            if media.keep(entry) and before:
                media.forget(before, library.find(entry.item.id))
        except (KBError, OSError) as error:
            if isinstance(error, KBError) and error.retryable:
                raise
            log.warning("%s: its medium is not stored: %s", entry.item.id, error)


def _give_up(
    media: StoredMedia,
    library: Library,
    items: ItemQueries,
    most_bytes: float,
    stop: threading.Event | None,
) -> None:
    """Give up the local media that were not used for longest, down to the limit."""
    states = items.states()
    found = []
    for entry in library.entries():
        used = _last_use(entry.media_path)
        if entry.media_path is not None and used is not None:
            at, size = used
            found.append((at, size, entry))
    total = sum(size for _, size, _ in found)
    for _, size, entry in sorted(found, key=lambda each: each[0]):
        if total <= most_bytes or (stop is not None and stop.is_set()):
            return
        if not entry.stored or entry.renewal or states.get(entry.item.id) != DONE:
            continue
        try:
            if media.give_up_local(entry):
                total -= size
        except (KBError, OSError) as error:
            if isinstance(error, KBError) and error.code == "objects.away":
                raise
            log.warning("%s: its local medium stays: %s", entry.item.id, error)


def _last_use(path: Path | None) -> tuple[float, int] | None:
    """Return the time of the last reading or change of a file, and its size; None without it."""
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (max(status.st_atime, status.st_mtime), status.st_size)
