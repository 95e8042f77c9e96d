"""An empty local index."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.settings import Settings
from kb.sinks.local.sink import LocalSink


@pytest.fixture
def local(tmp_path: Path) -> LocalSink:
    return LocalSink(Settings(home=tmp_path))
