"""The dashboard in a real browser, with a real worker and services on loopback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from playwright.sync_api import expect

from kb.options import RunOptions
from kb.service import Service
from kb.settings import Settings
from kb.ui.i18n import MESSAGES, plural_text, text
from tests.fakes.media import FakeMedia
from tests.fakes.odin import KEY, PROJECT, SECRET, FakeOdin
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support import browser
from tests.support.app_server import dashboard, worker_pids
from tests.support.browser import button, click, enter, press
from tests.support.compose import WordBank, compose, random_plan, write_wav
from tests.support.keys import fake_key
from tests.support.library_pages import HARBOUR
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

TALKS, SECONDS = 4, 8
PASSWORD = "harbour-in-winter-4711"


@pytest.fixture(autouse=True)
def chromium() -> None:
    browser.require_browser()


def opened(context: Any, address: str) -> Any:
    tab = context.new_page()
    tab.set_default_timeout(browser.STEP_MS)
    browser.watch_player(tab)
    tab.goto(address)
    return tab


def counted(tab: Any, key: str, language: str = "en") -> str:
    """Return the number beside a choice of the queue's filter; empty while it is not shown."""
    label = MESSAGES[language][key].capitalize()
    # All in one look: the page may draw itself again between two.
    choices = tab.locator(".st-key-queue-filters button").all_inner_texts()
    found = [re.fullmatch(rf"{re.escape(label)}\s+(\d+)", each.strip()) for each in choices]
    values = [each[1] for each in found if each]
    return values[0] if len(values) == 1 else ""


def calm(tab: Any) -> None:
    """Check that the page shows no exception."""
    assert not tab.locator('[data-testid="stException"]').count(), tab.inner_text("body")


def seconds(shown: str) -> int:
    minutes, second = shown.split(":")
    return 60 * int(minutes) + int(second)


# From a channel to a document


