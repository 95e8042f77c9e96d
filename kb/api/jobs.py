"""Durable jobs: a link or a file that goes into the library, its state and its transcripts.

`/process`, `/status/{id}` and `/result/{id}` are short names of the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from kb.api.context import ApiContext
from kb.api.errors import ApiError, retry_after
from kb.api.job_requests import described, read_job_request, run_options
from kb.service.api_jobs import JobView
from kb.service.notation import FORMATS
from kb.service.results import ItemStatus
from kb.service.resumable_uploads import ResumableUploads
from kb.types.safe_text import clean

LOOK_S = 1.0  # between two looks of a stream of events
COMMENT_EVERY_S = 10.0
POLL_AGAIN_S = 5
ResultFormat = Annotated[
    str, Query(alias="format", max_length=40, json_schema_extra={"enum": [*FORMATS]})
]


def router(context: ApiContext) -> APIRouter:
    """Return the routes of jobs."""
    routes = APIRouter(tags=["jobs"])
    store = ResumableUploads(context.settings)
    bodies = described()

    types: dict[str, Any] = {
        context.service.items.mime_type(each): {} for each in context.service.items.formats()
    }
    result: dict[int | str, dict[str, Any]] = {
        200: {"description": "The transcript, in the form that was asked for.", "content": types},
        202: {"description": "The job is under way."},
    }
    known: dict[int | str, dict[str, Any]] = {200: {"description": "An equal request has a job."}}

    @routes.post("/v1/jobs", openapi_extra=bodies, status_code=202, responses=known)
    @routes.post("/process", openapi_extra=bodies, status_code=202, responses=known)
    async def create_job(
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
    ) -> JSONResponse:
        """Queue a link, a file or an upload; 200 if an equal request has a job already."""
        view, is_new = await _create(context, store, request, idempotency_key)
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

    @routes.get("/v1/jobs/{job_id}/result", responses=result)
    @routes.get("/result/{job_id}", responses=result)
    async def get_result(
        request: Request, job_id: str, form: ResultFormat = "json", item: str = ""
    ) -> Response:
        """Return the transcript of a job; 202 while it is under way.

        A job of several items needs `item`, unless the format is json.
        """
        view = await _view(context, request, job_id)
        return await run_in_threadpool(_result, context, view, form, item)

    @routes.get(
        "/v1/jobs/{job_id}/events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def job_events(request: Request, job_id: str) -> StreamingResponse:
        """Send the state of a job at each change, until it has ended (Server-Sent Events)."""
        view = await _view(context, request, job_id)
        seen = request.headers.get("last-event-id", "")
        return StreamingResponse(
            _events(context, request, view, seen), media_type="text/event-stream"
        )

    return routes


async def _create(
    context: ApiContext, store: ResumableUploads, request: Request, idempotency_key: str | None
) -> tuple[JobView, bool]:
    """Return the job of a request, and True if it is a new one."""
    jobs, access, caller = context.service.api_jobs, context.service.access, request.state.key
    if idempotency_key == "":
        raise ApiError(400, "invalid_value", "Idempotency-Key is empty.", param="Idempotency-Key")
    asked = await read_job_request(context, store, request)
    try:
        options = await run_in_threadpool(run_options, context, asked.options)
        if asked.webhook is not None:
            jobs.check_webhook(asked.webhook)
        known, conflict = await run_in_threadpool(jobs.known, caller, asked.digest, idempotency_key)
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
            reference = asked.reference(store)
            charge = access.take_reference(caller, reference)
            file_s = charge.seconds if charge and asked.path is not None else None

            def allow(seconds: float) -> None:
                nonlocal charge
                if charge is not None and file_s is None:
                    charge = access.take_more(charge, seconds)

            try:
                job = jobs.take_in(
                    caller,
                    reference,
                    asked.digest,
                    options,
                    newest=asked.options.newest,
                    idempotency_key=idempotency_key,
                    webhook=asked.webhook,
                    allow=allow,
                )
                asked.taken(store)
            except BaseException:
                access.settle(charge, 0.0)
                raise
            if charge is not None:
                access.bind(charge, job.id, jobs.expected_s(job, file_s))
            return jobs.view(job)

        return await run_in_threadpool(take_in), True
    finally:
        asked.close()


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
    items = context.service.items
    if form not in items.formats():
        raise ApiError(
            400,
            "invalid_value",
            f"There is no format {form[:40]}.",
            hint=f"Formats: {', '.join(items.formats())}.",
            param="format",
        )
    if wanted and wanted not in {item.id for item in view.items}:
        raise ApiError(404, "item_not_found", "The job has no such item.", param="item")
    chosen = [item for item in view.items if not wanted or item.id == wanted]
    if not chosen:
        raise ApiError(410, "gone", "The media of this job were removed.")
    if any(not _has_ended(item) for item in chosen) and not view.ended:
        return JSONResponse(_document(view), 202, headers=retry_after(POLL_AGAIN_S))
    if len(chosen) > 1 and form != "json":
        message = "The job has several items: name one of them."
        raise ApiError(400, "missing_required_parameter", message, param="item")
    readable = [item for item in chosen if item.state in ("done", "held")]
    if not readable:
        # Of a cancelled job, an item that is still under way belongs to another one.
        state = chosen[0].state if _has_ended(chosen[0]) else view.state
        raise ApiError(
            422,
            f"job_{state}",
            clean(chosen[0].error) or f"The job has ended as {state}.",
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
