"""Parts of the page that a visitor has left: the browser keeps nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.library_pages import HARBOUR, add_item, doubtful
from tests.support.page_library import home as home  # a fixture

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

VISITS = 3
LEFT = """function() {
  let count = 0;
  for (const element of this) {
    try { count += !element.isConnected && element.matches(".lines, .zone, .acts"); } catch {}
  }
  return count;
}"""


def kept(tab: Any, session: Any) -> tuple[int, int]:
    """Return how many listeners the document has, and how many left parts are in memory."""
    session.send("HeapProfiler.collectGarbage")

    def found(expression: str) -> str:
        answer = session.send("Runtime.evaluate", {"expression": expression})
        return str(answer["result"]["objectId"])

    types = ("keydown", "paste", "input")
    listeners = session.send(
        "DOMDebugger.getEventListeners", {"objectId": found("document")}
    )["listeners"]  # fmt: skip
    everything = session.send(
        "Runtime.queryObjects", {"prototypeObjectId": found("Element.prototype")}
    )["objects"]["objectId"]  # fmt: skip
    left = session.send(
        "Runtime.callFunctionOn",
        {"objectId": everything, "functionDeclaration": LEFT, "returnByValue": True},
    )["result"]["value"]
    session.send("Runtime.releaseObject", {"objectId": everything})
    return sum(each["type"] in types for each in listeners), int(left)


def test_the_browser_keeps_nothing_of_what_was_left(home: Path, tmp_path: Path) -> None:
    browser.require_browser()
    title = HARBOUR.stem
    add_item(change=doubtful((4.0, 7.0)))
    server = dashboard(home, tmp_path / "log", KB_APP_WORKER="false")
    with server as address, browser.browser() as chromium:
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(browser.STEP_MS)
        session = tab.context.new_cdp_session(tab)
        session.send("HeapProfiler.enable")
        tab.goto(f"{address}/?tab=Library")
        tab.get_by_role("grid").wait_for()

        def visit() -> None:
            """Open the item, Add and Review with the mouse alone, and come back."""
            browser.click(tab.get_by_role("grid").get_by_role("button", name=title, exact=True))
            tab.locator(".lines button").first.wait_for()
            browser.wait_page_ready(tab)
            browser.click(tab.locator(".st-key-back button"))
            tab.get_by_role("grid").wait_for()
            for name, part in (("Add", ".zone"), ("Review", ".acts"), ("Library", '[role="grid"]')):
                browser.wait_page_ready(tab)
                browser.click(tab.get_by_role("tab", name=name))
                tab.locator(part).first.wait_for()

        visit()  # loads the scripts of all parts
        before = kept(tab, session)
        for _ in range(VISITS):
            visit()
        assert kept(tab, session) == before
