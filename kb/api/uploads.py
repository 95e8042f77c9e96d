"""Resumable uploads: tus 1.0 with creation (and its first part), checksum, expiry, termination.

    POST   /v1/uploads        Upload-Length, Upload-Metadata  → 201, Location
    HEAD   /v1/uploads/ID                                     → Upload-Offset
    PATCH  /v1/uploads/ID     Upload-Offset, Upload-Checksum  → 204, Upload-Offset
    DELETE /v1/uploads/ID                                     → 204

A complete upload becomes a job: POST /v1/jobs {"upload": "ID"}. The protocol is that of
https://tus.io/protocols/resumable-upload.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
from email.utils import formatdate
from typing import Any

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from kb.api.context import ApiContext
from kb.api.errors import ApiError
from kb.errors import UsageError
from kb.service.resumable_uploads import (
    RECORD_EVERY_BYTES,
    ResumableUpload,
    ResumableUploads,
    UploadWriter,
)
from kb.service.uploads import safe_name

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
LONGEST_METADATA = 4096  # characters
_PART = "application/offset+octet-stream"
_ALGORITHMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "md5": hashlib.md5}
_TEXT = {"type": "string"}
_BODY = {"requestBody": {"content": {_PART: {"schema": {"type": "string", "format": "binary"}}}}}
_LEFT_S, _LEFT_BYTES = 5.0, 64 << 20  # what is still read of a part that was refused


def router(context: ApiContext) -> APIRouter:
    """Return the routes of resumable uploads."""
    routes = APIRouter(tags=["uploads"])
    store = ResumableUploads(context.settings)
    most = context.settings.upload_max_bytes

    def headers_of(upload: ResumableUpload) -> dict[str, str]:
        return {
            "Tus-Resumable": VERSION,
            "Upload-Offset": str(upload.offset),
            "Upload-Expires": formatdate(upload.expires_at, usegmt=True),
        }

    @routes.options("/v1/uploads", status_code=204)
    async def describe_uploads() -> Response:
        """Say which extensions of the protocol are here, and the largest size."""
        return Response(
            status_code=204,
            headers={
                "Tus-Resumable": VERSION,
                "Tus-Version": VERSION,
                "Tus-Extension": EXTENSIONS,
                "Tus-Max-Size": str(most),
                "Tus-Checksum-Algorithm": ",".join(_ALGORITHMS),
            },
        )

    @routes.post("/v1/uploads", status_code=201, openapi_extra=_CREATE)
    async def create_upload(request: Request) -> Response:
        """Begin an upload of Upload-Length bytes; a body is its first part."""
        _check_version(request)
        size = _number(request, "Upload-Length")
        if not size:
            raise ApiError(400, "invalid_audio", "The file is empty.", param="Upload-Length")
        if size > most:
            raise ApiError(
                413,
                "file_too_large",
                f"The file has more than {most} bytes.",
                hint="Send a compressed recording, or raise KB_UPLOAD_MAX_GB.",
                param="Upload-Length",
            )
        metadata = request.headers.get("upload-metadata", "")
        name = safe_name(_metadata(metadata).get("filename") or "recording")
        with_part = _kind(request) == _PART
        checksum = _checksum(request) if with_part else None
        try:
            made = await run_in_threadpool(store.create, request.state.key, name, size, metadata)
        except UsageError as error:
            raise ApiError(429, "rate_limit_exceeded", error.message, hint=error.hint) from error
        if with_part:
            made = await _write(store, request, made, checksum)
        where = f"{request.scope.get('root_path', '')}/v1/uploads/{made.id}"
        return Response(status_code=201, headers={**headers_of(made), "Location": where})

    @routes.head("/v1/uploads/{upload_id}", openapi_extra=_described())
    async def upload_state(request: Request, upload_id: str) -> Response:
        """Return the offset at which an upload goes on."""
        _check_version(request)
        found = await _upload(store, request, upload_id)
        more = {"Upload-Length": str(found.size)}
        if found.metadata:
            more["Upload-Metadata"] = found.metadata
        return Response(headers={**headers_of(found), **more})

    @routes.patch("/v1/uploads/{upload_id}", status_code=204, openapi_extra=_WRITE)
    async def write_part(request: Request, upload_id: str) -> Response:
        """Append bytes at Upload-Offset; what has arrived stays if the connection breaks.

        With Upload-Checksum the part is kept as a whole or not at all.
        """
        _check_version(request)
        found = await _upload(store, request, upload_id)
        if _kind(request) != _PART:
            raise ApiError(415, "unsupported_content_type", f"{_PART} is expected.")
        offset, checksum = _number(request, "Upload-Offset"), _checksum(request)
        if offset != found.offset:
            raise _wrong_offset(found)
        return Response(
            status_code=204, headers=headers_of(await _write(store, request, found, checksum))
        )

    @routes.delete("/v1/uploads/{upload_id}", status_code=204, openapi_extra=_described())
    async def delete_upload(request: Request, upload_id: str) -> Response:
        """Remove an upload and its bytes."""
        _check_version(request)
        found = await _upload(store, request, upload_id)
        if not await run_in_threadpool(store.remove, found):
            raise _locked()
        return Response(status_code=204, headers={"Tus-Resumable": VERSION})

    return routes


async def _write(
    store: ResumableUploads,
    request: Request,
    found: ResumableUpload,
    checksum: tuple[str, bytes] | None,
) -> ResumableUpload:
    """Append the body of a request to an upload; return the upload then. Raises ApiError."""
    holder = store.writing(found.id)
    writer = await run_in_threadpool(holder.__enter__)
    try:
        if writer is None:
            raise _locked()
        if writer.upload.offset != found.offset:
            raise _wrong_offset(writer.upload)
        await _receive(request, writer, checksum)
        return writer.upload
    except ApiError:
        await _read_rest(request)
        raise
    finally:
        await run_in_threadpool(holder.__exit__, None, None, None)


async def _receive(
    request: Request, writer: UploadWriter, checksum: tuple[str, bytes] | None
) -> None:
    digest = _ALGORITHMS[checksum[0]](usedforsecurity=False) if checksum else None
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > writer.missing:
        raise _too_long(writer)
    try:
        async for block in request.stream():
            if len(block) > writer.missing:
                raise _too_long(writer)
            await run_in_threadpool(writer.write, block)
            if digest is not None:
                digest.update(block)
            elif writer.unrecorded() >= RECORD_EVERY_BYTES:
                await run_in_threadpool(writer.record)
    except ClientDisconnect:
        pass  # no client waits for an answer; what has come is kept
    else:
        if digest is not None and checksum is not None and digest.digest() != checksum[1]:
            raise ApiError(
                460, "checksum_mismatch", "The part has another checksum.", param="Upload-Checksum"
            )
        digest = None
    finally:
        if digest is None:
            await run_in_threadpool(writer.record)


async def _read_rest(request: Request) -> None:
    """Read what a client still sends for a while, so that it can read the refusal."""
    read = 0
    with contextlib.suppress(ApiError, ClientDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(_LEFT_S):
            async for block in request.stream():
                read += len(block)
                if read > _LEFT_BYTES:
                    return


async def _upload(store: ResumableUploads, request: Request, upload_id: str) -> ResumableUpload:
    found = await run_in_threadpool(store.get, request.state.key, upload_id)
    if found is None:
        raise ApiError(
            404, "upload_not_found", f"There is no upload {upload_id[:80]}.", param="upload_id"
        )
    if found.used:
        raise ApiError(410, "upload_used", "A job has taken this upload.", param="upload_id")
    return found


def _check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise ApiError(
            412,
            "tus_version",
            f"The header Tus-Resumable: {VERSION} is expected.",
            hint="Uploads follow tus 1.0: https://tus.io",
            param="Tus-Resumable",
            headers={"Tus-Version": VERSION},
        )


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        code = "invalid_value" if text else "missing_required_parameter"
        raise ApiError(400, code, f"{name}: a number of bytes is expected.", param=name)
    return int(text)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _checksum(request: Request) -> tuple[str, bytes] | None:
    """Return the algorithm and the digest of a part; None without one. Raises ApiError."""
    given = request.headers.get("upload-checksum")
    if given is None:
        return None
    name, _, text = given.strip().partition(" ")
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        digest = b""
    if name not in _ALGORITHMS or not digest:
        known = ", ".join(_ALGORITHMS)
        message = f"Upload-Checksum: one of {known} and a digest in base64 are expected."
        raise ApiError(400, "invalid_value", message, param="Upload-Checksum")
    return name, digest


def _metadata(text: str) -> dict[str, str]:
    """Return what a client says of its file. Raises ApiError."""
    found: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        key, _, value = pair.strip().partition(" ")
        try:
            found[key] = base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace")
        except binascii.Error:
            key = ""
        if not key or not key.isascii() or len(text) > LONGEST_METADATA:
            message = "Upload-Metadata: names and values in base64 are expected."
            raise ApiError(400, "invalid_value", message, param="Upload-Metadata")
    return found


def _wrong_offset(upload: ResumableUpload) -> ApiError:
    return ApiError(
        409,
        "wrong_offset",
        f"The upload goes on at byte {upload.offset}.",
        param="Upload-Offset",
        headers={"Upload-Offset": str(upload.offset), "Tus-Resumable": VERSION},
    )


def _too_long(writer: UploadWriter) -> ApiError:
    message = f"The part goes beyond the {writer.upload.size} bytes of the upload."
    return ApiError(413, "file_too_large", message, param="Upload-Length")


def _locked() -> ApiError:
    return ApiError(
        423,
        "upload_locked",
        "Another request writes this upload.",
        hint="Ask for its offset and try again.",
        headers={"Retry-After": "1"},
    )


def _described(**more: bool) -> dict[str, Any]:
    """Return the headers of a request for the API's description; True for those it must have."""
    names = {"Tus-Resumable": True} | {name.replace("_", "-"): must for name, must in more.items()}
    parameters = [
        {"name": name, "in": "header", "required": required, "schema": _TEXT}
        for name, required in names.items()
    ]
    return {"parameters": parameters}


_CREATE = _described(Upload_Length=True, Upload_Metadata=False, Upload_Checksum=False) | _BODY
_WRITE = _described(Upload_Offset=True, Upload_Checksum=False) | _BODY
