"""The table of the Queue tab: what is read first is visible in a small window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from kb.database import items
from kb.ui.tabs.queue.table import ROW_PX, TALL_ROW_PX
from tests.support.library_pages import page, run_page
from tests.support.page_library import queued

FIRST = ["title", "state", "next", "error"]
# A window's pixels without the sidebar, the borders of the page and the column of the ticks.
ROOM_PX = {900: 900 - 250 - 2 * 16 - 33, 1280: 1280 - 250 - 2 * 40 - 33}


@pytest.mark.slow
def test_state_cause_and_next_try_are_within_a_small_window(home: Path) -> None:
    service = queued(3)
    ids = [row.id for row in service.queue.page().rows]
    with service.queue.database.begin() as connection:
        error = {
            "error": "The harbour is closed, " * 9, "wait_until": 9e8, "attempts": 3,
            "failing_since": 8e8,
        }  # fmt: skip
        for item_id, state in zip(ids, ("failed", "waiting", "queued"), strict=True):
            values = {"state": state, **(error if state == "failed" else {})}
            connection.execute(sa.update(items).where(items.c.id == item_id).values(**values))
    service.close()
    for choice, row_px in (
        ("queue_all", ROW_PX), ("queue_failed", TALL_ROW_PX), ("queue_waiting", ROW_PX),
    ):  # fmt: skip
        app = page(tab="Activity")
        app.button_group("queue_state").set_value(choice)
        table = run_page(app).dataframe[0]
        widths = {name: each["width"] for name, each in json.loads(table.proto.columns).items()
                  if "width" in each}  # fmt: skip
        names = list(table.value.columns)
        if choice == "queue_failed":  # all are failed; their tries take the room of the state
            assert names == ["title", "next", "error", "tries"]
            assert sum(widths.values()) <= ROOM_PX[900]
            (tries,) = table.value["tries"]
            assert tries.startswith("3 tries · tried ") and " · first failure " in tries
            assert " · last try " in tries
        else:
            # A column that is empty takes no room: nothing is wrong with what waits.
            assert names[:4] == FIRST if choice == "queue_all" else "error" not in names
        assert sum(widths[name] for name in names[:4]) <= ROOM_PX[900]
        assert sum(widths[name] for name in names) <= ROOM_PX[1280]
        assert table.proto.row_height == row_px
        # What has ended has neither stage nor progress.
        assert ("progress" in names) is (choice != "queue_failed")


@pytest.mark.slow
def test_looks_and_listings_have_a_table_of_their_own(home: Path) -> None:
    service = queued(3)
    first = service.queue.page().rows[0].id
    with service.queue.database.begin() as connection:
        listing = {"source": "listing", "reference": "@steady0", "title": "Listing of @steady0"}
        connection.execute(sa.update(items).where(items.c.id == first).values(**listing))
    service.close()
    german = page(tab="Activity", lang="de")
    assert len(german.dataframe[0].value) == 2
    labels = [each.content for each in german.button_group("queue_state").proto.options]
    assert "Alle 2" in labels and "Blicke 1" in labels
    assert any("Blicke und Auflistungen: 1" in each.value for each in german.markdown)
    app = page(tab="Activity")
    app.button_group("queue_state").set_value("queue_looks")
    run_page(app)
    assert list(app.dataframe[0].value["title"]) == ["Listing of @steady0"]
    app.button_group("language-switch").set_value("de")
    run_page(app)
    assert list(app.dataframe[0].value["title"]) == ["Liste von @steady0"]
