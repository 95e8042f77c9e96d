"""The player in a browser: it stays in view while its page is scrolled, and keeps its marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kb.ui.i18n import text
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.library_pages import add_item
from tests.support.page_library import home as home  # a fixture


@pytest.mark.browser
@pytest.mark.slow
def test_the_player_stays_in_view_and_find_keeps_the_marks(home: Path, tmp_path: Path) -> None:
    browser.require_browser()
    item_id = add_item()
    with (
        dashboard(home, tmp_path / "server.log", KB_APP_WORKER="false") as address,
        browser.browser() as chromium,
    ):
        tab = chromium.new_page(viewport={"width": 1440, "height": 700})
        tab.set_default_timeout(browser.STEP_MS)
        tab.goto(f"{address}/?tab=Library&q=castle&item={item_id}")
        marks = tab.locator(".lines mark:not(.found, .this)", has_text="castle")
        marks.first.wait_for()
        before = marks.count()
        browser.enter(tab.get_by_label(text("player_find")), "granite")
        tab.locator("mark.this", has_text="granite").wait_for()
        assert marks.count() == before

        docked = tab.locator(".screen.docked")
        scroll = "(page, y) => page.scrollTo(0, y)"
        main = tab.locator('[data-testid="stMain"]')
        main.evaluate(scroll, 5000)
        tab.wait_for_timeout(300)
        assert not docked.count(), "a player that was not used is in the way"
        main.evaluate(scroll, 0)
        tab.locator("video").evaluate("video => { video.muted = true; return video.play(); }")
        main.evaluate(scroll, 5000)
        docked.wait_for()
        box = tab.locator("video").bounding_box()
        assert box and box["y"] > 0 and box["y"] + box["height"] < 700
        browser.click(tab.get_by_label(text("player_undock")))
        docked.wait_for(state="detached")
        assert tab.locator("video").evaluate("video => video.paused")


@pytest.mark.browser
@pytest.mark.slow
def test_lines_are_chosen_for_a_clip_by_a_click_and_a_click_with_shift(
    home: Path, tmp_path: Path
) -> None:
    browser.require_browser()
    item_id = add_item()
    with (
        dashboard(home, tmp_path / "server.log", KB_APP_WORKER="false") as address,
        browser.browser() as chromium,
    ):
        tab = chromium.new_page(viewport={"width": 1440, "height": 900})
        tab.set_default_timeout(browser.STEP_MS)
        tab.goto(f"{address}/?tab=Library&item={item_id}")
        tab.locator(".wave canvas").wait_for()
        lines = tab.locator(".lines li")
        lines.nth(1).click(position={"x": 5, "y": 5})
        lines.nth(3).click(position={"x": 5, "y": 5}, modifiers=["Shift"])
        tab.locator(".lines li.chosen").nth(2).wait_for()
        assert tab.locator(".lines li.chosen").count() == 3
        # A line above the first one: the choice goes from there.
        lines.nth(0).click(position={"x": 5, "y": 5}, modifiers=["Shift"])
        assert tab.locator(".lines li.chosen").first.text_content() == lines.nth(0).text_content()
