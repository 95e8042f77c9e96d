"""Requests for jobs: their fields, and the link, file or resumable upload that they name."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request

from kb.api.context import ApiContext
from kb.api.errors import ApiError, field_error
from kb.api.fields import Language, inlined, read_form
from kb.api.files import write
from kb.options import RunOptions
from kb.service import uploads
from kb.service.api_jobs import request_digest
from kb.service.notation import language_code
from kb.service.resumable_uploads import ResumableUpload, ResumableUploads
from kb.service.served_models import Served

LONGEST_BODY = 64 * 1024  # bytes of a request in JSON


class JobOptions(BaseModel):
    """The options of a job."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default="", max_length=200, description="A name of GET /v1/models.")
    language: Language = Field(default="", description="Code of the speech; empty: detected.")
    newest: int = Field(
        default=100, ge=1, le=10_000, description="Media of a channel or a playlist, the newest."
    )


class JobRequest(BaseModel):
    """A request for a job; as a form with a file, `options` is JSON."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["upload"]}]},
    )

    url: str = Field(
        "", min_length=1, max_length=2_000, description="A link to media (http, https)."
    )
    upload: str = Field(
        "", min_length=1, max_length=80, description="The id of a complete resumable upload."
    )
    options: JobOptions = JobOptions()
    webhook: str | None = Field(None, max_length=2_000, description="Address of the notice.")

    @field_validator("url")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("a link without control characters is expected")
        return value


class _FileRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    options: JobOptions = JobOptions()
    webhook: str | None = None


@dataclass
class AskedJob:
    """A request that was read: `digest` is equal for equal requests.

    Its media are a link, a file in the library's folder of uploads, or a resumable upload.
    """

    options: JobOptions
    webhook: str | None
    digest: str
    url: str = ""
    path: Path | None = None
    upload: ResumableUpload | None = None
    queued: bool = False

    def reference(self, store: ResumableUploads) -> str | Path:
        """Return the link or the file to queue. Raises ApiError for an upload without its bytes."""
        if self.upload is None:
            return self.path or self.url
        if self.upload.used:
            raise ApiError(
                410,
                "upload_used",
                "A job had this upload, and has ended without a transcript.",
                hint="Send the file again.",
                param="upload",
            )
        self.path = _new_path(store.home, self.upload.name)
        store.put(self.upload, self.path)
        return self.path

    def taken(self, store: ResumableUploads) -> None:
        """Note that the queue has the media: the file is removed when its item has ended."""
        self.queued = True
        if self.upload is not None:
            store.mark_used(self.upload)

    def close(self) -> None:
        """Remove a file that was not queued."""
        if self.path is not None and not self.queued:
            uploads.discard(self.path.parent)


async def read_job_request(
    context: ApiContext, store: ResumableUploads, request: Request
) -> AskedJob:
    """Read a request for a job. Raises ApiError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return await _with_file(context, request)
    asked = await _json(request)
    if bool(asked.url) == bool(asked.upload):
        code = "invalid_value" if asked.url else "missing_required_parameter"
        raise ApiError(400, code, "Either url or upload is expected.", param="url")
    if asked.url:
        digest = request_digest("link", asked.model_dump(exclude={"upload"}))
        return AskedJob(asked.options, asked.webhook, digest, url=asked.url)
    found = await run_in_threadpool(store.get, request.state.key, asked.upload)
    if found is None:
        raise ApiError(404, "upload_not_found", "There is no such upload.", param="upload")
    if not found.complete:
        message = f"The upload has {found.offset} of {found.size} bytes."
        raise ApiError(400, "upload_incomplete", message, param="upload")
    found = await run_in_threadpool(store.with_digest, found)
    # An equal file in a form is the same request.
    digest = request_digest("file", asked.model_dump(exclude={"url", "upload"}), found.sha256)
    return AskedJob(asked.options, asked.webhook, digest, upload=found)


async def _json(request: Request) -> JobRequest:
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > LONGEST_BODY:
            raise ApiError(413, "body_too_large", f"More than {LONGEST_BODY} bytes of JSON.")
    try:
        return JobRequest.model_validate_json(body)
    except ValidationError as error:
        raise field_error(error) from None


async def _with_file(context: ApiContext, request: Request) -> AskedJob:
    """Read a form, and write its file into the library's folder of uploads."""
    form = await read_form(request)
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.size:
            raise ApiError(400, "missing_required_parameter", "file is missing.", param="file")
        values: dict[str, Any] = {k: v for k, v in form.items() if k != "file"}
        if "options" in values:
            try:
                values["options"] = json.loads(str(values["options"]))
            except ValueError:
                raise ApiError(
                    400, "invalid_json", "options: JSON is expected.", param="options"
                ) from None
        try:
            asked = _FileRequest.model_validate(values)
        except ValidationError as error:
            raise field_error(error) from None
        path = _new_path(context.settings.home, file.filename or "recording")

        def store() -> str:
            path.parent.mkdir(parents=True)
            return write(file, path)

        try:
            content = await run_in_threadpool(store)
        except BaseException:
            uploads.discard(path.parent)
            raise
        digest = request_digest("file", asked.model_dump(), content)
        return AskedJob(asked.options, asked.webhook, digest, path=path)
    finally:
        await form.close()


def _new_path(home: Path, name: str) -> Path:
    return home / uploads.FOLDER / secrets.token_hex(16) / uploads.safe_name(name)


def run_options(context: ApiContext, asked: JobOptions) -> RunOptions:
    """Return the options of the run. Raises ApiError."""
    found = context.models.find(asked.model) if asked.model else Served(RunOptions(), None)
    if found is None:
        message = f"The model {asked.model} is not served."
        raise ApiError(404, "model_not_found", message, param="model")
    code = language_code(asked.language) if asked.language else ""
    if asked.language and not code:
        message = "language: a code such as en is expected."
        raise ApiError(400, "invalid_value", message, param="language")
    return replace(found.options, language=code or None)


def described() -> dict[str, Any]:
    """Return the bodies of a request for a job, for the API's description."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _schema(JobRequest)},
                "multipart/form-data": {"schema": _file_schema()},
            },
        }
    }


def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    return inlined(kind.model_json_schema())


def _file_schema() -> dict[str, Any]:
    schema = _schema(_FileRequest)
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = ["file"]
    return schema
