"""Files uploaded by a browser, until they are ingested."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path

from pathvalidate import sanitize_filename

from kb.jobs.queue.item_states import DONE, HELD
from kb.service import Service

FOLDER = "uploads"


UNUSED_S = 24 * 3600.0  # age at which an upload that was never queued is removed


FAILED_S = 7 * 86_400.0  # the same for an upload whose item failed or was cancelled


_ID = re.compile(r"[0-9a-f]{32}")


_PART = ".part"


def safe_name(filename: str) -> str:
    """Return the browser's file name as a name that is valid on any system."""
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = last.rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem = stem.strip(". ")[:150] or "upload"
    name = sanitize_filename(f"{stem}.{suffix[:12]}" if suffix else stem)
    return name.strip(". ") or "upload"


def path_of(home: Path, upload_id: str) -> Path | None:
    """Return the file of an upload, None if there is none."""
    if not _ID.fullmatch(upload_id):
        return None
    try:
        found = [f for f in (home / FOLDER / upload_id).iterdir() if f.suffix != _PART]
    except OSError:
        return None
    return found[0] if len(found) == 1 and found[0].is_file() else None


def discard(folder: Path) -> None:
    """Remove an upload's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def sweep(service: Service, now: float | None = None) -> int:
    """Remove uploads that were ingested or are no longer needed; return their number."""
    now = time.time() if now is None else now
    removed = 0
    root = service.settings.home / FOLDER
    folders = [f for f in root.iterdir() if _ID.fullmatch(f.name)] if root.is_dir() else []
    for folder in folders:
        with contextlib.suppress(OSError):
            age_s = now - folder.stat().st_mtime
            states = {
                row.state
                for row in service.queue.page(words=f"/{FOLDER}/{folder.name}/").rows
            }  # fmt: skip
            active = states - {DONE, HELD, "failed", "cancelled"}
            patience_s = UNUSED_S if not states else FAILED_S
            ingested = bool(states) and states <= {DONE, HELD}
            if not active and (ingested or age_s > patience_s):
                discard(folder)
                removed += 1
    with contextlib.suppress(OSError):
        root.rmdir()  # raises OSError unless the folder is empty
    return removed
