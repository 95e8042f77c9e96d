"""The playlists of a channel that is named on Add: chosen from a list, or typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kb.settings import get_settings
from kb.ui.i18n import text
from tests.fakes.youtube import Channel, FakeYouTube, Refusal
from tests.support import browser
from tests.support.app_server import dashboard
from tests.support.keys import fake_key
from tests.support.library_pages import page, run_page
from tests.support.page_library import home as home  # a fixture
from tests.support.page_library import name
from tests.support.waiting import until as wait_until
from tests.ui.test_plan import until

KEY = fake_key("p")


def channel() -> Channel:
    lists = {"Rivers": (3, 5), "Lakes": (7,), "rivers": (1,)}
    return Channel(f"UC{'p' * 22}", "@talks", 9, "Talks", playlists=lists)


def asked(fake: FakeYouTube) -> int:
    """Return how often the service was asked for playlists."""
    return sum("playlists" in call.path for call in fake.calls)


@pytest.fixture
def service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeYouTube]:
    """Serve the channel, with an address and a key for the page; yield the fake."""
    with FakeYouTube([channel()], {KEY: 1000}) as fake:
        for setting, value in {
            "YT_API_ENDPOINT": fake.url,
            "YT_API_KEYS": KEY,
            "YT_API_KEYS_FILE": str(home / "none.txt"),
        }.items():
            monkeypatch.setenv(setting, value)
        get_settings.cache_clear()
        yield fake


def open_filters(app: AppTest) -> None:
    app.session_state["filters"] = True
    run_page(app)


def test_the_playlists_of_a_channel_are_offered_once_the_filters_are_open(
    service: FakeYouTube,
) -> None:
    app = name(page(tab="Add"), "@talks")
    until(app, "9 new of 9")
    assert not asked(service)
    assert app.text_input("filter_playlist").value == ""
    open_filters(app)
    wait_until(lambda: "filter_playlist" in [each.key for each in run_page(app).selectbox])
    field = app.selectbox("filter_playlist")
    assert field.options == ["Rivers", "Lakes"]
    assert field.value is None
    assert asked(service) == 1  # a unit, for a channel of up to 50 playlists
    field.set_value("Rivers")
    run_page(app)
    until(app, "2 new of 2")
    assert app.selectbox("filter_playlist").options == ["Rivers", "Lakes"]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_playlist_is_chosen_or_typed_in_a_browser(tmp_path: Path) -> None:
    browser.require_browser()
    made = channel()
    lakes = made.playlist_id("Lakes")
    with (
        FakeYouTube([made], {KEY: 1000}) as fake,
        dashboard(
            tmp_path / "library", tmp_path / "log", KB_APP_WORKER="false",
            YT_API_ENDPOINT=fake.url, YT_API_KEYS=KEY,
        ) as address,
        browser.browser() as chromium,
    ):  # fmt: skip
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(browser.STEP_MS)
        tab.goto(f"{address}/?tab=Add")
        browser.enter(tab.get_by_role("textbox", name=text("paths")), "@talks", "Control+Enter")
        tab.get_by_text("9 new of 9").wait_for()
        browser.click(tab.locator(".st-key-filters summary"))
        browser.pick(tab, text("filter_playlist"), "Rivers")
        tab.get_by_text("2 new of 2").wait_for()
        # The filters stay open under their new label, and another list can be typed.
        tab.get_by_text(text("filters_active")).wait_for()
        field = tab.get_by_role("combobox", name=text("filter_playlist"))
        browser.click(field)
        field.fill(lakes)
        tab.get_by_role("option").filter(has_text=lakes).click()
        tab.get_by_text("1 new of 1").wait_for()
        assert field.input_value() == lakes


def test_another_channel_has_other_playlists(service: FakeYouTube) -> None:
    service.channels.append(Channel(f"UC{'q' * 22}", "@other", 4, "Other"))
    app = name(page(tab="Add"), "@talks")
    until(app, "9 new of 9")
    open_filters(app)
    wait_until(lambda: "filter_playlist" in [each.key for each in run_page(app).selectbox])
    app.selectbox("filter_playlist").set_value("Lakes")
    run_page(app)
    until(app, "1 new of 1")
    name(app, "@other")
    # What was chosen stays, as it would if it had been typed.
    assert app.text_input("filter_playlist").value == "Lakes"
    app.text_input("filter_playlist").set_value("")
    run_page(app)
    until(app, "4 new of 4")


def test_without_an_answer_a_playlist_is_typed(service: FakeYouTube) -> None:
    service.refuse = lambda path, *_: (
        Refusal(400, "badRequest", "No.") if path == "playlists" else None
    )
    app = name(page(tab="Add"), "@talks")
    until(app, "9 new of 9")
    open_filters(app)
    wait_until(lambda: asked(service))
    until(app, "9 new of 9")
    assert app.text_input("filter_playlist").value == ""
