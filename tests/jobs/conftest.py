"""Fixtures of the queue tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.database import Database
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.jobs.queue import heartbeat
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.items import ItemStore
from kb.jobs.worker.context import WorkerContext
from kb.library import Library
from kb.settings import Settings
from tests.support.outbox import jobs
from tests.support.page_library import home

__all__ = ["home", "jobs"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    opened = Database.open(Settings(home=tmp_path / "home"))
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> ItemStore:
    """The rows of an empty queue."""
    return ItemStore(database)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[WorkerContext]:
    """Yield the context of a worker named `me` without threads."""
    settings = Settings(home=tmp_path / "home", executor_id="me")
    library = Library(settings.home)
    library.prepare()
    database = Database.open(settings)
    client = DbosClient(database)
    beat = heartbeat.Heartbeat(settings, database)
    beat.acquire()
    process = InferenceProcess(settings, 1)
    yield WorkerContext(
        settings=settings,
        library=library,
        items=ItemStore(database),
        client=client,
        inference_process=process,
        inference_session=InferenceSession(settings),
        heartbeat=beat,
        preparations=AdjustableSemaphore(1),
    )
    beat.release()
    process.close()
    client.close()
    database.close()
