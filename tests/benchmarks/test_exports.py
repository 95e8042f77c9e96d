"""The benchmark of exports has every format, and a ZIP of all items."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import exports
from kb.transcript import FORMATS

pytestmark = pytest.mark.slow


def test_every_format_has_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert exports.formats(exports.make_transcript(5), 5)
    exports.zip_of_library(tmp_path, 10)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = {line["figure"] for line in lines}
    assert {f"{name}: 5 segments" for name in FORMATS} <= names
    (documents,) = (line for line in lines if line["figure"] == "ZIP: documents")
    assert (documents["value"], documents["met"]) == (30, True)
