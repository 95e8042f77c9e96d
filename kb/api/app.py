"""The application of the API; the guard stands before all of its routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from kb import __version__
from kb.api import (
    errors,
    health,
    items,
    jobs,
    lists,
    metrics,
    models,
    products,
    questions,
    speech,
    transcriptions,
    vad,
)
from kb.api import uploads as upload_routes
from kb.api.context import ApiContext
from kb.api.guard import ApiGuard
from kb.errors import KBError
from kb.service import uploads

SWEEP_EVERY_S = 300.0

log = logging.getLogger(__name__)


async def _sweep_uploads(context: ApiContext) -> None:
    """Remove the files of jobs that have ended, again and again."""
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        try:
            await run_in_threadpool(uploads.sweep, context.service)
        except KBError as error:
            log.warning("Uploads cannot be swept: %s %s", error.message, error.hint)


def create_app(context: ApiContext, *, hosts: Sequence[str] = ()) -> FastAPI:
    """Return the application; its end closes the context.

    `hosts` are the names that it answers to; empty for any.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(_sweep_uploads(context))
        yield
        sweeping.cancel()
        context.close()

    # The pages of the documents load scripts from another site: only the document itself is here.
    app = FastAPI(
        title="KB Ingest", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
        responses=errors.RESPONSES,
    )  # fmt: skip
    errors.install(app)
    for part in (
        transcriptions, vad, speech, jobs, upload_routes, lists, items, products, questions,
        models, health,
    ):  # fmt: skip
        app.include_router(part.router(context))
    registry = metrics.registry_of(context)
    app.include_router(metrics.router(registry))
    settings = context.settings
    app.add_middleware(
        ApiGuard,
        keys=settings.api_key_texts,
        access=context.service.access,
        size_hint="Send a shorter or compressed recording, or raise KB_API_MAX_MB.",
        hosts=hosts,
        most_bytes=settings.api_max_bytes,
        most_upload_bytes=settings.upload_max_bytes,
        idle_s=settings.upload_idle_s,
    )
    app.add_middleware(metrics.RequestMetrics, registry=registry)  # before the guard: all requests
    return app
