"""Files uploaded by a browser or a program, until they are ingested."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from pathvalidate import sanitize_filename

from kb import storage
from kb.errors import LibraryError
from kb.jobs.queue.item_states import DONE, HELD
from kb.library.clock_leaps import ClockLeaps, record_time
from kb.library.filenames import shorten
from kb.service import Service, resumable_uploads
from kb.sources.files import UPLOADS
from kb.types.safe_text import printable

FOLDER = UPLOADS


UNUSED_S = 24 * 3600.0  # age at which an upload that was never queued is removed


FAILED_S = 7 * 86_400.0  # the same for an upload whose item failed or was cancelled


_ID = re.compile(r"[0-9a-f]{32}")


_PART = ".part"
PART_NAME = f"incoming{_PART}"  # of an upload under way; short, whatever its own name is
_NAME_BYTES, _NAME_LETTERS = 255, 150  # file systems count bytes


def safe_name(filename: str) -> str:
    """Return the browser's file name as a name that is valid on any system."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = last.rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem = stem.strip(". ")[:_NAME_LETTERS] or "upload"
    suffix = shorten(suffix[:12], lambda text: len(text.encode("utf-8", "replace")) <= 50)
    ending = f".{suffix}" if suffix else ""

    def fits(text: str) -> bool:
        return len(f"{text}{ending}".encode("utf-8", "replace")) <= _NAME_BYTES

    name = sanitize_filename(f"{shorten(printable(stem), fits)}{ending}")
    name = name.strip(". ") or "upload"
    return f"upload{_PART}" if name == PART_NAME else name


def path_of(home: Path, upload_id: str) -> Path | None:
    """Return the file of an upload, None if there is none."""
    if not _ID.fullmatch(upload_id):
        return None
    try:
        found = [f for f in (home / FOLDER / upload_id).iterdir() if f.name != PART_NAME]
    except OSError:
        return None
    return found[0] if len(found) == 1 and found[0].is_file() else None


def discard(folder: Path) -> None:
    """Remove an upload's folder, unless the library's folder went away: a later call does it."""
    with contextlib.suppress(LibraryError):
        storage.remove_tree(folder)


def sweep(service: Service, now: float | None = None) -> int:
    """Remove uploads that were ingested or are no longer needed; return their number."""
    leaps = ClockLeaps()
    if now is None:
        now = service.queue.database.time()
        leaps = record_time(service.library, now)
    removed = 0
    root = service.settings.home / FOLDER
    folders = [f for f in root.iterdir() if _ID.fullmatch(f.name)] if root.is_dir() else []
    for folder in folders:
        with contextlib.suppress(OSError):
            age_s = leaps.age_s(folder.stat().st_mtime, now) or 0.0
            words = f"/{FOLDER}/{folder.name}/"
            states = {
                row.state
                for listings in (False, True)  # a listing that waits needs it, too
                for row in service.queue.page(words=words, listings=listings).rows
            }
            active = states - {DONE, HELD, "failed", "cancelled", "dismissed"}
            patience_s = UNUSED_S if not states else FAILED_S
            ingested = bool(states) and states <= {DONE, HELD}
            if not active and (ingested or age_s > patience_s):
                discard(folder)
                removed += 1
    removed += resumable_uploads.sweep(
        service.settings.home, lambda changed: leaps.age_s(changed, now) or 0.0
    )
    with contextlib.suppress(OSError):
        root.rmdir()  # raises OSError unless the folder is empty
    return removed
