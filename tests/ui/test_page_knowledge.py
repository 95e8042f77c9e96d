"""The Publish tab, also in a browser, with a service on loopback."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput

from kb import storage
from kb.service import Service, tasks
from kb.settings import Settings, get_settings
from kb.ui.i18n import plural_text, text
from kb.ui.widgets import messages
from tests.fakes.odin import KEY, SECRET, FakeOdin
from tests.support.browser import press
from tests.support.library_pages import HARBOUR, add_item, page, page_text, rows_of, run_page
from tests.support.waiting import until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set a separate empty library; yield its folder."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


def test_project_key_and_secret_are_set_on_one_card(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / ".env"
    stored.write_text("# mine\n", encoding="utf-8")
    monkeypatch.setenv("KB_ENV_FILE", str(stored))
    get_settings.cache_clear()
    add_item()
    app = page(tab="Publish")
    assert text("knowledge_not_set") in page_text(app)
    assert [row["title"] for row in rows_of(app)] == ["The harbour in winter"]
    assert not [button for button in app.button if button.key == "plan"]
    project = get_settings().odin_project_id
    field(app, "odin_project_id").set_value("another-project")
    field(app, "odin_api_key").set_value(KEY)
    field(app, "odin_api_secret").set_value(SECRET)
    app.button("odin-save").click().run()
    assert not app.exception
    settings = get_settings()
    assert settings.odin_project_id == "another-project" != project
    assert settings.odin_api_key.get_secret_value() == KEY
    assert settings.odin_api_secret.get_secret_value() == SECRET
    assert text("knowledge_saved") in page_text(app)
    assert [button for button in app.button if button.key == "plan"]
    # Neither is sent to the browser, and empty fields keep them.
    sent = str([element.proto for element in app.main])
    assert KEY not in sent and SECRET not in sent
    app.button("odin-save").click().run()
    assert text("defaults_unchanged") in page_text(app)
    assert get_settings().odin_api_key.get_secret_value() == KEY


@pytest.mark.slow
def test_what_was_tested_and_compared_with_other_settings_is_not_shown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = tmp_path / ".env"
    stored.write_text(f"API_KEY={KEY}\nAPI_SECRET={SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("KB_ENV_FILE", str(stored))
    get_settings.cache_clear()
    add_item()
    project, now = get_settings().odin_project_id, time.time() + 60
    found = {"project": "Talks", "items": 1, "documents": 1, "others": 0}
    compared = {"in_step": 1, "others": 0, "steps": [], "counts": {}}
    for name, result in (("check", found), ("plan", compared)):
        done = tasks.Task(name, {"project": project}, "done", now, now, now, result=result)
        storage.write_json(home / ".tasks" / f"{name}.json", asdict(done))
    app = page(tab="Publish")
    assert "Connected to “Talks”" in page_text(app)
    assert text("knowledge_nothing") in page_text(app)
    # Another key: the test is of the earlier one.
    field(app, "odin_api_key").set_value("another-key-of-mine")
    app.button("odin-save").click().run()
    os.utime(stored, (now + 60, now + 60))
    run_page(app)
    assert "Connected to" not in page_text(app)
    assert text("knowledge_check_old", when=messages.format_datetime(now)) in page_text(app)
    assert text("knowledge_nothing") in page_text(app)
    # Another project: the comparison is of the earlier one.
    field(app, "odin_project_id").set_value("another-project")
    app.button("odin-save").click().run()
    run_page(app)
    assert get_settings().odin_project_id == "another-project"
    assert text("knowledge_nothing") not in page_text(app)


def field(app: AppTest, name: str) -> TextInput:
    return next(box for box in app.text_input if str(box.key).startswith(f"odin-{name}-"))


def test_a_changed_text_is_changed_and_not_up_to_date(home: Path, tmp_path: Path) -> None:
    with FakeOdin(tmp_path / "odin") as odin:
        with pytest.MonkeyPatch.context() as patch:
            names = Settings.model_fields
            for name, value in odin.settings().items():
                patch.setenv(str(names[name].alias), str(value))
            get_settings.cache_clear()
            item_id = add_item()
            with closing(Service()) as service:
                assert service.publisher.publish("odin", [item_id]).ok
            assert figure(page(tab="Publish"), "knowledge_in_step") == "1"
            # Transcribed again, without the last line and without publishing it.
            add_item(change=lambda made: replace(made, segments=made.segments[:-1]))
            app = page(tab="Publish")
        assert (figure(app, "knowledge_in_step"), figure(app, "knowledge_changed")) == ("0", "1")
        assert text("published_changed") in rows_of(app)[0]["state"]
        assert text("knowledge_send_all", count="1") in [button.label for button in app.button]


def test_items_that_were_sent_are_no_longer_selected(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    railway = next(p for p in sorted(HARBOUR.parent.glob("*.mp4")) if "railway" in p.name)
    with FakeOdin(tmp_path / "odin") as odin:
        names = Settings.model_fields
        for name, value in odin.settings().items():
            monkeypatch.setenv(str(names[name].alias), str(value))
        get_settings.cache_clear()
        first, second = add_item(), add_item(railway)
        app = page(tab="Publish")
        app.session_state["rows_published"]["selected"] = {first: True}
        run_page(app).button("knowledge-send").click().run()
        assert plural_text("knowledge_sent", 1) in page_text(app)
        assert app.session_state["rows_published"]["selected"] == {}
        # Another selection does not send the first item again.
        app.session_state["rows_published"]["selected"] = {second: True}
        assert run_page(app).button("knowledge-send").label == text("knowledge_send", count="1")


def dropped() -> None:
    import streamlit as st

    from kb.ui.tabs.knowledge import upload

    st.button("send", key="send", on_click=upload._upload, args=(["a" * 32],))


def test_dropped_files_stay_until_their_upload_has_started(home: Path) -> None:
    now = time.time()
    running = tasks.Task("upload", {}, "running", now, now, host="another machine")
    storage.write_json(home / ".tasks" / "upload.json", asdict(running))
    app = run_page(AppTest.from_function(dropped))
    app.button("send").click().run()
    assert not app.exception and "upload_round_upload-files" not in app.session_state
    (home / ".tasks" / "upload.json").unlink()
    app.button("send").click().run()
    assert app.session_state["upload_round_upload-files"] == 1
    until(lambda: (task := tasks.read(get_settings(), "upload")) and not task.running, "its end")


def figure(app: AppTest, key: str) -> str:
    return next(str(each.value) for each in app.metric if each.label == text(key))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.long
def test_check_compare_sync_ask_and_upload_in_a_browser(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support import browser
    from tests.support.app_server import dashboard

    browser.require_browser()
    add_item()
    add_item(next(p for p in sorted(HARBOUR.parent.glob("*.mp4")) if "railway" in p.name))
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "report.txt").write_text("Figures of the quarter.")
    (reports / "table.csv").write_text("a,b\n1,2\n")
    with FakeOdin(tmp_path / "odin", index_s=0.5) as odin:
        names = Settings.model_fields
        there = {str(names[n].alias): str(v) for n, v in odin.settings().items()}
        with (
            dashboard(home, tmp_path / "server.log", KB_APP_WORKER="false", **there) as address,
            browser.browser() as chromium,
        ):
            tab = chromium.new_page(viewport={"width": 1440, "height": 1000})
            tab.set_default_timeout(browser.STEP_MS)
            tab.goto(f"{address}/?tab=Publish")
            press(tab, text("knowledge_check"))
            tab.get_by_text("Connected to “Test project”").wait_for()

            # The plan, and then the sync, whose progress is also shown after a reload
            press(tab, text("knowledge_plan"))
            apply = tab.get_by_role("button", name=text("knowledge_apply", count="2"))
            apply.wait_for()
            assert odin.count("POST", "/add/file") == 0
            browser.click(apply)
            apply.wait_for(state="hidden")  # a reload must come after the start
            tab.reload()
            tab.get_by_text(re.compile(r"Done .*: 2 up to date")).wait_for()
            sent = odin.count("POST", "/add/file")
            assert sent == 2
            figure = tab.get_by_test_id("stMetric").filter(has_text=text("knowledge_in_step"))
            figure.filter(has_text="2").first.wait_for()

            # A question, and a click on its source to the second of the medium
            browser.enter(tab.get_by_label(text("knowledge_ask_label")), "granite castle", "Tab")
            press(tab, text("knowledge_ask_button"))
            source = tab.locator('[class*="st-key-source-open-"] button').first
            source.wait_for()
            shown = re.search(r"(\d+):(\d\d)", source.inner_text())
            assert shown

            # Upload of other files
            browser.enter(tab.get_by_label(text("knowledge_folder")), str(reports), "Enter")
            browser.enter(tab.get_by_label(re.compile("Metadata, one")), "team=research", "Tab")
            tab.get_by_text("2 files").wait_for()
            press(tab, text("knowledge_send_files"))
            tab.get_by_text(re.compile(r"Uploaded .*: 2 in the project, 0 failed")).wait_for()
            held = [json.loads(row["metadata"]) for row in odin.documents().values()]
            assert {m.get("team") for m in held if "file_name" in m} == {"research"}

            browser.click(source)
            tab.locator("video").wait_for()
            second = 60 * int(shown[1]) + int(shown[2])
            tab.wait_for_url(re.compile(rf"[?&]t={second}\b"), wait_until="commit")
            markup = tab.content()
        assert KEY not in markup
        assert SECRET not in markup
    log = (tmp_path / "server.log").read_text(errors="replace")
    assert KEY not in log
    assert SECRET not in log
