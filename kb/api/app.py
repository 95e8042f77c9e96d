"""The application of the API; the guard stands before all of its routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kb import __version__
from kb.api import errors, health, models, transcriptions
from kb.api.context import ApiContext
from kb.api.guard import ApiGuard


def create_app(context: ApiContext, *, hosts: Sequence[str] = ()) -> FastAPI:
    """Return the application; its end closes the context.

    `hosts` are the names that it answers to; empty for any.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        context.close()

    # The pages of the documents load scripts from another site: only the document itself is here.
    app = FastAPI(
        title="KB Ingest", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    errors.install(app)
    for part in (transcriptions, models, health):
        app.include_router(part.router(context))
    settings = context.settings
    app.add_middleware(
        ApiGuard,
        keys=settings.api_key_texts,
        hosts=hosts,
        most_bytes=settings.api_max_bytes,
        idle_s=settings.upload_idle_s,
    )
    return app