class Site:
    """A channel of talks with media; those of the last ones come when `media.release` is set."""

    def __init__(self, folder: Path) -> None:
        self.key = fake_key("p")
        self.channel = Channel(
            "UC" + "x" * 22, "@talks", TALKS, "Harbour talks", duration=f"PT{SECONDS}S"
        )
        bank = WordBank.load()
        bodies: dict[str, bytes] = {}
        for number in range(TALKS):
            rng = np.random.default_rng(number + 10)
            said = compose(bank, random_plan(bank, 10, rng), voice=bank.voices("en")[0], rng=rng)
            audio = np.zeros(16_000 * SECONDS, np.float32)
            audio[: min(said.audio.size, audio.size)] = said.audio[: audio.size]
            path = write_wav(folder / f"{number}.wav", audio)
            bodies[self.channel.video_id(number)] = path.read_bytes()
        self.api = FakeYouTube([self.channel], quota={self.key: 1000})
        self.media = FakeMedia(b"", bodies=bodies, content_type="audio/wav", slow_s=0.2)
        for number in range(TALKS // 2, TALKS):
            self.media.script[self.channel.video_id(number)] = ["held"]
        self.odin = FakeOdin(folder / "odin")

    def settings(self) -> dict[str, str]:
        return {
            "YT_API_ENDPOINT": self.api.url,
            "YT_WATCH_URL": self.media.watch_url,
            "YT_API_KEYS": self.key,
            "KB_DOWNLOAD_PAUSE_S": "0",
            "KB_DOWNLOAD_PAUSE_MAX_S": "0",
            "KB_CPU_THREADS": "1",
            "KB_HOLD_BELOW": "0",
            "KB_WORKER_TIMEOUT_S": "5",
            "API_KEY": KEY,
            "API_SECRET": SECRET,
            "ODIN_PROJECT_ID": PROJECT,
            "ODIN_BASE_URL": self.odin.url,
            "ODIN_POLL_S": "0.1",
            "ODIN_SETTLE_S": "0.1",
        }


@pytest.mark.long
def test_from_a_channel_to_a_synced_document(tmp_path: Path) -> None:
    site, home = Site(tmp_path), tmp_path / "library"
    with ExitStack() as stack:
        for server in (site.api, site.media, site.odin):
            stack.enter_context(server)
        address = stack.enter_context(dashboard(home, tmp_path / "log", **site.settings()))
        chromium = stack.enter_context(browser.browser())
        wide = chromium.new_context(viewport={"width": 1440, "height": 1000})
        tab = opened(wide, f"{address}/?tab=Add")

        # The channel, the plan and the preset
        named = tab.get_by_role("textbox", name=text("paths"))
        enter(named, "@talks", "Control+Enter")
        tab.get_by_text("Harbour talks", exact=True).wait_for()
        tab.get_by_alt_text(text("found_picture", title="Harbour talks")).wait_for()
        tab.get_by_text(f"{TALKS} new of {TALKS}").wait_for()
        click(tab.locator(".st-key-how summary").first)  # how it is done is folded at first
        click(tab.get_by_role("button", name="SCHNELL", exact=False).first)
        tab.get_by_role("button", name="SCHNELL ✓", exact=False).wait_for()
        click(tab.get_by_role("button", name=f"Ingest {TALKS} recordings"))
        tab.get_by_role("tab", name=text("tab_activity"), selected=True).wait_for()
        assert "tab=Activity" in tab.url

        # A second browser in the other language shows the same state, also after a reload
        german = chromium.new_context(viewport={"width": 390, "height": 844}, locale="de-DE")
        other = opened(german, f"{address}/?tab=Activity")
        until(lambda: counted(tab, "queue_running") not in ("", "0"), "work")
        until(lambda: counted(other, "queue_running", "de") not in ("", "0"), "work, in German")
        tab.reload()
        until(lambda: counted(tab, "state_done") != "", "the queue after a reload")

        # The worker is killed during the work; a new worker replaces it and continues
        until(lambda: tab.get_by_text(text("worker_with_page")).count() == 1, "the worker's origin")
        killed = kill_worker(home)  # it works, and what it works on is held
        until(lambda: set(worker_pids(home)) - killed, "another worker")
        site.media.release.set()
        until(lambda: counted(tab, "state_done") == str(TALKS), "the end")
        until(lambda: counted(other, "state_done", "de") == str(TALKS), "the end, in German")
        until(lambda: counted(tab, "queue_failed") == "0", "no failed item")
        calm(tab)
        calm(other)

        # Search while typing and open the hit: the player is at its second
        spoken = said(home, site.channel.video_id(0))
        word = max(spoken, key=len)
        click(tab.get_by_role("tab", name=text("tab_library")))
        enter(tab.get_by_placeholder(text("search_placeholder")), word)
        hit = tab.locator('[class*="st-key-hit-0"]')
        hit.wait_for()
        opens = hit.get_by_role("button").first
        at = re.search(r"\d+:\d\d", opens.inner_text())
        assert at
        click(opens)
        browser.wait_player_at(tab, seconds(at.group()), seconds(at.group()) + 1)

        # A click on a line moves the player to its second
        lines = tab.locator(".lines time")
        lines.last.wait_for()
        shown = lines.last.inner_text()
        click(lines.last)
        browser.wait_player_at(tab, seconds(shown), seconds(shown) + 1)

        # Publish and wait for the synced state
        click(tab.get_by_role("button", name=text("published_publish")))
        tab.get_by_text(f"{text('published_odin')}: ").first.wait_for()  # a reload must come later

        def in_step() -> bool:
            tab.reload()
            tab.get_by_text(text("published_in")).wait_for()
            said_of = f"{text('published_odin')}: {text('published_synced')}"
            return bool(tab.get_by_text(said_of).count())

        until(in_step, "the document in step")
        assert len(site.odin.documents()) == 1
        calm(tab)


def kill_worker(home: Path) -> set[int]:
    """Kill the library's worker; return the process ids that were killed.

    A worker that was too busy for its heartbeat is replaced, and its id changes.
    """
    killed: set[int] = set()

    def kill() -> bool:
        for pid in worker_pids(home):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
                killed.add(pid)
        return bool(killed)

    until(kill, "a worker to kill")
    return killed


def said(home: Path, video_id: str) -> list[str]:
    """Return the recognized words of a talk."""
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo"))
    words = [word.text.strip(".,!?").lower() for word in service.items.transcript(video_id).words]
    service.close()
    return words


# A library without changes


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run a dashboard over a library without a worker; yield its address and the folder."""
    browser.require_browser()
    folder = tmp_path_factory.mktemp("still")
    home = folder / "library"
    service = Service(Settings(KB_HOME=str(home), KB_MODEL="demo"))
    samples = sorted(HARBOUR.parent.glob("*.mp4"))
    report = service.ingest.run([str(path) for path in samples], RunOptions())
    first = report.enqueued[0]
    assert service.queue.items.claim(first, 1, "me")
    service.queue.items.finish(first, 1, "me", "failed", error="It broke.", hint="Mend it.")
    service.close()
    with dashboard(home, folder / "log", KB_APP_WORKER="false") as address:
        yield address, home


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    browser.require_browser()
    with browser.browser() as running:
        yield running


def test_uploaded_files_are_looked_at_and_queued(
    still: tuple[str, Path], chrome: Any, tmp_path: Path
) -> None:
    address, home = still
    talk = tmp_path / "Über Nacht.wav"
    bank, rng = WordBank.load(), np.random.default_rng(5)
    write_wav(talk, compose(bank, random_plan(bank, 8, rng), rng=rng))
    wide = chrome.new_context(viewport={"width": 1440, "height": 1000})
    tab = opened(wide, f"{address}/?tab=Add")
    tab.locator('input[type="file"]').first.set_input_files([str(talk), str(HARBOUR)])
    tab.locator(".list .state", has_text="✓").nth(1).wait_for()
    tab.get_by_text("1 new of 2").wait_for()
    click(tab.get_by_role("button", name=text("start_items_one", count=1)))
    tab.get_by_role("tab", name=text("tab_activity"), selected=True).wait_for()
    service = Service(Settings(KB_HOME=str(home)))
    assert "Über Nacht" in {row.title for row in service.queue.page().rows}
    service.close()
    tab.context.close()


def test_keys_alone_look_at_a_folder_and_choose_a_preset(
    still: tuple[str, Path], chrome: Any
) -> None:
    tab = opened(chrome.new_context(viewport={"width": 1440, "height": 1000}), still[0])
    tab.get_by_role("tab", name=text("tab_library"), selected=True).wait_for()
    browser.wait_page_ready(tab)
    # The folded sidebar is no stop of the Tab key.
    folded = tab.locator('[data-testid="stSidebar"] :is(button, input, a):visible')
    expect(folded).to_have_count(0)
    click(tab.get_by_role("tab", name=text("tab_add")))
    box = tab.get_by_role("textbox", name=text("paths"))
    box.focus()
    # The browser fetches the box when it is drawn for the first time; what is typed is sent.
    tab.keyboard.type(str(HARBOUR))
    tab.get_by_text("new of 1").wait_for()
    how = tab.locator(".st-key-how summary").first
    how.focus()
    tab.keyboard.press("Enter")
    chosen = tab.locator(".st-key-preset-schnell button")
    chosen.wait_for()
    chosen.focus()
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="SCHNELL ✓").wait_for()
    browser.wait_page_ready(tab)
    assert "SCHNELL" in tab.evaluate("() => document.activeElement.innerText")
    tab.get_by_test_id("stExpandSidebarButton").focus()
    tab.keyboard.press("Enter")
    folded.first.wait_for()
    tab.context.close()


def test_rows_are_ticked_and_changed_by_hand(still: tuple[str, Path], chrome: Any) -> None:
    address, home = still
    service = Service(Settings(KB_HOME=str(home)))
    tab = opened(
        chrome.new_context(viewport={"width": 1440, "height": 1000}), f"{address}/?tab=Activity"
    )
    click(tab.get_by_role("radio", name=re.compile(r"^Failed")))
    tab.get_by_text(text("queue_help")).wait_for()
    table = tab.get_by_role("grid", name=text("queue_alt"))
    until(lambda: table.get_attribute("aria-rowcount") == "2", "one row and the heading")
    # An opened row brings what is wrong into view, also in a low window.
    tab.set_viewport_size({"width": 1440, "height": 420})
    click(table.get_by_role("row").nth(1).get_by_role("button").first)
    trouble = tab.locator('[data-testid="stAlert"]').filter(has_text="It broke.")
    expect(trouble.get_by_text("Mend it.")).to_be_in_viewport(timeout=browser.STEP_MS)
    tab.set_viewport_size({"width": 1440, "height": 1000})
    press(tab, text("queue_retry"))
    until(lambda: service.queue.counts()["failed"] == 0, "the retry")
    click(tab.get_by_role("radio", name=re.compile(r"^All")))
    before = service.queue.counts()["queued"]
    click(tab.get_by_role("button", name=re.compile(r"^Select all")))
    # The buttons work for the one row of before until the page has taken the others, too.
    tab.get_by_text(plural_text("queue_selected", before), exact=True).wait_for()
    for action, state in (("pause", "paused"), ("resume", "queued"), ("first", "queued"),
                          ("cancel", "cancelled"), ("retry", "queued")):  # fmt: skip
        press(tab, text(f"queue_{action}"))
        if action == "cancel":
            press(tab, text("sure_yes"))
        until(lambda state=state: service.queue.counts()[state] == before, action)  # type: ignore[misc]
    press(tab, text("queue_clear"))
    # The button of the run before may be there for a moment beside the new one.
    until(lambda: button(tab, text("queue_clear")).count() == 0, "the removal of the button")
    press(tab, text("queue_pause_all"))
    press(tab, text("lane_resume"))
    until(lambda: not service.queue.lanes(), "the lane")
    calm(tab)
    service.close()
    tab.context.close()


def test_the_password_is_asked_for_in_the_browser(tmp_path: Path, chrome: Any) -> None:
    with dashboard(
        tmp_path / "library", tmp_path / "log", KB_APP_WORKER="false", KB_PASSWORD=PASSWORD
    ) as address:
        tab = opened(chrome.new_context(), f"{address}/?tab=Library")
        enter(tab.get_by_label(text("password")), "wrong")
        click(tab.get_by_role("button", name=text("sign_in")))
        tab.get_by_role("alert").wait_for()
        enter(tab.get_by_label(text("password")), PASSWORD)
        tab.keyboard.press("Enter")
        tab.get_by_text(text("library_empty")).wait_for()
        assert "tab=Library" in tab.url
        click(tab.get_by_test_id("stExpandSidebarButton"))
        press(tab, text("sign_out"))
        tab.get_by_label(text("password")).wait_for()
        tab.context.close()
    assert PASSWORD not in (tmp_path / "log").read_text(errors="replace")
