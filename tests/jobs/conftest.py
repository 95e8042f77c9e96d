"""Fixtures of the queue tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.database import Database
from kb.jobs.queue.items import ItemStore
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
