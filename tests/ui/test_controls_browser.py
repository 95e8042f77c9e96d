"""Controls of Ingest, Queue and the sidebar in a browser: filters, pages, find, language."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kb.ui.i18n import MESSAGES, text
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.browser import click, enter
from tests.support.keys import fake_key

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

TALKS, SHORTS = 240, 7


@pytest.mark.long
def test_filters_pages_find_and_language(tmp_path: Path) -> None:
    browser.require_browser()
    key = fake_key("c")
    channel = Channel(
        "UC" + "c" * 22, "@talks", TALKS, "Harbour talks", shorts=frozenset(range(10, 10 + SHORTS))
    )
    with (
        FakeYouTube([channel], quota={key: 10_000}) as fake,
        dashboard(
            tmp_path / "library", tmp_path / "log", KB_APP_WORKER="false",
            YT_API_ENDPOINT=fake.url, YT_API_KEYS=key,
        ) as address,
        browser.browser() as chromium,
    ):  # fmt: skip
        tab = chromium.new_page(viewport={"width": 1440, "height": 1400})
        tab.set_default_timeout(browser.STEP_MS)
        tab.goto(f"{address}/?tab=Add")
        named = tab.get_by_role("textbox", name=text("paths"))
        enter(named, "@talks", "Control+Enter")
        planned(tab, TALKS)

        # Filters narrow the plan, and clearing them widens it again
        click(tab.locator(".st-key-filters").get_by_text(text("filters"), exact=True))
        title = tab.locator(".st-key-filter_title input")
        enter(title, r"Talk \d on", "Enter")
        planned(tab, 10)
        enter(title, "", "Enter")
        planned(tab, TALKS)
        click(tab.get_by_text(text("filter_no_shorts"), exact=True))
        planned(tab, TALKS - SHORTS)

        # A changed preset value and a metadata field of this run are stored with each item
        click(tab.locator(".st-key-how summary").first)
        click(tab.get_by_text(text("preset_adjust"), exact=True))
        batch = tab.get_by_label(text("option_batch_size"), exact=True)
        enter(batch, "3", "Enter")
        own = tab.get_by_label(text("option_metadata"), exact=True)
        enter(own, "team=research", "Enter")

        # All items are queued and shown in pages; a run of days is asked about
        click(tab.locator('[class*="st-key-plan_confirm"] label'))
        click(tab.get_by_role("button", name=f"Ingest {TALKS - SHORTS} recordings"))
        tab.get_by_role("tab", name=text("tab_activity"), selected=True).wait_for()
        shown(tab, TALKS - SHORTS)
        with closing(sqlite3.connect(tmp_path / "library" / "kb.sqlite")) as catalogue:
            rows = catalogue.execute("SELECT DISTINCT options FROM kb_items").fetchall()
        (options,) = (json.loads(row) for (row,) in rows)
        assert (options["batch_size"], options["chunk_s"]) == (3, None)
        assert options["metadata"] == {"team": "research"}
        # The last row is fetched when it comes into view
        grid = tab.get_by_role("grid", name=text("queue_alt"))
        grid.get_by_role("row").nth(1).focus()
        tab.keyboard.press("End")
        grid.locator(f'[aria-rowindex="{TALKS - SHORTS + 1}"] .title button').wait_for()

        # Find by title
        find = tab.get_by_placeholder(text("queue_find_placeholder"))
        enter(find, "Talk 123 on")
        shown(tab, 1)
        enter(find, "no such talk")
        tab.get_by_text(text("queue_none"), exact=True).wait_for()

        # Switch the language and switch it back
        click(tab.get_by_test_id("stExpandSidebarButton"))
        click(tab.get_by_role("radio", name="Deutsch", exact=True))
        tab.get_by_role("tab", name=MESSAGES["de"]["tab_activity"], selected=True).wait_for()
        click(tab.get_by_role("radio", name="English", exact=True))
        tab.get_by_role("tab", name=MESSAGES["en"]["tab_activity"], selected=True).wait_for()
        assert not tab.locator('[data-testid="stException"]').count()


def planned(tab: Any, count: int) -> None:
    """Wait until the plan line shows `count` items, all of them new."""
    plan = tab.locator(".st-key-ingest-plan")
    plan.get_by_text(re.compile(rf"^{count} new of {count}\b")).wait_for()


def shown(tab: Any, count: int) -> None:
    """Wait until the list has so many rows."""
    tab.locator(f'[role="grid"][aria-rowcount="{count + 1}"]').wait_for()
