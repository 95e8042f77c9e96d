"""The list of items on the Activity tab: what it says of each, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.jobs.queue.heartbeat import Heartbeat
from kb.ui.i18n import text
from tests.support.library_pages import page, rows_of, run_page
from tests.support.page_library import queued


@pytest.mark.slow
def test_state_cause_next_try_channel_and_fitting_actions_are_shown(home: Path) -> None:
    service = queued(3)
    ids = [row.id for row in service.queue.page().rows]
    states = ("failed", "waiting", "paused")
    with service.queue.database.begin() as connection:
        error = {
            "error": "The harbour is closed.", "wait_until": 9e8, "attempts": 3,
            "failing_since": 8e8,
        }  # fmt: skip
        for item_id, state in zip(ids, states, strict=True):
            values = {"state": state, **(error if state == "failed" else {})}
            connection.execute(sa.update(items).where(items.c.id == item_id).values(**values))
    service.close()
    rows = {row["id"]: row for row in rows_of(page(tab="Activity"))}
    failed, waiting, paused = (rows[item_id] for item_id in ids)
    assert failed["note"].startswith("The harbour is closed. · next try ")
    assert (failed["tone"], waiting["tone"]) == ("bad", "")
    assert failed["channel"] == text("queue_local")
    # Only what changes something in this state is offered.
    assert failed["menu"] == ["details", "retry", "dismiss"]
    assert waiting["menu"] == ["details", "first", "pause", "retry", "cancel"]
    assert paused["menu"] == ["details", "first", "resume", "cancel"]


@pytest.mark.slow
def test_what_waits_for_its_turn_is_counted_and_listed_with_what_waits(home: Path) -> None:
    service = queued(3)
    ids = [row.id for row in service.queue.page().rows]
    here = {"state": "running", "executor": "gpu-1"}
    places = ({"stage": "fetch", "progress": 0.4}, {"stage": "fetch", "progress": 0.0}, None)
    with service.queue.database.begin() as connection:
        connection.execute(sa.update(items).values(source="youtube"))
        for item_id, place in zip(ids, places, strict=True):
            if place is not None:
                change = sa.update(items).where(items.c.id == item_id)
                connection.execute(change.values(**here, **place))
    settings = service.settings.replace(executor_id="gpu-1")
    beat = Heartbeat(settings, service.queue.database)
    beat.acquire()
    try:
        app = page(tab="Activity")
        labels = [each.content for each in app.button_group("queue_state").proto.options]
        assert {"All 3", "Running 1", "Waiting 2"} <= set(labels)
        states = {row["id"]: row["state"] for row in rows_of(app)}
        assert states[ids[1]] == f"… {text('state_turn')}"
        for choice, wanted in (("queue_running", ids[:1]), ("queue_waiting", ids[1:])):
            app.button_group("queue_state").set_value(choice)
            run_page(app)
            assert [row["id"] for row in rows_of(app)] == wanted
    finally:
        beat.release()
        service.close()


@pytest.mark.slow
def test_looks_and_listings_have_a_table_of_their_own(home: Path) -> None:
    service = queued(3)
    first = service.queue.page().rows[0].id
    with service.queue.database.begin() as connection:
        listing = {"source": "listing", "reference": "@steady0", "title": "Listing of @steady0"}
        connection.execute(sa.update(items).where(items.c.id == first).values(**listing))
    service.close()
    german = page(tab="Activity", lang="de")
    assert len(rows_of(german)) == 2
    labels = [each.content for each in german.button_group("queue_state").proto.options]
    assert "Alle 2" in labels and "Blicke 1" in labels
    assert any("Blicke und Auflistungen: 1" in each.value for each in german.markdown)
    app = page(tab="Activity")
    app.button_group("queue_state").set_value("queue_looks")
    run_page(app)
    assert [row["title"] for row in rows_of(app)] == ["Listing of @steady0"]
    app.button_group("language-switch").set_value("de")
    run_page(app)
    assert [row["title"] for row in rows_of(app)] == ["Liste von @steady0"]
