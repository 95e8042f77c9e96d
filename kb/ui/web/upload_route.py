"""Files uploaded by the browser: streamed to disk, and kept until they are ingested.

    PUT /kb-upload?name=talk.mp4&key=…        → {"id": "…", "name": "talk.mp4", "size": 123}

They are stored in `uploads/<id>/` of the library folder, so that a worker on another machine
that shares the folder can read them. `sweep` removes ingested files.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from kb.service.uploads import _PART, FOLDER, discard, safe_name

SPARE_BYTES = 1 << 30  # bytes that an upload must leave free on the disk

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
        await to_thread.run_sync(_flush, file)
    finally:
        file.close()
    return written


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
