"""The version of yt-dlp that a process runs, and the one that is installed since."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from kb.database import Database, workers
from kb.jobs.queue.heartbeat import Heartbeat, list_workers
from kb.jobs.worker import chores
from kb.jobs.worker.context import WorkerContext
from kb.service.health_sources import check_sources
from kb.settings import Settings
from kb.sources.ytdlp.version import as_written, comparable, installed_version, newer_version
from tests.support.live_worker import lasting_signs

__all__ = ["lasting_signs"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that installs a version of yt-dlp over the present one, as pip does."""

    def install_version(text: str) -> None:
        info = tmp_path / "site" / f"yt_dlp-{text}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: yt-dlp\nVersion: {text}\n")
        monkeypatch.syspath_prepend(info.parent)

    return install_version


@pytest.mark.parametrize(
    ("running", "installed", "newer"),
    [
        ("2026.9.30", "2026.10.2", "2026.10.2"),
        ("2026.10.2", "2026.9.30", ""),
        ("2026.10.2", "2026.10.2", ""),
        ("2026.10.2", "2026.10.2.1", "2026.10.2.1"),
        ("2026.9.5", "2026.9.12", "2026.9.12"),
        ("2026.9.5", "2026.9.5.dev0", "2026.9.5.dev0"),
        ("", "2026.9.5", ""),
    ],
)
def test_a_newer_version(
    install: Callable[[str], None], running: str, installed: str, newer: str
) -> None:
    install(installed)
    assert newer_version(comparable(running) if running else "") == newer
    assert as_written(comparable(running)) == running or not running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(KB_HOME=tmp_path / "home", KB_EXECUTOR_ID="one")


@pytest.fixture
def database(settings: Settings, lasting_signs: None) -> Iterator[Database]:
    opened = Database.open(settings)
    Heartbeat(settings, opened).acquire()
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, True),
        ({"ended_at": 1.0}, False),
        ({"seen_at": 1.0}, False),
        ({"host": "elsewhere"}, False),
        ({"facts": None}, False),
        ({"facts": {"ytdlp": ""}}, False),
        ({"facts": {"ytdlp": "9999.0001.0001"}}, False),
    ],
)
def test_the_doctor_names_a_worker_with_an_older_version(
    database: Database,
    settings: Settings,
    install: Callable[[str], None],
    changes: dict[str, object],
    warned: bool,
) -> None:
    (worker,) = list_workers(database)
    assert (worker.ytdlp, worker.pid) == (installed_version(), os.getpid())
    if changes:
        with database.begin() as connection:
            connection.execute(sa.update(workers).values(**changes))
    assert not [each for each in check_sources(settings, database) if "runs" in each.detail]
    install("9000.1.2")
    found = [each for each in check_sources(settings, database) if "worker one runs" in each.detail]
    assert bool(found) == warned
    for each in found:
        assert each.state == "warn" and "9000.1.2" in each.detail and "kb worker" in each.fix


def test_a_running_worker_says_that_it_needs_a_restart(
    install: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    class Context:
        executor = "one"

    context = cast(WorkerContext, Context())
    caplog.set_level(logging.WARNING)
    chores.notice_update(context)
    assert not caplog.records
    install("9000.1.2")
    chores.notice_update(context)
    assert "9000.1.2" in caplog.text and as_written(installed_version()) in caplog.text
