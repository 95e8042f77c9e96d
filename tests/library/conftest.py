"""An empty library, and a medium for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.library import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "home")


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    path = tmp_path / "recording.MP4"
    path.write_bytes(b"sound" * 1000)
    return path
