"""Durable jobs: a link or a file that goes into the library, its state and its transcripts.

`/process`, `/status/{id}` and `/result/{id}` are short names of the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from kb.api.context import ApiContext
from kb.api.errors import ApiError, field_error, retry_after
from kb.api.fields import Language, read_form
from kb.api.files import write
from kb.options import RunOptions
from kb.service import uploads
from kb.service.api_jobs import JobView, request_digest
from kb.service.notation import language_code
from kb.service.results import ItemStatus
from kb.types.safe_text import clean

LOOK_S = 1.0  # between two looks of a stream of events
COMMENT_EVERY_S = 10.0
POLL_AGAIN_S = 5
LONGEST_BODY = 64 * 1024  # bytes of a request in JSON
ResultFormat = Annotated[str, Query(alias="format", max_length=40)]


class JobOptions(BaseModel):
    """The options of a job."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(default="", max_length=200, description="A name of GET /v1/models.")
    language: Language = Field(default="", description="Code of the speech; empty: detected.")
    newest: int = Field(
        default=100, ge=1, le=10_000, description="Media of a channel or a playlist, the newest."
    )


class JobRequest(BaseModel):
    """A request for a job; as a form with a file, `url` is left out and `options` is JSON."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2_000, description="A link to media (http, https).")
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


def router(context: ApiContext) -> APIRouter:
    """Return the routes of jobs."""
    routes = APIRouter(tags=["jobs"])
    described = {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _schema(JobRequest)},
                "multipart/form-data": {"schema": _file_schema()},
            },
        }
    }

    @routes.post("/v1/jobs", openapi_extra=described, status_code=202)
    @routes.post("/process", openapi_extra=described, status_code=202)
    async def create_job(
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    ) -> JSONResponse:
        """Queue a link or a file; 200 instead of 202 if an equal request has a job already."""
        view, is_new = await _create(context, request, idempotency_key)
        document = _document(view)
        return JSONResponse(document, 202 if is_new else 200, headers={"Location": _url(view)})

    @routes.get("/v1/jobs")
    async def list_jobs(
        request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str = ""
    ) -> dict[str, Any]:
        """List the jobs of this key, newest first; `after` is the cursor of the part before."""
        found, following = await run_in_threadpool(
            context.service.api_jobs.page, request.state.key, limit, after
        )
        data = [_document(view) for view in found]
        return {"object": "list", "data": data, "has_more": bool(following), "after": following}

    @routes.get("/v1/jobs/{job_id}")
    @routes.get("/status/{job_id}")
    async def get_job(request: Request, job_id: str) -> dict[str, Any]:
        """Return the state of a job and of its items."""
        return _document(await _view(context, request, job_id))

    @routes.delete("/v1/jobs/{job_id}")
    async def cancel_job(request: Request, job_id: str) -> dict[str, Any]:
        """Cancel what a job has queued and no other job waits for."""
        view = await _view(context, request, job_id)
        await run_in_threadpool(context.service.api_jobs.cancel, view)
        return _document(await _view(context, request, job_id))

    @routes.get("/v1/jobs/{job_id}/result")
    @routes.get("/result/{job_id}")
    async def get_result(
        request: Request, job_id: str, form: ResultFormat = "json", item: str = ""
    ) -> Response:
        """Return the transcript of a job; 202 while it is under way.

        A job of several items needs `item`, unless the format is json.
        """
        view = await _view(context, request, job_id)
        return await run_in_threadpool(_result, context, view, form, item)

    @routes.get("/v1/jobs/{job_id}/events")
    async def job_events(request: Request, job_id: str) -> StreamingResponse:
        """Send the state of a job at each change, until it has ended (Server-Sent Events)."""
        view = await _view(context, request, job_id)
        seen = request.headers.get("last-event-id", "")
        return StreamingResponse(
            _events(context, request, view, seen), media_type="text/event-stream"
        )

    return routes


async def _create(
    context: ApiContext, request: Request, idempotency_key: str | None
) -> tuple[JobView, bool]:
    """Return the job of a request, and True if it is a new one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    jobs, caller = context.service.api_jobs, request.state.key
    if idempotency_key == "":
        raise ApiError(400, "invalid_value", "Idempotency-Key is empty.", param="Idempotency-Key")
    path: Path | None = None
    url = ""
    try:
        asked: JobRequest | _FileRequest
        if kind == "application/json":
            asked = parsed = await _json(request)
            url = parsed.url
            digest = request_digest("link", parsed.model_dump())
        else:
            asked, path, content = await _upload(context, request)
            digest = request_digest("file", asked.model_dump(), content)
        options = await run_in_threadpool(_options, context, asked.options)
        if asked.webhook is not None:
            jobs.check_webhook(asked.webhook)
        known, conflict = await run_in_threadpool(jobs.known, caller, digest, idempotency_key)
        if conflict:
            raise ApiError(
                422,
                "idempotency_conflict",
                "This Idempotency-Key stands for another request.",
                param="Idempotency-Key",
            )
        if known is not None:
            return await run_in_threadpool(jobs.view, known), False

        def take_in() -> JobView:
            job = jobs.take_in(
                caller,
                path or url,
                digest,
                options,
                newest=asked.options.newest,
                idempotency_key=idempotency_key,
                webhook=asked.webhook,
            )
            return jobs.view(job)

        view = await run_in_threadpool(take_in)
        path = None  # the queue's, until its item has ended
        return view, True
    finally:
        if path is not None:
            uploads.discard(path.parent)


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


