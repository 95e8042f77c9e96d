"""The Settings tab, with this machine, in a browser: every control with an action is used once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gpu.presets import load_presets
from kb.service import Service, tasks
from kb.settings import PROJECT_ROOT, Settings
from kb.ui.i18n import text
from tests.fakes.youtube import Channel, FakeYouTube
from tests.support.browser import click, confirm, enter, press, violations, wait_page_ready
from tests.support.waiting import until

KEY = "AIzaSyD-PROBE_0123456789abcdefghijklmn"
SECRET = "odin-secret-PROBE-99aa"


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.long
def test_presets_keys_defaults_subscriptions_and_health_in_a_browser(tmp_path: Path) -> None:
    from tests.support import browser
    from tests.support.app_server import dashboard

    browser.require_browser()
    presets = tmp_path / "presets.yaml"
    presets.write_bytes((PROJECT_ROOT / "presets.yaml").read_bytes())
    env, keys = tmp_path / ".env", tmp_path / "keys.txt"
    env.write_text("# mine\n")
    home = tmp_path / "library"
    channel = Channel("UCaaaaaaaaaaaaaaaaaaaaaa", "@talks", 3)
    with (
        FakeYouTube([channel], quota={KEY: 10}) as fake,
        dashboard(
            home, tmp_path / "server.log", cwd=tmp_path, KB_APP_WORKER="false",
            KB_PRESETS_FILE=str(presets), YT_API_KEYS_FILE=str(keys), YT_API_ENDPOINT=fake.url,
        ) as address,
        browser.browser() as chromium,
    ):  # fmt: skip
        tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
        tab.set_default_timeout(browser.STEP_MS)

        # GPU: live figures, the error of a wrong value, then the change of a preset
        tab.goto(f"{address}/?tab=GPU")
        tab.locator(".kb-card img").nth(1).wait_for()
        overlap = tab.get_by_label(text("gpu_preset_overlap_s"), exact=True)
        enter(overlap, "15", "Tab")
        overlap.evaluate("field => { field.isTheSame = true; }")
        wait_page_ready(tab)  # a press during a run of the page may belong to the form before it
        press(tab, text("gpu_preset_save"))
        tab.get_by_text(re.compile("overlap_s must be less than half")).wait_for()
        # A text that is typed while the error is drawn would be lost with the field.
        wait_page_ready(tab)
        assert overlap.evaluate("field => field.isTheSame"), "the error has replaced the form"
        enter(overlap, "1", "Tab")
        press(tab, text("gpu_preset_save"))
        tab.get_by_text(text("gpu_preset_saved", name="stabil")).wait_for()
        assert load_presets(presets)["stabil"].overlap_s == 1
        nothing_in_the_way(tab)

        # Settings: a key is added, tested and removed
        tab.goto(f"{address}/?tab=Settings&part=keys")
        enter(tab.get_by_label(text("keys_new")), KEY, "Tab")
        press(tab, text("keys_add"))
        tab.get_by_text(f"{KEY[:4]}…{KEY[-4:]}").first.wait_for()
        press(tab, text("keys_test"))
        tab.get_by_text(re.compile(r"Key AIza….{4}: ready")).wait_for()
        confirm(tab, text("keys_remove"))
        # The keys of the HTTP API on the same page say the same where there is none.
        until(lambda: KEY not in keys.read_text(), "the removed key")
        until(lambda: tab.get_by_text(text("keys_none")).count() == 2, "no key in both lists")

        # A secret is set and removed
        click(tab.locator(".st-key-secret-API_SECRET").get_by_role("button").first)
        enter(tab.get_by_label(text("secret_value", name="API_SECRET")), SECRET, "Tab")
        press(tab, text("secret_save"))
        tab.get_by_text("API_SECRET is saved.").wait_for()
        assert SECRET in env.read_text()
        # The field with the typed text goes with the form, after the message.
        until(lambda: SECRET not in tab.content(), "the page without the secret")
        confirm(tab, text("secret_remove"))
        tab.get_by_text("API_SECRET is removed.").wait_for()
        assert SECRET not in env.read_text()
        nothing_in_the_way(tab)

        go(tab, "defaults")
        enter(tab.get_by_label(text("settings_find")), "KB_LANGUAGE", "Tab")
        # Until the page is drawn with what was found, the field of the whole list is there too.
        language = tab.get_by_label("KB_LANGUAGE", exact=True)
        until(lambda: language.count() == 1, "the setting that was found")
        enter(language, "de", "Tab")
        click(tab.locator(".st-key-save-recognition button"))
        tab.get_by_text("Saved: KB_LANGUAGE.").wait_for()
        assert "KB_LANGUAGE='de'" in env.read_text()
        nothing_in_the_way(tab)

        go(tab, "follow")
        enter(tab.get_by_label(text("follow_new")), "@talks", "Tab")
        press(tab, text("follow_add"))
        tab.get_by_text("@talks is followed.").wait_for()
        service = Service(Settings(KB_HOME=str(home)))
        assert [each.reference for each in service.subscriptions.list()] == ["@talks"]
        confirm(tab, text("follow_remove"))
        tab.get_by_text("@talks is no longer followed.").wait_for()
        assert service.subscriptions.list() == ()
        service.close()

        go(tab, "health")
        tab.get_by_text("ffmpeg").first.wait_for()
        settings = Settings(KB_HOME=str(home))
        first = tasks.read(settings, "doctor")
        press(tab, text("health_again"))

        def checked_again() -> bool:
            found = tasks.read(settings, "doctor")
            assert first is not None and found is not None
            return found.started_at > first.started_at and found.state == "done"

        until(checked_again, "the second check")
        tab.get_by_text("ffmpeg").first.wait_for()
        go(tab, "log")
        tab.get_by_text(re.compile("The last lines of")).first.wait_for()
        press(tab, text("log_again"))
        go(tab, "about")
        tab.get_by_text("streamlit", exact=True).wait_for()
        nothing_in_the_way(tab)
    log = (tmp_path / "server.log").read_text(errors="replace")
    assert KEY not in log
    assert SECRET not in log


def go(tab: Any, part: str) -> None:
    click(tab.get_by_role("radio", name=text(f"part_{part}"), exact=True))


def nothing_in_the_way(tab: Any) -> None:
    """Check that axe-core finds no serious violation on the page."""
    assert not violations(tab)
