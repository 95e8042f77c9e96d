"""Files that the page writes for its user: `.env` and the keys, a line at a time, and unseen."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from kb.errors import KBError, SettingsError
from kb.library.cache import LibraryCache
from kb.settings import Settings, env_file, get_settings
from kb.sources.keys import key_file
from kb.sources.keys.key_ring import ApiKey, read_keys
from tests.support.library_pages import add_item
from tests.support.raising import raises

SECRET = "AIzaSyB-PROBE_0123456789abcdefghijklmn"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# .env


def test_env_keeps_comments_order_and_unknown_lines(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("# mine\nKB_PRESET=stabil  # slow\nOTHER=1\n\nKB_LANGUAGE=de\n")
    settings = env_file.change({"KB_PRESET": "max", "KB_MODEL": "my model's", "KB_LANGUAGE": ""})
    assert (settings.preset, settings.model, settings.language) == ("max", "my model's", "auto")
    assert settings is get_settings()
    lines = env.read_text().splitlines()
    assert lines[0] == "# mine"
    assert "OTHER=1" in lines
    assert not any(line.startswith("KB_LANGUAGE") for line in lines)


def test_a_new_env_is_its_owner_s_alone(tmp_path: Path) -> None:
    env_file.change({"API_SECRET": "a'b\\c #d"})
    assert get_settings().odin_api_secret.get_secret_value() == "a'b\\c #d"
    if sys.platform != "win32":
        assert mode(tmp_path / ".env") == 0o600
    assert not list(tmp_path.glob(".env.*"))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"KB_HOLD_BELOW": "7"}, "setting.value"),
        ({"KB_KEEP": "flac"}, "setting.value"),
        ({"API_KEY": "one\ntwo"}, "setting.line_breaks"),
        ({"API_KEY": "se${HOME}cret"}, "setting.characters"),
        ({"NO_SUCH": "1"}, "setting.unknown"),
    ],
)
def test_env_is_not_changed_by_a_value_that_would_not_be_read_back(
    tmp_path: Path, values: dict[str, str], code: str
) -> None:
    env = tmp_path / ".env"
    env.write_text("KB_PRESET=stabil\n")
    (name,) = values
    with raises(SettingsError, code, name=name) as caught:
        env_file.change(values)
    assert "cret" not in f"{caught.value.message}{caught.value.hint}{caught.value.values}"
    assert env.read_text() == "KB_PRESET=stabil\n"
    assert not list(tmp_path.glob(".env.*"))


def test_a_setting_of_the_environment_is_refused_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KB_PRESET", "max")
    with raises(SettingsError, "setting.environment", name="KB_PRESET"):
        env_file.change({"KB_PRESET": "stabil"})


# Keys


@pytest.fixture
def keys(tmp_path: Path) -> Settings:
    path = tmp_path / "keys.txt"
    path.write_text("# first project\nAIzaFirst0123456789abcdef  # mine\n", encoding="utf-8")
    return Settings(YT_API_KEYS_FILE=str(path))


def test_a_key_is_added_and_removed_and_the_rest_stays(keys: Settings, tmp_path: Path) -> None:
    key = key_file.add_key(keys, f"  {SECRET}\n")
    path = tmp_path / "keys.txt"
    assert [k.secret for k in read_keys(keys)] == ["AIzaFirst0123456789abcdef", SECRET]
    assert path.read_text().startswith("# first project\nAIzaFirst0123456789abcdef  # mine\n")
    if sys.platform != "win32":
        assert mode(path) == 0o600
    assert key_file.is_in_file(keys, key)
    assert key_file.remove_key(keys, key.fingerprint)
    assert not key_file.remove_key(keys, key.fingerprint)
    assert path.read_text() == "# first project\nAIzaFirst0123456789abcdef  # mine\n"


@pytest.mark.parametrize("bad", ["", "short", "has spaces in it and more", f"{SECRET}\n{SECRET}"])
def test_a_malformed_key_is_refused_and_not_shown(keys: Settings, bad: str) -> None:
    with raises(SettingsError, "key.malformed") as caught:
        key_file.add_key(keys, bad)
    assert not bad or bad not in f"{caught.value.message}{caught.value.hint}"


def test_the_same_key_twice_is_refused(keys: Settings) -> None:
    key_file.add_key(keys, SECRET)
    with raises(KBError, "key.duplicate", key=ApiKey.of(SECRET).shown) as caught:
        key_file.add_key(keys, SECRET)
    assert SECRET not in f"{caught.value.message}{caught.value.values}"


def test_a_link_to_the_keys_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "vault" / "keys.txt"
    real.parent.mkdir()
    real.write_text("")
    link = tmp_path / "link.txt"
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    key_file.add_key(Settings(YT_API_KEYS_FILE=str(link)), SECRET)
    assert link.is_symlink()
    assert real.read_text() == f"{SECRET}\n"


# The cache


def test_the_cache_notices_changes_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from kb.library import Library

    monkeypatch.setenv("KB_HOME", str(tmp_path / "library"))
    monkeypatch.setenv("KB_MODEL", "demo")
    get_settings.cache_clear()
    library = Library(tmp_path / "library")
    cache = LibraryCache(library.media_folder)
    assert cache.listing().entries == ()
    item_id = add_item()
    assert cache.listing() == library.scan()
    (entry,) = cache.listing().entries
    assert entry.item.id == item_id
    library.write_metadata(entry.item, {"state": "held"})
    assert cache.listing().entries[0].state == "held"
    assert entry.text_path is not None
    entry.text_path.unlink()
    assert cache.listing() == library.scan()
    damaged = library.path(entry, ".json")
    damaged.write_text("{", encoding="utf-8")
    os.utime(damaged.parent)  # as a file that was moved into place would
    assert cache.listing() == library.scan()
    assert cache.listing().problems
