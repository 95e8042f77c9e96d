"""The whole job with the keyboard alone: add, follow, find, hear, quote, review, publish."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from kb.service import Service
from kb.settings import get_settings
from kb.ui.i18n import text
from tests.fakes.odin import KEY, PROJECT, SECRET, FakeOdin
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.keyboard import Keyboard
from tests.support.library_pages import HARBOUR, add_item, doubtful
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(600)]

NEW = "Midnight on the railway"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a library with one doubtful item."""
    home = tmp_path / "library"
    for name, value in (("KB_HOME", str(home)), ("KB_MODEL", "demo"), ("KB_SINKS", "local")):
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    add_item(change=doubtful((4.0, 7.0)))
    return home


def test_the_whole_job_without_a_mouse(library: Path, tmp_path: Path) -> None:
    browser.require_browser()
    folder = tmp_path / "drop-in"
    folder.mkdir()
    shutil.copy(HARBOUR.parent / f"{NEW}.mp4", folder)
    with (
        FakeOdin(tmp_path / "odin") as odin,
        dashboard(
            library, tmp_path / "log", KB_CPU_THREADS="1", KB_HOLD_BELOW="0", API_KEY=KEY,
            API_SECRET=SECRET, ODIN_PROJECT_ID=PROJECT, ODIN_BASE_URL=odin.url, ODIN_POLL_S="0.1",
            ODIN_SETTLE_S="0.1",
        ) as address,
        browser.browser() as chromium,
    ):  # fmt: skip
        context = chromium.new_context(viewport={"width": 1440, "height": 1000})
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = context.new_page()
        tab.set_default_timeout(browser.STEP_MS)
        browser.watch_player(tab)
        tab.goto(address)
        tab.get_by_role("grid").wait_for()
        tab.add_style_tag(content="* { transition: none !important }")  # the end of each is judged
        keys = Keyboard(tab)

        # Add: the folder, the preset, the button
        keys.tab_named(text("tab_add"))
        tab.get_by_role("textbox", name=text("paths")).wait_for()
        keys.to(text("paths"), "textarea")
        keys.type(str(folder))
        tab.get_by_text("1 new of 1").wait_for()
        keys.to(re.compile(r"SCHNELL|demo"), "summary")
        keys.press("Enter")
        keys.to(re.compile("SCHNELL"), "button")
        keys.press("Enter")
        tab.get_by_role("button", name="SCHNELL ✓", exact=False).wait_for()
        browser.wait_page_ready(tab)
        assert "SCHNELL" in keys.here()["name"]  # the focus stays on what was pressed
        keys.to(text("start_items_one", count=1), "button")
        keys.press("Enter")
        tab.get_by_role("tab", name=text("tab_activity"), selected=True).wait_for()

        # Activity: until it is done; its row opens it in the library
        grid = tab.get_by_role("grid", name=text("queue_alt"))
        grid.get_by_text("✓").first.wait_for()
        keys.to(re.compile("^All"))
        keys.to(re.compile(NEW), "row")
        keys.press(".")
        tab.get_by_role("menuitem", name=text("queue_open")).wait_for()
        keys.press("End", "Enter")
        tab.locator(".lines .go").first.wait_for()

        # The player: its keys work at once
        browser.wait_page_ready(tab)
        keys.press("k")
        until(lambda: playing(tab), "sound")
        keys.press("k")
        until(lambda: not playing(tab), "silence")
        spoken = tab.locator(".lines .go > span").first.inner_text().strip(". ").split()
        word = max(spoken, key=len)
        keys.to(re.compile("^←"), "button")
        keys.press("Enter")
        tab.get_by_role("grid").wait_for()

        # Search, a hit at its second, and its quote
        keys.to("Search", "input")
        keys.type(word)
        keys.press("Enter")
        hit = tab.locator('[class*="st-key-hit-0"]')
        hit.wait_for()
        keys.to(re.compile(r"^▶"), "button")
        keys.press("Enter")
        until(lambda: tab.evaluate("() => window.playerPlaces.length > 0"), "the player's place")
        keys.to(re.compile("^←"), "button")
        keys.press("Enter")
        hit.wait_for()
        keys.to(re.compile("^" + text("quote")), "button")
        keys.press("Enter")
        tab.locator('[data-testid="stCode"]').first.wait_for()
        keys.to(re.compile("^Copy"), "button")
        keys.press("Enter")
        until(lambda: word.lower() in copied(tab).lower(), "the quote on the clipboard")
        keys.press("Escape")

        # Review
        keys.tab_named(text("tab_review"))
        tab.get_by_text("0:04 – 0:07").first.wait_for()
        keys.to(re.compile("^Accept"), "button")
        keys.press("Enter")
        tab.get_by_text(text("review_empty")).wait_for()

        # Publish
        keys.tab_named(text("tab_publish"))
        keys.to(re.compile("Send|" + re.escape(text("knowledge_send_all", count=2))), "button")
        keys.press("Enter")
        keys.to(text("knowledge_send_now"), "button")
        keys.press("Enter")
        until(lambda: len(odin.documents()) == 2, "both documents")
        assert not tab.locator('[data-testid="stException"]').count()
        assert keys.faults == []
        assert keys.stops > 100  # each was judged; how many depends on where the focus begins
    service = Service()
    assert len(service.items.listing().entries) == 2
    service.close()


def playing(tab: Any) -> bool:
    return bool(
        tab.evaluate(
            "() => [...document.querySelectorAll('*')].some(e => e.shadowRoot &&"
            " [...e.shadowRoot.querySelectorAll('video, audio')].some(v => !v.paused))"
        )
    )


def copied(tab: Any) -> str:
    return str(tab.evaluate("() => navigator.clipboard.readText()"))