async def _upload(context: ApiContext, request: Request) -> tuple[_FileRequest, Path, str]:
    """Return the fields of a form, its file in the library's folder of uploads, and its SHA-256."""
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
        folder = context.settings.home / uploads.FOLDER / secrets.token_hex(16)
        path = folder / uploads.safe_name(file.filename or "recording")

        def store() -> str:
            folder.mkdir(parents=True)
            return write(file, path)

        try:
            return asked, path, await run_in_threadpool(store)
        except BaseException:
            uploads.discard(folder)
            raise
    finally:
        await form.close()


def _options(context: ApiContext, asked: JobOptions) -> RunOptions:
    found = context.models.options(asked.model) if asked.model else RunOptions()
    if found is None:
        message = f"The model {asked.model} is not served."
        raise ApiError(404, "model_not_found", message, param="model")
    code = language_code(asked.language) if asked.language else ""
    if asked.language and not code:
        message = "language: a code such as en is expected."
        raise ApiError(400, "invalid_value", message, param="language")
    return replace(found, language=code or None)


async def _view(context: ApiContext, request: Request, job_id: str) -> JobView:
    found = await run_in_threadpool(context.service.api_jobs.get, request.state.key, job_id)
    if found is None:
        raise ApiError(404, "job_not_found", f"There is no job {job_id[:80]}.", param="job_id")
    return found


def _document(view: JobView) -> dict[str, Any]:
    """Return the state of a job; `progress` is 0..1."""
    states = [item.state for item in view.items]
    count = len(view.items)
    share = sum(1.0 if _has_ended(item) else item.share for item in view.items)
    failed = next((item for item in view.items if item.state == "failed"), None)
    return {
        "job_id": view.job.id,
        "status": view.state,
        "created_at": datetime.fromtimestamp(view.job.created_at, UTC).isoformat(
            timespec="seconds"
        ),
        "reference": clean(view.job.reference),
        "progress": round(share / count, 3) if count else 1.0,
        "items": {
            "total": count,
            "done": sum(state in ("done", "held") for state in states),
            "failed": states.count("failed"),
        },
        "media": [_medium(item) for item in view.items],
        "error": clean(failed.error) if failed else None,
        "hint": clean(failed.hint) if failed else None,
        "status_url": _url(view),
        "result_url": f"{_url(view)}/result",
    }


def _medium(item: ItemStatus) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": clean(item.title),
        "status": item.state,
        "stage": item.stage,
        "progress": round(item.share, 3),
        "grade": item.grade or None,
        "error": clean(item.error) or None,
        "hint": clean(item.hint) or None,
    }


def _has_ended(item: ItemStatus) -> bool:
    return item.state in ("done", "held", "failed", "cancelled", "dismissed")


def _url(view: JobView) -> str:
    return f"/v1/jobs/{view.job.id}"


def _result(context: ApiContext, view: JobView, form: str, wanted: str) -> Response:
    """Return the transcript of a job, or the reason why there is none."""
    if wanted and wanted not in {item.id for item in view.items}:
        raise ApiError(404, "item_not_found", "The job has no such item.", param="item")
    chosen = [item for item in view.items if not wanted or item.id == wanted]
    if not chosen:
        raise ApiError(410, "gone", "The media of this job were removed.")
    if any(not _has_ended(item) for item in chosen) and not view.ended:
        return JSONResponse(_document(view), 202, headers=retry_after(POLL_AGAIN_S))
    items = context.service.items
    if form not in items.formats():
        raise ApiError(
            400,
            "invalid_value",
            f"There is no format {form[:40]}.",
            hint=f"Formats: {', '.join(items.formats())}.",
            param="format",
        )
    if len(chosen) > 1 and form != "json":
        message = "The job has several items: name one of them."
        raise ApiError(400, "missing_required_parameter", message, param="item")
    readable = [item for item in chosen if item.state in ("done", "held")]
    if not readable:
        raise ApiError(
            422,
            f"job_{chosen[0].state}",
            clean(chosen[0].error) or f"The job has ended as {chosen[0].state}.",
            hint=clean(chosen[0].hint),
        )
    if form == "json":
        found = [
            {"id": item.id, "title": clean(item.title), "status": item.state}
            | {"transcript": items.document(items.transcript(item.id))}
            for item in readable
        ]
        return JSONResponse({"job_id": view.job.id, "status": view.state, "results": found})
    text = items.export(readable[0].id, form)
    return PlainTextResponse(text, media_type=items.mime_type(form))


async def _events(
    context: ApiContext, request: Request, view: JobView, seen: str
) -> AsyncIterator[str]:
    """Yield the state at each change; the id of an event is that of its state."""
    silent_s = 0.0
    while True:
        document = json.dumps(_document(view), ensure_ascii=False)
        number = hashlib.sha256(document.encode()).hexdigest()[:16]
        if number != seen or view.ended:
            seen, silent_s = number, 0.0
            name = "done" if view.ended else "progress"
            yield f"id: {number}\nevent: {name}\ndata: {document}\n\n"
        if view.ended:
            return
        await asyncio.sleep(LOOK_S)
        silent_s += LOOK_S
        if silent_s >= COMMENT_EVERY_S:
            silent_s = 0.0
            yield ": still at work\n\n"
        found = await run_in_threadpool(
            context.service.api_jobs.get, request.state.key, view.job.id
        )
        if found is None:
            return
        view = found


def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    if "JobOptions" in definitions:
        schema["properties"]["options"] = definitions["JobOptions"]
    return schema


def _file_schema() -> dict[str, Any]:
    schema = _schema(_FileRequest)
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"] = ["file"]
    return schema
