"""Two people on two dashboards of one library: what one does, the other sees without a click."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from kb.errors import KBError
from kb.jobs.queue.heartbeat import Heartbeat
from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.types import MediaItem
from kb.ui import sidebar, status
from kb.ui.i18n import text
from kb.ui.tabs.knowledge import tab as publish_tab
from kb.ui.tabs.library import item
from kb.ui.tabs.library import tab as library_tab
from kb.ui.tabs.queue import tab as queue_tab
from kb.ui.tabs.review import tab as review_tab
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.browser import press
from tests.support.commands import run_command
from tests.support.library_pages import add_item, doubtful
from tests.support.page_library import home
from tests.support.postgres import database_url, server
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(600)]

__all__ = ["database_url", "home", "server"]

AGREE_S = 5.0  # the longest time after which a page looks again


class Page:
    """One browser window on one dashboard, at its queue."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.tab = chromium.new_page(viewport={"width": 1440, "height": 1200})
        self.tab.set_default_timeout(browser.STEP_MS)
        self.tab.goto(f"{address}/?tab=Activity")
        self.tab.get_by_role("grid").wait_for()

    def cells(self) -> list[str]:
        """Return the texts of the table's cells."""
        return [str(each) for each in self.tab.locator('[role="gridcell"]').all_text_contents()]

    def states(self) -> list[str]:
        """Return the states of the rows, without their signs."""
        known = re.compile(r"\S ((?:running|queued|cancelled|paused|done|failed).*)")
        return [found[1] for cell in self.cells() if (found := known.fullmatch(cell))]

    def is_paused(self) -> bool:
        return bool(self.tab.get_by_role("button", name=text("lane_resume")).count())

    def workers(self) -> str:
        """Return the state of the workers above the tabs, such as `2 working`."""
        found = self.tab.locator(".st-key-status p")
        said = str(found.first.inner_text()) if found.count() else ""
        return said.rpartition("●")[2].strip()


def agree(pages: list[Page], seen: Callable[[Page], bool], what: str) -> None:
    """Wait until all pages show it."""
    for page in pages:
        until(lambda page=page: seen(page), what, every_s=0.1)  # type: ignore[misc]


def test_pages_look_again_in_time() -> None:
    every_s = (
        queue_tab.BUSY_EVERY_S, queue_tab.IDLE_EVERY_S, sidebar.REFRESH_S, status.REFRESH_S,
        library_tab.REFRESH_S, item.REFRESH_S, review_tab.REFRESH_S, publish_tab.IDLE_REFRESH_S,
    )  # fmt: skip
    assert max(every_s) <= AGREE_S


def test_open_pages_show_what_another_program_adds(home: Path, tmp_path: Path) -> None:
    browser.require_browser()
    server = dashboard(home, tmp_path / "log", KB_APP_WORKER="false")
    with server as address, browser.browser() as chromium:
        tabs = {}
        for name, words in (("Library", text("library_empty")), ("Review", text("review_empty")),
                            ("Publish", text("knowledge_none"))):  # fmt: skip
            tab = tabs[name] = chromium.new_page(viewport={"width": 1440, "height": 1000})
            tab.set_default_timeout(browser.STEP_MS)
            tab.goto(f"{address}/?tab={name}")
            tab.get_by_text(words).first.wait_for()
        item_id = add_item(change=doubtful((4.0, 7.0)))
        for tab in tabs.values():
            tab.get_by_role("grid").get_by_text("The harbour in winter").first.wait_for()
        # An open item, and the list and the inbox beside it
        open_one = chromium.new_page()
        open_one.set_default_timeout(browser.STEP_MS)
        open_one.goto(f"{address}/?tab=Library&item={item_id}")
        open_one.locator(".st-key-review").wait_for()
        service = Service()
        service.review.accept(item_id)
        service.close()
        open_one.locator(".st-key-review").wait_for(state="detached")
        tabs["Review"].get_by_text(text("review_empty")).wait_for()
        tabs["Library"].get_by_role("grid").get_by_text(text("review_accepted")).wait_for()


@pytest.mark.usefixtures("lasting_signs")  # for the commands in this process
def test_two_pages_agree(database_url: str, tmp_path: Path) -> None:
    browser.require_browser()
    home = tmp_path / "home"
    values = {"KB_HOME": str(home), "KB_DATABASE_URL": database_url, "KB_APP_WORKER": "false"}
    service = Service(Settings.model_validate(values))
    service.library.prepare()
    talks = [
        MediaItem(f"file:{n:012x}", "file", f"file:///{n}", f"Talk {n}", "") for n in range(1, 6)
    ]
    ids, _ = service.queue.submit(talks, RunOptions())
    items, beats = service.queue.items, []
    for name in ("gpu-1", "gpu-2"):
        settings = Settings.model_validate({**values, "KB_EXECUTOR_ID": name})
        beats.append(Heartbeat(settings, service.queue.database))
        beats[-1].acquire()
    assert items.claim(ids[0], 1, "gpu-1") is not None
    ended = threading.Event()

    def keep_alive() -> None:
        while not ended.wait(1):
            for each in tuple(beats):
                with suppress(KBError):  # a late answer of the server; the next one comes
                    each.beat()

    alive = threading.Thread(target=keep_alive)
    alive.start()
    with (
        dashboard(home, tmp_path / "left.log", **values, KB_EXECUTOR_ID="left") as left,
        dashboard(home, tmp_path / "right.log", **values, KB_EXECUTOR_ID="right") as right,
        browser.browser() as chromium,
        ExitStack() as stack,
    ):
        stack.callback(ended.set)
        pages = [Page(chromium, left), Page(chromium, right)]

        def both(seen: Callable[[Page], bool], what: str) -> None:
            agree(pages, seen, what)

        both(lambda page: "running on gpu-1" in page.states(), "the machine of an item")
        for command in (["status"], ["status", "--all"]):
            shown = run_command(command, values, tmp_path).stdout
            # A narrow terminal has the name on the next line.
            assert re.search(r"running on\b.*?\bgpu-1", shown, re.DOTALL), shown
            assert "gpu-2" in shown
        both(lambda page: page.workers() == text("worker_running_more", count=2), "two workers")

        # Progress
        before = pages[0].cells()
        assert items.advance(ids[0], 1, "gpu-1", "transcribe", 0.5)
        both(lambda page: page.cells() not in ([], before), "progress")
        both(lambda page: page.cells() == pages[0].cells(), "the same figures")

        # A pause and its end, on different pages
        press(pages[0].tab, text("queue_pause_all"))
        both(lambda page: page.is_paused(), "the pause")
        press(pages[1].tab, text("lane_resume"))
        both(lambda page: not page.is_paused(), "the end of the pause")

        # Cancelled on one page
        press(pages[1].tab, text("queue_cancel_all"))
        press(pages[1].tab, text("queue_cancel_all_yes"))
        both(lambda page: page.states() == ["cancelled"] * 5, "cancelled")
        assert items.running("gpu-1") == set()  # its worker stops the work

        # A worker that ends
        beats.pop().release()
        both(lambda page: page.workers() == text("worker_ready"), "one worker")
        for page in pages:
            assert not page.tab.locator('[data-testid="stException"]').count()
    ended.set()
    alive.join()
    for each in beats:
        each.release()
    service.close()
