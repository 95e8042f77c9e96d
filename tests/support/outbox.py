"""A queue with pending publications."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.outbox_states import OutboxEntry
from kb.library import Library
from kb.settings import Settings

IDS = [f"youtube:{n:011d}" for n in range(12)]


LATER_S = 3600.0


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobQueue]:
    settings = Settings(KB_HOME=str(tmp_path / "home"))
    made = JobQueue(settings, Library(settings.home))
    yield made
    made.close()


def serial_of(jobs: JobQueue, item_id: str) -> int:
    (row,) = jobs.outbox.for_items([item_id])[item_id]
    return row.serial


def claim(jobs: JobQueue, item_id: str) -> OutboxEntry:
    """Claim a row as its workflow does in a worker."""
    found = jobs.outbox.claim("odin", item_id, serial_of(jobs, item_id))
    assert found is not None
    return found


def status(jobs: JobQueue, item_id: str) -> str:
    (row,) = jobs.outbox.for_items([item_id])[item_id]
    return row.status
