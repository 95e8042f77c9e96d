"""Runs as cards, and following from the Add tab: what is said of a time, and what is offered."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from kb.service.notation import VideoFilters
from kb.ui.tabs.ingest.follow_here import filters_for
from kb.ui.tabs.queue import acts
from kb.ui.tabs.queue.run_cards import range_text
from tests.support.library_pages import page, run_page
from tests.support.page_library import queued


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [
        (0.0, 3.0, "under 5 s"),
        (2.0, 8.0, "under 10 s"),
        (6.0, 9.0, "5–10 s"),
        (41.0, 58.0, "40–60 s"),
        (40.0, 88.0, "40–90 s"),
        (50.0, 130.0, "1–3 min"),
        (61.0, 119.0, "1–2 min"),
        (3700.0, 7300.0, "1–3 h"),
        (1000.0, 5300.0, "16–89 min"),
        (100_000.0, 250_000.0, "1–3 days"),
    ],
)
def test_a_range_of_time_has_one_unit(low: float, high: float, shown: str) -> None:
    assert range_text(low, high) == shown


@pytest.mark.parametrize(
    ("states", "offered"),
    [
        ({"running"}, ("pause", "cancel")),
        ({"queued"}, ("first", "pause", "cancel")),
        ({"paused"}, ("first", "resume", "cancel")),
        ({"failed"}, ("retry", "dismiss")),
        ({"dismissed"}, ("retry", "undismiss")),
        ({"cancelled"}, ("retry",)),
        ({"done"}, ()),
        ({"held"}, ()),
        ({"paused", "failed"}, ("first", "resume", "retry", "cancel", "dismiss")),
    ],
)
def test_only_actions_that_change_something_are_offered(
    states: set[str], offered: tuple[str, ...]
) -> None:
    assert acts.fitting(states) == offered


def test_what_stops_work_on_several_items_is_asked_about_and_can_be_undone() -> None:
    for name in ("cancel", "dismiss"):
        assert acts.ACTS[name].asks and acts.ACTS[name].undo is not None


@pytest.mark.slow
def test_all_items_and_those_of_a_run_are_cancelled_after_a_question_and_restored(
    home: Path,
) -> None:
    service = queued()
    app = page(tab="Activity")
    (run,) = service.queue.list_runs()
    for key in ("queue-cancel-all", f"run-cancel-{run.id}"):
        app.button(key).click()
        run_page(app)
        assert service.queue.counts()["queued"] == 3
        app.button(f"{key}-yes").click()
        run_page(app)
        assert service.queue.counts()["cancelled"] == 3
        app.button("queue-undo-button").click()
        run_page(app)
        assert service.queue.counts()["queued"] == 3
    service.close()


def test_how_much_of_a_back_catalogue_is_taken_in() -> None:
    given = VideoFilters(title="harbour")
    assert filters_for(given, "all", 0) == given
    assert filters_for(given, "newest", 7) == VideoFilters(title="harbour", limit=7)
    today = date.today().isoformat()
    assert filters_for(given, "none", 0) == VideoFilters(title="harbour", after=today)
