"""Settings in plain language and their search, keys of the HTTP API, the library's health."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from streamlit.testing.v1 import AppTest

from kb.service import Service, tasks
from kb.settings import Settings, get_settings
from kb.ui.i18n import MESSAGES, text
from kb.ui.tabs.settings import defaults, general
from tests.support.library_pages import add_item, page, page_text, run_page

PATIENCE_S = 240.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set an empty library and the folder of `.env`; yield the library."""
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    (tmp_path / ".env").write_text("# mine\n")
    get_settings.cache_clear()
    yield tmp_path / "library"
    get_settings.cache_clear()


def part(name: str) -> AppTest:
    return page(tab="Settings", part=name)


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == text(label)).click()
    return run_page(app)


def key_of(app: AppTest, name: str) -> str:
    fields = (*app.number_input, *app.text_input, *app.selectbox, *app.checkbox, *app.multiselect)
    return next(str(e.key) for e in fields if str(e.key).startswith(f"plain-{name}-"))


def test_ten_settings_are_said_in_words_and_written(home: Path, tmp_path: Path) -> None:
    app = part("general")
    assert len(general.PLAIN) == 10
    for plain in general.PLAIN:
        assert text(f"plain_{plain.name}") in str([e.proto for e in app.main]), plain.name
    app.number_input(key_of(app, "hold_below")).set_value(90.0)
    app.selectbox(key_of(app, "keep")).select("mp3")
    app.selectbox(key_of(app, "digest")).select("off")
    app.checkbox(key_of(app, "voice_profiles")).check()
    app.text_input(key_of(app, "run_email")).set_value("ada@example.org")
    app.text_input(key_of(app, "public_url")).set_value("not an address")
    press(app, "defaults_save")
    assert "KB_PUBLIC_URL" in app.error[0].value.replace("\\", "")
    assert (tmp_path / ".env").read_text() == "# mine\n", "half of the form was written"
    app.text_input(key_of(app, "public_url")).set_value("https://talks.example.org")
    press(app, "defaults_save")
    now = get_settings()
    assert (now.hold_below, now.keep, now.digest) == (0.9, "mp3", "off")
    assert (now.voice_profiles, now.run_email) == (True, "ada@example.org")
    assert now.public_url == "https://talks.example.org"
    assert (now.hold_errors, now.min_free_gb, now.sinks) == (
        Settings().hold_errors, Settings().min_free_gb, Settings().sinks,
    )  # fmt: skip


def test_each_choice_in_plain_language_has_its_words_and_is_a_value_of_its_setting() -> None:
    for plain in general.PLAIN:
        for choice in plain.choices:
            Settings.model_validate({str(Settings.model_fields[plain.name].alias): choice})
            for language, words in MESSAGES.items():
                assert words[f"plain_{plain.name}_{choice}"], (language, plain.name, choice)


@pytest.mark.parametrize(
    ("words", "has", "lacks"),
    [
        ("prefetch_gb", "prefetch_gb", "hold_errors"),
        ("seconds downloads minimum", "download_pause_s", "smtp_port"),
        ("E-MAIL ended", "run_email", "digest_webhook"),
        ("odin", "odin_rate", "keep"),
    ],
)
def test_a_setting_is_found_by_its_name_its_words_and_its_group(
    words: str, has: str, lacks: str
) -> None:
    found = [name for names in defaults.matching(words).values() for name in names]
    assert has in found and lacks not in found


def test_the_search_shows_what_it_finds_with_default_and_unit(home: Path) -> None:
    app = part("defaults")
    assert "KB_DOWNLOAD_PAUSE_S (s)" in [each.label for each in app.text_input]
    app.text_input("settings_find").set_value("prefetch")
    run_page(app)
    labels = [each.label for each in app.text_input]
    assert "KB_PREFETCH_GB (GB)" in labels and "KB_DOWNLOAD_PAUSE_S (s)" not in labels
    assert text("settings_default", value="20") in page_text(app)
    field = next(each for each in app.text_input if each.label == "KB_PREFETCH_GB (GB)")
    field.set_value("7")
    press(app, "defaults_save")
    assert get_settings().prefetch_gb == 7
    assert text("settings_not_default", value="20") in page_text(app)
    app.text_input("settings_find").set_value("no such words")
    run_page(app)
    assert text("settings_find_none", words="no such words") in page_text(app)


def test_a_key_of_the_api_is_shown_once_listed_with_its_use_and_revoked(home: Path) -> None:
    app = part("keys")
    press(app, "api_key_add")
    assert "A key needs a name" in page_text(app)
    app.text_input("api_key_name").set_value("Notebook of *Ada*")
    app.multiselect("api_key_scopes").set_value(["speech", "search"])
    app.number_input("api_key_hours").set_value(2.0)
    press(app, "api_key_add")
    secret = next(each.value for each in app.code if each.value.startswith("kbk_"))
    service = Service()
    found = service.access.find(secret)
    assert found is not None
    assert (found.name, found.scopes, found.day_s) == (
        "Notebook of *Ada*", ("speech", "search"), 7200.0,
    )  # fmt: skip
    service.access.take(found.id, 1800.0)
    press(app, "api_key_taken")
    assert secret not in str([element.proto for element in app.main]) + page_text(app)
    assert text("api_key_of", used="30 min", all="2 h") in page_text(app)
    press(app, "api_key_revoke")
    assert service.access.any_valid(), "revoked before the answer"
    press(app, "api_key_revoke")
    service.close()
    service = Service()
    assert service.access.find(secret) is None
    assert text("api_keys_none") in page_text(app)
    service.close()


def test_visitors_of_a_shared_dashboard_make_no_keys_and_no_backups(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KB_SHARED", "true")
    get_settings.cache_clear()
    assert text("api_keys") not in page_text(part("keys"))
    app = part("health")
    assert text("care_operator") in page_text(app)
    assert text("care_backup") not in [button.label for button in app.button]


@pytest.mark.slow
def test_the_library_is_checked_and_backed_up_from_the_page(home: Path) -> None:
    add_item()
    app = part("health")
    press(app, "care_backup")
    press(app, "care_verify")
    for name in ("backup", "verify"):
        ended(name)
    made = tasks.read(get_settings(), "backup")
    assert made is not None
    with ZipFile(made.result["path"]) as packed:
        assert packed.testzip() is None
        assert any(name.startswith("media/") for name in packed.namelist())
    run_page(app)
    assert text("care_no_faults") in page_text(app)
    medium = next(each for each in (home / "media").iterdir() if each.suffix in (".mp4", ".wav"))
    data = medium.read_bytes()
    medium.unlink()  # it may be a hard link of the sample
    medium.write_bytes(data + b"damage")
    press(app, "care_verify")
    ended("verify")
    run_page(app)
    assert text("care_faults_one") in page_text(app)


def ended(name: str) -> None:
    """Wait until a task has ended well."""
    ends = time.monotonic() + PATIENCE_S
    while (task := tasks.read(get_settings(), name)) is None or task.running:
        assert time.monotonic() < ends, task
        time.sleep(0.1)
    assert task.state == "done", task
