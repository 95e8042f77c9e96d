"""Files that come through the browser: streamed to disk, and kept until they are taken in.

    PUT /kb-upload?name=talk.mp4&key=…        → {"id": "…", "name": "talk.mp4", "size": 123}

They lie in `uploads/<id>/` of the library folder, so that a worker on another machine that
shares the folder finds them too. `sweep` removes what has been taken in.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from pathvalidate import sanitize_filename
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from kb.jobs.rows import DONE, HELD
from kb.service import Service

FOLDER = "uploads"
SPARE_BYTES = 1 << 30  # stays free on the disk
UNUSED_S = 24 * 3600.0  # for an upload that no ingest has asked for
FAILED_S = 7 * 86_400.0  # for one whose item may still be tried again
_ID = re.compile(r"[0-9a-f]{32}")
_PART = ".part"

log = logging.getLogger(__name__)


async def receive(request: Request, home: Path) -> Response:
    """Write the body of a request to disk, block by block."""
    name = safe_name(request.query_params.get("name", ""))
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else 0
    root = home / FOLDER
    upload_id = secrets.token_hex(16)
    folder = root / upload_id
    try:
        await to_thread.run_sync(lambda: folder.mkdir(parents=True))
        free = await to_thread.run_sync(lambda: shutil.disk_usage(root).free)
        if size > free - SPARE_BYTES:
            folder.rmdir()
            return JSONResponse({"error": "full", "free": free}, 507)
        part = folder / f"{name}{_PART}"
        written = await _write(request, part)
        if not written or (size and written != size):
            await to_thread.run_sync(lambda: discard(folder))
            return JSONResponse({"error": "empty" if not written else "cut"}, 400)
        await to_thread.run_sync(lambda: part.replace(folder / name))
    except ClientDisconnect:
        discard(folder)
        return JSONResponse({"error": "cut"}, 400)
    except OSError as error:
        discard(folder)
        log.warning("An upload could not be kept: %s", error)
        return JSONResponse({"error": "disk", "reason": error.strerror or "?"}, 507)
    return JSONResponse({"id": upload_id, "name": name, "size": written})


async def _write(request: Request, target: Path) -> int:
    written = 0
    file = await to_thread.run_sync(lambda: target.open("xb"))
    try:
        async for block in request.stream():
            written += await to_thread.run_sync(file.write, block)
        await to_thread.run_sync(_settle, file)
    finally:
        file.close()
    return written


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def safe_name(given: str) -> str:
    """The name that the browser gave, as a name of one file on any system."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = last.rpartition(".")
    if not dot:
        stem, suffix = suffix, ""
    stem = stem.strip(". ")[:150] or "upload"
    name = sanitize_filename(f"{stem}.{suffix[:12]}" if suffix else stem)
    return name.strip(". ") or "upload"


def path_of(home: Path, upload_id: str) -> Path | None:
    """The file of an upload, None where there is none."""
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
    """Remove uploads that are in the library by now, or that nobody wanted; how many."""
    now = time.time() if now is None else now
    removed = 0
    root = service.settings.home / FOLDER
    folders = [f for f in root.iterdir() if _ID.fullmatch(f.name)] if root.is_dir() else []
    for folder in folders:
        with contextlib.suppress(OSError):
            age_s = now - folder.stat().st_mtime
            states = {
                row.state
                for row in service.jobs.board(words=f"/{FOLDER}/{folder.name}/").rows
            }  # fmt: skip
            active = states - {DONE, HELD, "failed", "cancelled"}
            patience_s = UNUSED_S if not states else FAILED_S
            taken_in = bool(states) and states <= {DONE, HELD}
            if not active and (taken_in or age_s > patience_s):
                discard(folder)
                removed += 1
    with contextlib.suppress(OSError):
        root.rmdir()  # only where it is empty
    return removed
