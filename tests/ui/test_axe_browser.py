"""axe-core over the tabs, the parts of Settings, an open item and a channel: themes and widths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kb.options import RunOptions
from kb.service import Service
from kb.settings import get_settings
from kb.ui.i18n import text
from tests.fakes.odin import KEY, PROJECT, SECRET, FakeOdin
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.library_pages import HARBOUR, add_item, doubtful

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(900)]

CHANNEL = "Harbour talks"
MOST_FOLDED = 40  # parts of a page
WIDE, NARROW = (1440, 1000), (390, 844)
Prepare = Callable[[Any], None]


def unfold(tab: Any) -> None:
    """Open all expanders of the page."""
    folded = tab.locator('[data-testid="stExpander"] details:not([open]) > summary')
    for _ in range(MOST_FOLDED):
        if not folded.count():
            return
        folded.first.click()
        browser.wait_page_ready(tab)


def look(tab: Any) -> None:
    """Name a source that has media and one that is not there."""
    box = tab.get_by_role("textbox", name=text("paths"))
    browser.enter(box, f"{HARBOUR.parent}\n/no/such/talk.mp4", "Control+Enter")
    tab.get_by_role("grid").wait_for()
    unfold(tab)


def select_first(tab: Any) -> None:
    """Select the first row of the list, which brings the bar of acts."""
    tab.get_by_role("grid").first.wait_for()
    tab.get_by_role("grid").first.get_by_role("checkbox").nth(1).click()
    browser.wait_page_ready(tab)


def keys_shown(tab: Any) -> None:
    tab.locator(".lines li").first.wait_for()
    tab.keyboard.press("?")
    unfold(tab)


# The address of each state, and what is done there; `{first}` is the id of an item with doubts.
STATES: dict[str, tuple[str, Prepare | None]] = {
    "library": ("tab=Library", None),
    "library-selected": ("tab=Library", select_first),
    "search": ("tab=Library&q=harbour", None),
    "nothing-found": ("tab=Library&q=submarine", None),
    "item": ("tab=Library&item={first}", keys_shown),
    "channel": ("tab=Library&channel=Harbour%20talks", unfold),
    "add": ("tab=Add", None),
    "found": ("tab=Add", look),
    "activity": ("tab=Activity", None),
    "activity-selected": ("tab=Activity", select_first),
    "review": ("tab=Review", None),
    "publish": ("tab=Publish", unfold),
    **{
        f"settings-{part}": (f"tab=Settings&part={part}", None)
        for part in ("general", "follow", "log", "about")
    },
    **{
        f"settings-{part}": (f"tab=Settings&part={part}", unfold)
        for part in ("keys", "machine", "models", "health", "defaults")
    },
}


def fill() -> dict[str, str]:
    """Add an item that is held, two others, and a queue with each state; return the ids."""
    samples = HARBOUR.parent
    doubts = doubtful((4.0, 7.0), (20.0, 22.0))
    ids = {
        "first": add_item(change=doubts, covered_s=20.0, channel=CHANNEL, published="2026-03-05")
    }
    add_item(samples / "Midnight on the railway.mp4", channel=CHANNEL, published="2026-05-01")
    service = Service()
    report = service.ingest.run([str(samples / "Measuring the old furnace.mp4")], RunOptions())
    (failed,) = report.enqueued
    assert service.queue.items.claim(failed, 1, "me")
    service.queue.items.finish(failed, 1, "me", "failed", error="It broke.", hint="Mend it.")
    service.labels.tag([ids["first"]], ["castle"], [])
    service.labels.note(ids["first"], "Ask who says this.")
    service.subscriptions.follow(str(samples), every_s=3600.0)
    service.queue.pause()
    service.close()
    return ids


def show(tab: Any, address: str, ids: dict[str, str], name: str) -> None:
    """Open a state of the page and wait until it is drawn."""
    path, prepare = STATES[name]
    tab.goto(f"{address}/?{path.format(**ids)}")
    tab.locator('[data-testid="stTabs"]').wait_for()
    browser.wait_page_ready(tab)
    tab.locator('[data-testid="stSpinner"]').first.wait_for(state="detached")
    if prepare:
        prepare(tab)
        browser.wait_page_ready(tab)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """Run a dashboard over a library with items in each state, connected to ODIN."""
    browser.require_browser()
    folder = tmp_path_factory.mktemp("axe")
    home = folder / "library"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("KB_HOME", str(home)), ("KB_MODEL", "demo"), ("KB_SINKS", "local")):
            patch.setenv(name, value)
        get_settings.cache_clear()
        ids = fill()
    get_settings.cache_clear()
    with (
        FakeOdin(folder / "odin") as odin,
        dashboard(
            home, folder / "log", KB_APP_WORKER="false", API_KEY=KEY, API_SECRET=SECRET,
            ODIN_PROJECT_ID=PROJECT, ODIN_BASE_URL=odin.url,
        ) as address,
    ):  # fmt: skip
        yield address, ids


@pytest.mark.parametrize(
    ("theme", "size"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark-390"]
)
def test_nothing_is_in_the_way(
    site: tuple[str, dict[str, str]], theme: str, size: tuple[int, int]
) -> None:
    address, ids = site
    found: list[str] = []
    with browser.browser() as chromium:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme
        )
        tab = context.new_page()
        tab.set_default_timeout(browser.STEP_MS)
        for name in STATES:
            show(tab, address, ids, name)
            assert not tab.locator('[data-testid="stException"]').count(), name
            found += [f"{name}: {each}" for each in browser.violations(tab)]
            over = tab.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            found += [f"{name}: {over} px wider than the page"] if over > 0 else []
    assert found == []
