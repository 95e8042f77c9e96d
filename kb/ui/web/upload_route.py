"""Files uploaded by the browser: streamed to disk, and kept until they are ingested.

    PUT /kb-upload?name=talk.mp4&key=…        → {"id": "…", "name": "talk.mp4", "size": 123}

They are stored in `uploads/<id>/` of the library folder, so that a worker on another machine
that shares the folder can read them. `sweep` removes ingested files.

An upload reserves its place before it is written: their number, their sizes and the free disk are
counted over all uploads under way, and checked again while they are written.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from kb.service.uploads import FOLDER, PART_NAME, discard, safe_name
from kb.settings import Settings

SPARE_BYTES = 1 << 30  # bytes that uploads must leave free on the disk
CHECK_EVERY_BYTES = 16 << 20  # bytes of one upload between two looks at the free disk
DRAIN_S, DRAIN_BYTES = 10.0, 1 << 30  # what is still read of an upload that was refused

log = logging.getLogger(__name__)


class Refused(Exception):
    """An upload that is not kept: status code and the document for the browser."""

    def __init__(self, status: int, error: str, **facts: object) -> None:
        super().__init__(error)
        self.status = status
        self.document: Mapping[str, object] = {"error": error, **facts}


@dataclass(eq=False)
class _Upload:
    """An upload under way: the bytes that it declared (0 if unknown) and those on the disk."""

    declared: int
    written: int = 0

    @property
    def missing(self) -> int:
        return max(0, self.declared - self.written)


class _Body:
    """The body of a request, read message by message within an idle time."""

    def __init__(self, receive: Receive, idle_s: float) -> None:
        self._receive = receive
        self._idle_s = idle_s
        self.ended = False

    async def next_block(self) -> bytes:
        """Return the next block; empty at the end. Raises Refused."""
        while not self.ended:
            try:
                async with asyncio.timeout(self._idle_s):
                    message = await self._receive()
            except TimeoutError:
                raise Refused(408, "idle", idle_s=self._idle_s) from None
            if message["type"] == "http.disconnect":
                self.ended = True
                raise Refused(400, "cut")
            self.ended = not message.get("more_body", False)
            if message.get("body"):
                return bytes(message["body"])
        return b""


class _RefusalResponse(JSONResponse):
    """A refusal that the client can read although it is still sending.

    A connection that is closed while data arrives is reset, and the answer is lost with it. So the
    answer is sent, and the rest of the body is read for a while before the connection is closed.
    """

    def __init__(self, refused: Refused, body: _Body) -> None:
        super().__init__(dict(refused.document), refused.status, headers={"Connection": "close"})
        self._request_body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        drained = 0
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self._request_body.ended and drained < DRAIN_BYTES:
                    drained += len(await self._request_body.next_block())
        except (TimeoutError, Refused):
            pass
        await send({"type": "http.response.body", "body": b""})


class Uploads:
    """The uploads of one server."""

    def __init__(self) -> None:
        self._under_way: set[_Upload] = set()

    async def receive(self, request: Request, settings: Settings) -> Response:
        """Write the body of a request to disk, block by block."""
        name = safe_name(request.query_params.get("name", ""))
        declared = request.headers.get("content-length", "")
        upload = _Upload(int(declared) if declared.isdigit() else 0)
        body = _Body(request.receive, settings.upload_idle_s)
        root = settings.home / FOLDER
        upload_id = secrets.token_hex(16)
        folder = root / upload_id
        try:
            self._admit(upload, settings)
            await to_thread.run_sync(lambda: folder.mkdir(parents=True))
            await to_thread.run_sync(self._check_room, settings, root)
            await self._write(body, upload, folder / PART_NAME, settings)
            await to_thread.run_sync(lambda: (folder / PART_NAME).replace(folder / name))
        except Refused as refused:
            discard(folder)
            return _RefusalResponse(refused, body)
        except OSError as error:
            discard(folder)
            log.warning("An upload could not be kept: %s", error)
            return _RefusalResponse(Refused(507, "disk", reason=error.strerror or "?"), body)
        except BaseException:
            discard(folder)
            raise
        finally:
            self._under_way.discard(upload)
        return JSONResponse({"id": upload_id, "name": name, "size": upload.written})

    def _admit(self, upload: _Upload, settings: Settings) -> None:
        """Reserve the place of an upload before anything is awaited. Raises Refused."""
        if len(self._under_way) >= settings.uploads_at_once:
            raise Refused(503, "busy", most=settings.uploads_at_once)
        if upload.declared > settings.upload_max_bytes:
            raise Refused(413, "large", most=settings.upload_max_bytes)
        self._under_way.add(upload)

    def _check_room(self, settings: Settings, folder: Path, least: int = 0) -> None:
        """Raise Refused if the disk cannot hold what all uploads under way still bring.

        `least` are bytes that are about to be written and no client may have declared.
        """
        free = shutil.disk_usage(folder).free
        missing = max(least, sum(each.missing for each in tuple(self._under_way)))
        spare = max(SPARE_BYTES, settings.free_space.floor_bytes)
        if free - missing < spare:
            raise Refused(507, "full", free=free)

    async def _write(self, body: _Body, upload: _Upload, target: Path, settings: Settings) -> None:
        unchecked = 0
        file = await to_thread.run_sync(_open_new, target)
        try:
            while block := await body.next_block():
                if upload.written + len(block) > settings.upload_max_bytes:
                    raise Refused(413, "large", most=settings.upload_max_bytes)
                unchecked += len(block)
                if unchecked >= CHECK_EVERY_BYTES or not upload.declared:
                    unchecked = 0
                    await to_thread.run_sync(self._check_room, settings, target.parent, len(block))
                await to_thread.run_sync(file.write, block)
                upload.written += len(block)
            await to_thread.run_sync(_flush, file)
        finally:
            file.close()
        if not upload.written:
            raise Refused(400, "empty")
        if upload.missing or (upload.declared and upload.written != upload.declared):
            raise Refused(400, "cut")


def _open_new(target: Path) -> BinaryIO:
    """Open a new file with the library's rights: another account's worker may have to read it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle: Any = os.open(target, flags, 0o666)
    return os.fdopen(handle, "wb", buffering=0)


def _flush(file: BinaryIO) -> None:
    os.fsync(file.fileno())
