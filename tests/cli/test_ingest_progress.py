"""The bars of `kb ingest --wait`: items that wait for their model, and its fetch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kb.cli.output.progress import fetch_line, ingest_progress, print_steps
from kb.cli.output.times import with_next_try
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


HUB_AWAY = "The hub https://hub cannot be reached."
WAITS = {
    "without a reason": ([("", None)], ["waiting  Talk"]),
    "with a reason": ([(HUB_AWAY, None)], [f"waiting  Talk: {HUB_AWAY}"]),
    "the same again": ([(HUB_AWAY, None)] * 2, [f"waiting  Talk: {HUB_AWAY}"]),
    "with a next try": (
        [(HUB_AWAY, 1e9)],
        [f"waiting  Talk: {with_next_try(HUB_AWAY, 1e9)}"],
    ),
    "another reason": (
        [("The model m is being fetched.", None), (HUB_AWAY, None)],
        ["waiting  Talk: The model m is being fetched.", f"waiting  Talk: {HUB_AWAY}"],
    ),
}


@pytest.mark.parametrize(("reasons", "lines"), WAITS.values(), ids=WAITS)
def test_an_item_that_waits_names_each_reason_once(
    capsys: pytest.CaptureFixture[str],
    reasons: list[tuple[str, float | None]],
    lines: list[str],
) -> None:
    with ingest_progress(1, shown=False) as (listen, _):
        for error, until in reasons:
            listen(status("running"))
            listen(replace(status("waiting"), error=error, wait_until=until))
    assert [line.strip() for line in capsys.readouterr().err.splitlines() if line.strip()] == lines


def test_the_next_step_is_named_once_for_all_items_that_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    step = "Connect to the network once to fetch it."
    with ingest_progress(2, shown=False) as (listen, _):
        for item_id in ("file:one", "file:two"):
            listen(replace(status("waiting"), id=item_id, error=HUB_AWAY, hint=step))
    lines = [line.strip() for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert lines == [f"waiting  Talk: {HUB_AWAY}", f"→ {step}", f"waiting  Talk: {HUB_AWAY}"]


STEPS = {
    "one": ({"meaning": 1}, "Waiting for the step meaning of 1 item"),
    "two": (
        {"speakers": 1, "meaning": 3},
        "Waiting for the steps meaning of 3 items, speakers of 1 item",
    ),
}


@pytest.mark.parametrize(("counts", "line"), STEPS.values(), ids=STEPS)
def test_steps_that_are_waited_for_are_counted(
    capsys: pytest.CaptureFixture[str], counts: dict[str, int], line: str
) -> None:
    print_steps(counts)
    assert capsys.readouterr().err.strip() == line


def test_a_failed_fetch_is_a_try_that_failed() -> None:
    assert "failed" in fetch_line(replace(FETCH, state="failed"))
    assert fetch_line(replace(FETCH, state="failed")).startswith("Model some/model: the last try")
