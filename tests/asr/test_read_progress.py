"""The progress of a medium: decoded windows count in whatever order they are decoded."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from kb.asr import read_progress
from kb.asr.read_progress import ReadProgress


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_progress, "EVERY_S", 0.0)


def ten_windows(progress: ReadProgress) -> list[Future[Any]]:
    """Add ten windows of 20 s, the first of which is not decoded before the others."""
    windows: list[Future[Any]] = [Future() for _ in range(10)]
    for number, window in enumerate(windows):
        progress.add(window, 20.0 * (number + 1))
    return windows


def test_a_window_that_waits_does_not_hide_those_behind_it() -> None:
    shares: list[float] = []
    progress = ReadProgress(shares.append, 200.0)
    windows = ten_windows(progress)
    for window in windows[1:]:
        window.set_result(None)
        progress.update()
    assert shares == pytest.approx([number / 10 for number in range(1, 10)])
    windows[0].set_result(None)
    progress.update()
    progress.update()
    progress.end()
    assert shares[9:] == [1.0, 1.0]


def test_pauses_between_windows_count_with_the_window_behind_them() -> None:
    shares: list[float] = []
    progress = ReadProgress(shares.append, 100.0)
    for end_s in (10.0, 90.0):
        done: Future[Any] = Future()
        done.set_result(None)
        progress.add(done, end_s)
    assert shares == pytest.approx([0.1, 0.9])


def test_a_medium_of_unknown_length_reports_only_its_end() -> None:
    shares: list[float] = []
    progress = ReadProgress(shares.append, None)
    for window in ten_windows(progress):
        window.set_result(None)
    progress.update()
    assert shares == []
    progress.end()
    assert shares == [1.0]
    ReadProgress(None, 10.0).end()


def test_reports_have_a_pause_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_progress, "EVERY_S", 3600.0)
    shares: list[float] = []
    progress = ReadProgress(shares.append, 200.0)
    for window in ten_windows(progress):
        window.set_result(None)
        progress.update()
    assert len(shares) <= 1
