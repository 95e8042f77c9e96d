"""The bars of `kb ingest --wait`: items that wait for their model, and its fetch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.cli.output.progress import ingest_progress
from kb.hub.fetch_state import FetchState
from kb.service import ItemStatus

FETCH = FetchState("some/model", "https://hub", "/cache", "fetching", 60_000_000, 6_000_000, 1e6)


def status(state: str) -> ItemStatus:
    return ItemStatus("file:one", "Talk", "transcribe", state)


def test_an_item_that_waits_is_not_done_and_its_fetch_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ingest_progress(1, shown=False) as (listen, display):
        for state in ("queued", "running", "waiting"):
            listen(status(state))
        display.show_all([FETCH])
        display.show_all([replace(FETCH, done=9_000_000)])
        listen(status("waiting"))
        display.show_all([replace(FETCH, state="paused")])
        display.show_all([])
        listen(status("running"))
        listen(status("done"))
    lines = [line.strip() for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert [line.split()[0] for line in lines] == ["waiting", "Fetching", "done"]
    assert "54 MB of 60 MB" in lines[1]
