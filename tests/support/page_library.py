"""A library folder with items for the page tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.options import RunOptions
from kb.service import Service
from kb.service.throughput_meter import throughput_meter
from kb.service.worker_supervisor import worker_supervisor
from kb.settings import get_settings
from tests.support.library_pages import HARBOUR, run_page

SAMPLES = HARBOUR.parent


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an empty library, and clear the caches that other tests filled; yield its folder."""
    for name, value in {
        "KB_HOME": str(tmp_path / "library"),
        "KB_MODEL": "demo",
        "KB_SINKS": "local",
        "KB_APP_WORKER": "false",
    }.items():
        monkeypatch.setenv(name, value)
    for cached in (get_settings, worker_supervisor, throughput_meter):
        cached.cache_clear()
    yield tmp_path / "library"
    for cached in (get_settings, worker_supervisor, throughput_meter):
        cached.cache_clear()


def name(app: AppTest, *references: str) -> AppTest:
    """Enter references in the sources field and run the page."""
    app.text_area("sources").input("\n".join(references))
    return run_page(app)


def queued(count: int = 0) -> Service:
    """Queue the samples in a library without a worker; return its service."""
    service = Service()
    paths = sorted(SAMPLES.glob("*.mp4"))[: count or None]
    service.ingest.run([str(path) for path in paths], RunOptions())
    return service
