"""What is spoken, in a browser: the summary that is read aloud, and a dub that is ordered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest

from kb.library.extras import Extras
from kb.service import Service
from kb.settings import get_settings
from kb.transcript.digest import text_digest
from kb.transcript.translation import document_name
from kb.ui.i18n import text
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.library_pages import add_item
from tests.support.page_library import home as home  # a fixture
from tests.support.stored_replies import make_notes, sample_model

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

# Loads a medium as a page's player does; the answer is its length in seconds.
LENGTH = """address => new Promise((found, failed) => {
  const sound = new Audio(address);
  sound.preload = "auto";
  sound.muted = true;
  const look = () => { if (Number.isFinite(sound.duration)) found(sound.duration); };
  sound.addEventListener("durationchange", look);
  sound.addEventListener("error", () => failed(new Error(sound.error.message)));
  sound.load();
})"""


@pytest.fixture
def item_id(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A talk with a summary and a translation into German."""
    with sample_model() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        found = add_item()
        service = Service()
        make_notes(service, found)
    entry, original = service.items.entry(found), service.items.transcript(found)
    rows = [{"start": s.start_s, "end": s.end_s, "text": "Ja, so ist es"}
            for s in original.segments]  # fmt: skip
    basis = {"sha256": original.media.sha256, "words": text_digest(original)}
    document = {"basis": basis, "segments": rows}
    Extras(service.library).write(entry, document_name("de"), document, nullcontext)
    service.close()
    return found


@pytest.fixture
def tab(home: Path, item_id: str, tmp_path: Path) -> Iterator[Any]:
    """The page of the talk, with a worker."""
    browser.require_browser()
    with ExitStack() as stack:
        address = stack.enter_context(dashboard(home, tmp_path / "log", KB_APP_WORKER="true"))
        chromium = stack.enter_context(browser.browser())
        page = chromium.new_page(viewport={"width": 1440, "height": 1400})
        page.set_default_timeout(browser.STEP_MS)
        page.goto(f"{address}/?tab=Library&item={item_id}")
        yield page


def test_a_summary_is_heard_and_a_dub_is_made(tab: Any) -> None:
    listen = tab.get_by_role("link", name=text("notes_listen"))
    listen.wait_for()
    with tab.context.expect_page() as opened:
        browser.click(listen)
    heard = opened.value
    # The browser's own player of a sound that is sent while it is spoken.
    heard.wait_for_function(
        "() => { const sound = document.querySelector('video, audio');"
        " return sound && sound.currentSrc && sound.readyState >= 2 && sound.duration > 5; }",
        timeout=browser.STEP_MS,
    )
    assert "kb-speech/" in heard.url
    heard.close()

    form = tab.locator(".st-key-produce")
    browser.click(form.get_by_text(text("produce_open"), exact=True))
    browser.pick(tab, text("produce_kind"), text("produce_dub"))
    form.get_by_text(text("produce_voice"), exact=True).first.wait_for()
    browser.press(tab, text("produce_make"))
    kept = tab.locator('[class*="st-key-produce-kept"]')
    kept.first.wait_for()
    film = kept.filter(has_text=text("produce_dub")).first
    assert "German" in film.inner_text()
    address = film.get_by_role("link", name=text("produce_download")).get_attribute("href")
    assert tab.evaluate(LENGTH, address) == pytest.approx(57, abs=1)
