"""A headless Chromium for tests and screenshots: found on this machine, or installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Download, Page, Playwright, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.support.waiting import WAIT_S

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")

# Headless, without a sandbox (a container's root has none), and silent on the network.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
INSTALL_TIMEOUT_S = 600
STEP_MS = 1000 * WAIT_S  # the time limit of each step
IMPACTS = ("moderate", "serious", "critical")  # of axe-core's rules
# Streamlit's own, by rule and element (1.67): its link for the keyboard is outside of its landmarks
# on a page without a sidebar.
STREAMLITS = (("region", 'data-testid="stSkipToContent"'),)
REDRAWN_MS = 40_000  # longer than any run of a page takes
ATTEMPTS = 5  # of a text or a click that a redraw of the page can take away

_KEEP_PLACES = """
window.playerPlaces = [];
const position = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "currentTime");
Object.defineProperty(HTMLMediaElement.prototype, "currentTime", {
  ...position,
  set(seconds) {
    window.playerPlaces.push(seconds);
    position.set.call(this, seconds);
  },
});
"""

_LISTEN = """element => {
  element.wasClicked = false;
  const seen = () => { element.wasClicked = true; };
  element.addEventListener("click", seen, { capture: true, once: true });
}"""


@cache
def chromium() -> str:
    """Return the path of a Chromium: on the path, else Debian's (as root), else Playwright's.

    Raise RuntimeError with the list of attempts.
    """
    tried: list[str] = []
    if found := _on_path(tried):
        return found
    # Test processes run in parallel, and apt-get refuses to run twice at the same time.
    with FileLock(Path(sys.prefix) / ".browser-install.lock", timeout=INSTALL_TIMEOUT_S):
        for locate in (_on_path, _debian, _bundled):
            if found := locate(tried):
                return found
    raise RuntimeError(f"No Chromium. Tried: {'; '.join(dict.fromkeys(tried))}.")


@contextmanager
def browser() -> Iterator[Browser]:
    """Yield a running browser; close it afterwards."""
    with sync_playwright() as playwright:
        instance = launch(playwright)
        try:
            yield instance
        finally:
            instance.close()


def launch(playwright: Playwright) -> Browser:
    """Start Chromium under Playwright."""
    return playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))


def require_browser() -> None:
    """Skip the test if there is no browser; in CI, fail."""
    try:
        chromium()
    except RuntimeError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def violations(tab: Page) -> list[str]:
    """Return what axe-core finds on a page, of moderate impact and above, without Streamlit's own.

    While a page draws itself again, Streamlit lets its older parts fade: they are kept as they are.
    """
    from axe_playwright_python.sync_playwright import Axe

    tab.add_style_tag(content="[data-stale] { opacity: 1 !important; transition: none !important }")
    wait_page_ready(tab)
    tab.locator("[data-stale=true]").first.wait_for(state="detached")
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]}"
        for each in Axe().run(tab).response["violations"]
        if each["impact"] in IMPACTS
        for node in each["nodes"]
        if not any(each["id"] == rule and part in node["html"] for rule, part in STREAMLITS)
    ]


def watch_player(tab: Page) -> None:
    """Let a page keep the places to which its player is sent; before the page is opened."""
    tab.add_init_script(_KEEP_PLACES)


def wait_player_at(tab: Page, start_s: float, end_s: float) -> None:
    """Wait until the player was sent to a place within a time interval, and has reached it.

    It may have played on since, or to its end: the test may look late. For `watch_player`.
    """
    tab.wait_for_function(
        "([start, end]) => { const media = [...document.querySelectorAll('*')]"
        ".flatMap(e => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('video, audio')] : [])[0];"
        " const place = window.playerPlaces.at(-1) ?? 0;"
        " return media && !media.seeking && place >= start - 0.1 && place <= end"
        " && media.currentTime >= place - 0.1; }",
        arg=[start_s, end_s],
    )


def _on_path(tried: list[str]) -> str | None:
    tried.append(f"{', '.join(NAMES)} on the path")
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _debian(tried: list[str]) -> str | None:
    if not shutil.which("apt-get") or not hasattr(os, "geteuid") or os.geteuid() != 0:
        tried.append("apt-get (not root, or no Debian)")
        return None
    tried.append("apt-get install chromium")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        if not _run_ok(command, environment):
            return None
    return shutil.which("chromium")


def _bundled(tried: list[str]) -> str | None:
    tried.append("playwright install chromium")
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    if not path.is_file():
        _run_ok([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    return str(path) if path.is_file() and _can_launch(path) else None


def _can_launch(path: Path) -> bool:
    try:
        with sync_playwright() as playwright:
            playwright.chromium.launch(executable_path=str(path), args=list(FLAGS)).close()
    except PlaywrightError:
        return False  # system libraries are missing
    return True


def _run_ok(command: list[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def button(page: Any, name: str) -> Any:
    """Return the page's own button of exactly this name.

    Streamlit's header has a button "Stop" while the page runs; it is left out.
    """
    header = '[data-testid="stBaseButton-header"]'
    return page.get_by_role("button", name=name, exact=True).and_(page.locator(f":not({header})"))


def wait_page_ready(page: Any) -> None:
    """Wait until the server's run of the page has ended; return at once on any other page.

    A text typed during a run is replaced when the run draws the field again.
    """
    app = '[data-testid="stApp"]'
    busy = f'{app}:not([data-test-script-state="notRunning"])'
    page.locator(busy).wait_for(state="detached")


def enter(field: Any, value: str, commit: str = "") -> None:
    """Type a text into a field until it stands there after the page's run.

    `commit` is the key that sends it: Tab in a form, else Enter or Control+Enter. A field that is
    sent keeps its text when the page draws it again.
    """
    for _ in range(ATTEMPTS):
        wait_page_ready(field.page)
        field.fill(value)
        if commit:
            field.press(commit)
        wait_page_ready(field.page)
        if field.input_value() == value:
            return
    raise AssertionError(f"{value!r} was replaced {ATTEMPTS} times: {field.input_value()!r}")


def click(target: Any) -> None:
    """Click an element; once more if its press and its release did not hit the same element.

    A browser sends no click if a redraw moves or replaces the element between the two.
    """
    for _ in range(ATTEMPTS):
        element = target.element_handle()
        try:
            element.evaluate(_LISTEN)
            element.click()
        except PlaywrightTimeout:
            raise
        except PlaywrightError as error:
            if "not attached" in error.message:
                continue  # replaced before it was pressed
            raise
        try:
            if element.evaluate("element => element.wasClicked"):
                return
        except PlaywrightError:
            return  # the click has left the page
    raise AssertionError(f"No click of {ATTEMPTS} has reached {target}.")


def pick(tab: Any, label: str, option: str) -> None:
    """Select an option of a drop-down list by clicks.

    A typed text stands in the field whether it has selected an option or not.
    """
    box = tab.get_by_role("combobox", name=re.compile(re.escape(label)))
    shown = tab.get_by_role("option", name=option).first
    for _ in range(ATTEMPTS):
        wait_page_ready(tab)
        click(box)
        with suppress(PlaywrightTimeout):  # a redraw has closed the list
            shown.wait_for(timeout=REDRAWN_MS)
            click(shown)
            shown.wait_for(state="detached", timeout=REDRAWN_MS)
        if box.input_value() == option:
            return
    raise AssertionError(f"{option!r} was not selected: {box.input_value()!r}")


def download(page: Any, link: Any) -> Download:
    """Click a link that downloads a file and return the download.

    A link that opens a new tab gives its download to the page or to the new tab: to that of the
    two that the browser has at that moment.
    """
    started: list[Download] = []

    def note(download: Download) -> None:
        started.append(download)

    def watch(tab: Page) -> None:
        tab.on("download", note)

    page.on("download", note)
    page.context.on("page", watch)
    try:
        link.click()
        end = time.monotonic() + WAIT_S
        while not started:
            if time.monotonic() > end:
                raise AssertionError(f"No download in {WAIT_S:.0f} s after a click on {link}.")
            page.wait_for_timeout(50)
    finally:
        page.context.remove_listener("page", watch)
        page.remove_listener("download", note)
    return started[0]


def press(page: Any, name: str) -> None:
    """Click the page's only button of exactly this name.

    While Streamlit draws a run, the button of the run before can be there beside the new one.
    """
    expect(button(page, name)).to_have_count(1, timeout=STEP_MS)
    click(button(page, name).first)


def confirm(page: Any, name: str, yes: str = "") -> None:
    """Click a button that asks first, and answer with `yes`; without it, with the same name."""
    question = page.locator('[class*="st-key-question-"]')
    for _ in range(ATTEMPTS):
        press(page, name)
        with suppress(PlaywrightTimeout):  # a redraw took the press: a person presses again
            question.wait_for(timeout=REDRAWN_MS)
            break
    press(question, yes or name)
