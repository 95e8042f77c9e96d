"""The list of rows in a browser: window by window, selection, keys, menu, sorting, links, axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import browser
from tests.support.app_server import dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_ten_thousand_rows_with_keys_menu_and_selection(tmp_path: Path) -> None:
    browser.require_browser()
    page = dashboard(tmp_path / "home", tmp_path / "log", script="tests/support/rows_page.py")
    with page as address, browser.browser() as chromium:
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(browser.STEP_MS)
        tab.goto(address)
        shows(tab, "selected: 0")
        titled(tab, "Talk 1 on")
        assert browser.violations(tab) == []
        # Thousands of rows are not thousands of elements.
        assert tab.get_by_role("row").count() < 60
        assert tab.get_by_role("grid").get_attribute("aria-rowcount") == "10001"

        # Selection: a box, then the rows between with Shift
        tab.get_by_role("checkbox", name="Select: Talk 2 on").click()
        shows(tab, "selected: 1 id-2")
        tab.get_by_role("checkbox", name="Select: Talk 5 on").click(modifiers=["Shift"])
        shows(tab, "selected: 4 id-2 id-3 id-4 id-5")

        # The menu has what fits the row, and gives the focus back to it
        tab.get_by_role("button", name="Actions: Talk 1 on").click()
        assert tab.get_by_role("menuitem").all_inner_texts() == ["Open", "Retry"]
        tab.get_by_role("menuitem", name="Retry").click()
        shows(tab, "last: retry id-1")
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        shows(tab, "last: open id-2")

        # Keys: the last row is fetched when it comes into view, and the selection stays
        tab.keyboard.press("End")
        titled(tab, "Talk 9999 on")
        tab.keyboard.press("Space")
        shows(tab, "selected: 5 id-2")
        tab.keyboard.press(".")
        tab.get_by_role("menuitem", name="Cancel").wait_for()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        shows(tab, "last: cancel id-9999")
        tab.keyboard.press("Escape")
        shows(tab, "selected: 0")

        # A heading sorts, from the first row on
        tab.get_by_role("button", name="Title ↑").click()
        shows(tab, "last: sort title")
        titled(tab, "Talk 9998 on")
        assert tab.get_by_role("link", name="address").first.get_attribute("href") == (
            "https://example.org/9999"
        )

        # The focus stays on a heading that is drawn again
        assert focused(tab) == "Title ↓"

        # It goes with a row that moves, in a list with other columns
        go_to(tab, "Talk 9994 on")
        tab.keyboard.press(".")
        tab.get_by_role("menuitem", name="Start next").wait_for()
        tab.keyboard.press("End")
        tab.keyboard.press("Enter")
        shows(tab, "last: first id-9994")
        tab.get_by_role("columnheader", name="More").wait_for()
        assert tab.get_by_role("row").nth(1).inner_text().startswith("Talk 9994 on")
        assert focused(tab).startswith("Talk 9994 on")
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        shows(tab, "last: open id-9999")

        # A narrow list has rows of two lines, without a heading
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.locator(".head").wait_for(state="hidden")
        box = tab.get_by_role("row").nth(1).bounding_box()
        assert box is not None
        assert box["height"] > 60
        assert box["x"] + box["width"] <= 390


def focused(tab: Any) -> str:
    """Return the text of the element of the list that has the focus."""
    return str(
        tab.evaluate(
            "() => document.activeElement.shadowRoot?.activeElement?.innerText.trim() ?? ''"
        )
    )


def go_to(tab: Any, words: str) -> None:
    """Go down from the first row to the row of these words."""
    tab.get_by_role("row").nth(1).focus()
    for _ in range(20):
        if focused(tab).startswith(words):
            return
        tab.keyboard.press("ArrowDown")
    raise AssertionError(f"No row {words!r}: {focused(tab)!r}")


def titled(tab: Any, words: str) -> None:
    """Wait until a row has this title."""
    tab.locator(".title button", has_text=words).first.wait_for()


def shows(tab: Any, words: str) -> None:
    """Wait until the page says so."""
    tab.get_by_text(words).first.wait_for()
