"""The rows that `kb status` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kb.cli.commands.status import ROWS_SHOWN
from kb.cli.main import run
from kb.service import Service
from kb.types import MediaItem


@pytest.mark.slow
def test_status_is_bounded_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Without the records of fetches that other tests left, which the status names.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    service = Service()
    items = [
        MediaItem(f"web:x:{n}", "web", "https://x.example", f"Talk {n}", "") for n in range(60)
    ]
    service.queue.items.submit(items, {}, lambda *_arguments: None)
    service.close()
    assert run(["status"]) == 0
    printed = capsys.readouterr()
    assert "60 queued" in printed.out and len(printed.out.splitlines()) < 5
    assert "kb status --all" in printed.err
    for arguments, shown in (
        (["--all"], 60), (["--limit", "3"], 3), (["--state", "queued"], ROWS_SHOWN),
    ):  # fmt: skip
        assert run(["status", *arguments]) == 0
        printed = capsys.readouterr()
        assert printed.out.count("web:x:") == shown
    assert f"newest {ROWS_SHOWN} of 60" in printed.err
    assert run(["status", "--state", "failed"]) == 0
    printed = capsys.readouterr()
    assert "No item is failed" in printed.err and "Begin with" not in printed.err
    assert run(["status", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["items"]) == 60
