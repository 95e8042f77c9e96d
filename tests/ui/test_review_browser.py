"""The review inbox in a browser: passages are heard, accepted, corrected and skipped with keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kb.service import Service
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.library_pages import HARBOUR, add_item, doubtful
from tests.support.page_library import home
from tests.support.waiting import until

__all__ = ["home"]
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


def test_doubtful_passages_are_decided_one_after_the_other_with_keys(
    home: Path, tmp_path: Path
) -> None:
    browser.require_browser()
    first = add_item(change=doubtful((4.0, 7.0), (20.0, 22.0), (40.0, 42.0)), covered_s=20.0)
    second = add_item(HARBOUR.parent / "Midnight on the railway.mp4", change=doubtful((2.0, 5.0)))
    server = dashboard(home, tmp_path / "log", KB_APP_WORKER="false")
    with server as address, browser.browser() as chromium:
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(browser.STEP_MS)
        browser.watch_player(tab)
        tab.goto(f"{address}/?tab=Review")
        at(tab, "0:04 – 0:07")
        assert browser.violations(tab) == []
        tab.get_by_title("Confidence 31").wait_for()
        # Space plays the passage with a little around it.
        tab.keyboard.press(" ")
        browser.wait_player_at(tab, 3.4, 8.0)

        # The focus stays on a button that is drawn again, and goes to Play with the next passage:
        # Space on the button of the decision would decide that one unheard.
        tab.locator(".tools button").nth(2).focus()
        tab.keyboard.press("Enter")
        assert focused(tab).startswith("1.5 ×")
        tab.get_by_role("button", name=re.compile(r"^Accept ?A$")).focus()
        tab.keyboard.press("Enter")
        at(tab, "0:20 – 0:50")  # the next one is played at once
        browser.wait_player_at(tab, 19.4, 50.6)
        until(lambda: re.match("Play|Pause", focused(tab)), "the focus on Play")
        tab.keyboard.press("e")
        lines = tab.locator(".lines textarea")
        lines.first.wait_for()
        browser.enter(lines.first, "Ahab was here")
        tab.keyboard.press("Escape")  # leaves the words as they were
        lines.first.wait_for(state="detached")
        tab.keyboard.press("b")
        at(tab, "0:04 – 0:07")
        tab.get_by_text("Accepted", exact=True).first.wait_for()
        tab.keyboard.press("n")
        at(tab, "0:20 – 0:50")
        tab.keyboard.press("e")
        browser.enter(lines.first, "Ahab was here")
        lines.first.press("Control+Enter")
        # The last passage of the first item: it is accepted, and the next item is shown.
        at(tab, "0:02 – 0:05")
        tab.get_by_text("the recording counts as done").first.wait_for()
        tab.keyboard.press("n")
        tab.get_by_text("You skipped the other passages").wait_for()
        browser.press(tab, "Start again")
        at(tab, "0:02 – 0:05")
        tab.get_by_role("button", name="Accept the whole recording").click()
        tab.get_by_text("Nothing to review").wait_for()

        # The open item has keys, too.
        tab.goto(f"{address}/?tab=Library&item={first}")
        tab.locator(".lines li").first.wait_for()
        browser.wait_page_ready(tab)
        tab.keyboard.press("l")
        browser.wait_player_at(tab, 10.0, 10.5)
        tab.keyboard.press("ArrowLeft")
        browser.wait_player_at(tab, 5.0, 5.5)
        tab.keyboard.press(">")
        tab.get_by_role("button", name="Speed: 1.25 ×").focus()
        tab.keyboard.press("Enter")
        assert focused(tab) == "1.5 ×"
        tab.keyboard.press("?")
        tab.get_by_text("find in the transcript").wait_for()
        assert browser.violations(tab) == []
        tab.keyboard.press("/")
        tab.keyboard.type("j?")  # letters in the field, no keys
        assert tab.get_by_placeholder("Find in the transcript").input_value() == "j?"
    service = Service()
    assert [service.items.entry(each).accepted for each in (first, second)] == [True, True]
    assert "Ahab was here" in service.items.transcript(first).text
    assert len(service.items.transcript(first).revisions) == 1
    service.close()


def focused(tab: Any) -> str:
    """Return the text of the element of a component that has the focus."""
    return str(
        tab.evaluate("() => document.activeElement.shadowRoot?.activeElement?.innerText ?? ''")
    ).replace("\n", " ")


def at(tab: Any, span: str) -> None:
    """Wait until the passage with these times is shown."""
    tab.get_by_text(span).first.wait_for()
