"""The plan before a run: a disk that is too small and a run of days are asked about."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gpu.devices import Device
from gpu.throughput import BatchSpeed, Calibration
from kb.jobs.queue.telemetry import write_calibration
from kb.service import Service
from kb.settings import get_settings
from kb.sources.listing.scan import disk_shortage, media_bytes
from kb.ui.i18n import text
from kb.ui.tabs.ingest import tab
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.items import item
from tests.support.keys import fake_key
from tests.support.library_pages import page, page_text, run_page
from tests.support.page_library import home as home  # a fixture
from tests.support.page_library import name

Usage = namedtuple("Usage", "total used free")


def until(app: AppTest, pattern: str) -> str:
    """Run the page until its text has the pattern; return the text."""
    ends = time.monotonic() + 90
    while not re.search(pattern, said := page_text(app)):
        assert time.monotonic() < ends, said
        time.sleep(0.05)
        run_page(app)
    return said


def free_bytes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, count))


@pytest.fixture
def talks(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page with a channel of 60 talks of ten minutes, 576 MB of sound."""
    key = fake_key("d")
    channel = Channel("UC" + "x" * 22, "@talks", 60, duration="PT10M")
    with FakeYouTube([channel], quota={key: 1000}) as fake:
        monkeypatch.setenv("YT_API_ENDPOINT", fake.url)
        monkeypatch.setenv("YT_API_KEYS", key)
        get_settings.cache_clear()
        yield page(tab="Add")


def confirm(app: AppTest) -> str:
    """Tick the one question of the plan, which the button waits for; return its text."""
    assert app.button("start").disabled
    (box,) = [box for box in app.checkbox if box.key.startswith("plan_confirm")]
    box.check()
    run_page(app)
    assert not app.button("start").disabled
    return str(box.label)


@pytest.mark.parametrize("free", [0, 40_000_000])
def test_a_run_that_does_not_fit_the_disk_is_asked_about(
    talks: AppTest, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    free_bytes(monkeypatch, free)
    name(talks, "@talks")
    assert "The disk is too small" in until(talks, "60 new of 60")
    assert confirm(talks) == text("plan_confirm_disk")


def test_a_run_that_fits_is_not_asked_about(talks: AppTest) -> None:
    name(talks, "@talks")
    assert "too small" not in until(talks, "60 new of 60")
    assert not talks.button("start").disabled
    assert not [box for box in talks.checkbox if box.key.startswith("plan_confirm")]


def test_a_run_of_days_is_asked_about(talks: AppTest) -> None:
    service = Service()
    measured = Calibration(
        time.time(), socket.gethostname(), Device("cpu", "CPU", "A Processor", "float32"),
        "whisper", "demo", 2, 2, {}, 27.0, 400.0, 400.0, (BatchSpeed(4, 1.0, 1.0, 0.0, 0.2),),
    )  # fmt: skip
    service.library.prepare()
    write_calibration(service.queue.database, measured)
    name(talks, "@talks")
    until(talks, "60 new of 60")
    assert re.search(r"2\.\d days", confirm(talks))


def test_a_run_of_days_of_audio_is_asked_about_where_the_speed_is_unknown(
    talks: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes(monkeypatch, 10**12)
    monkeypatch.setattr(tab, "LONG_RUN_S", 35_000.0)  # the talks have 36,000 s
    name(talks, "@talks")
    until(talks, "60 new of 60")
    assert confirm(talks) == text("plan_confirm_unknown", length="10 h")


@pytest.mark.skipif(sys.platform != "linux", reason="another disk: /proc")
def test_local_files_on_the_disk_of_the_library_need_no_space(tmp_path: Path) -> None:
    near = replace(item(1), extra={"path": str(tmp_path / "a.wav"), "size": 5_000})
    far = replace(item(2), extra={"path": "/proc/self/status", "size": 7_000})
    online = replace(item(3), source="youtube", duration_s=10.0)
    home = tmp_path / "not there" / "library"
    assert media_bytes([near], "audio", home) == 0
    assert media_bytes([near, far, online], "audio", home) == 7_000 + 160_000
    assert media_bytes([online], "mp4", home) == 3_125_000


@pytest.mark.parametrize(
    ("needed", "free", "short"), [(0, 0, False), (1, 0, True), (9, 9, False), (9, None, False)]
)
def test_a_shortage(needed: int, free: int | None, short: bool) -> None:
    assert (disk_shortage(needed, free) is not None) == short
