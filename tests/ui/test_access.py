"""The page of a dashboard that others reach: limits of ingest, and settings it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kb.errors import SettingsError, UsageError
from kb.options import RunOptions
from kb.service import Service
from kb.settings import get_settings
from kb.ui import access
from tests.support.library_pages import HARBOUR, page, run_page
from tests.support.raising import raises


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    access.set_reached_by_others(False)
    get_settings.cache_clear()
    yield tmp_path / "library"
    access.set_reached_by_others(False)
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("files", "trusted", "refused"),
    [
        (("secrets.toml",), "", "secrets.toml"),
        (("secrets.toml",), "KB_ENV_FILE", ""),
        ((), "", ""),
        (("config.toml",), "", ""),
        (("secrets.toml", "config.toml"), "", "secrets.toml"),
        (("config.toml names other.toml", "other.toml"), "", "other.toml"),
        (("config.toml names elsewhere",), "", "config.toml"),
        (("config.toml names elsewhere",), "KB_ENV_FILE", ""),
    ],
)
def test_a_foreign_current_folder_sets_no_secrets(
    files: tuple[str, ...],
    trusted: str,
    refused: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streamlit puts `secrets.toml` into the environment: PYTHONPATH there runs code."""
    here = tmp_path / "downloads"
    folder = here / ".streamlit"
    folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    secrets, defined = [str(folder / "secrets.toml")], "<default>"
    for each in files:
        name, _, named = each.partition(" names ")
        (folder / name).write_text('ODIN_BASE_URL = "http://evil.example"\n')
        if named:
            defined = str(folder / name)
            secrets = [str((folder if "." in named else tmp_path) / named)]
    monkeypatch.setattr(access.st, "get_option", lambda _name: secrets)
    monkeypatch.setattr(access.config, "get_where_defined", lambda _name: defined)
    if trusted:
        monkeypatch.setenv(trusted, str(here / ".env"))
    if refused:
        with raises(SettingsError, "setting.untrusted_secrets", path=folder / refused):
            access.check_secrets_files()
    else:
        access.check_secrets_files()


def test_a_dashboard_of_one_user_has_no_limits() -> None:
    assert access.page_settings() is get_settings()
    assert access.may_change("odin_base_url")


@pytest.mark.parametrize("reason", ["address", "password", "setting"])
def test_a_dashboard_that_others_reach_is_shared(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "address":
        access.set_reached_by_others(True)
    else:
        name = "KB_PASSWORD" if reason == "password" else "KB_SHARED"
        monkeypatch.setenv(name, "true")
        get_settings.cache_clear()
    settings = access.page_settings()
    assert settings.shared
    assert settings is access.page_settings()
    assert not access.may_change("odin_base_url")
    assert not access.may_change("password")
    assert access.may_change("language")
    service = Service(settings)
    with raises(UsageError, "file.folder_refused"):
        service.ingest.run([str(HARBOUR)], RunOptions())
    with raises(UsageError, "file.folder_refused"):
        service.ingest.scan(str(HARBOUR))
    assert not service.publisher.may_read(HARBOUR.parent)
    service.close()


def test_what_was_queued_there_keeps_its_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KB_INGEST_FOLDERS", str(HARBOUR.parent))
    get_settings.cache_clear()
    access.set_reached_by_others(True)
    service = Service(access.page_settings())
    (queued,) = service.ingest.run([str(HARBOUR)], RunOptions()).enqueued
    row = service.queue.items.read(queued)
    assert row is not None
    assert row.options["shared"] is True
    assert service.subscriptions.follow("https://media.example/feed").options["shared"] is True
    service.close()


def test_every_protected_name_is_a_setting() -> None:
    from kb.settings import Settings

    assert set(Settings.model_fields) >= access.MACHINE_SETTINGS - {"group_access"}


def test_the_page_shows_such_settings_but_lets_nobody_change_them() -> None:
    access.set_reached_by_others(True)
    app = page(tab="Settings")
    assert not [field for field in app.text_input if "KB_PROXY" in str(field.label)]
    app.button_group("part").set_value("defaults")
    run_page(app)
    fields = {field.label: field for field in app.text_input}
    assert fields["ODIN_BASE_URL"].disabled
    assert fields["KB_HOME"].disabled
    assert not fields["KB_LANGUAGE"].disabled
