"""The languages of the page: their texts, and the one that a request prefers."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from kb.settings import PROJECT_ROOT, Settings
from kb.transcript import FORMAT_GROUPS, FORMATS
from kb.ui import i18n
from kb.ui.i18n import errors


def test_only_the_tables_of_texts_name_a_language() -> None:
    """A further language needs no change outside of `kb/ui/i18n`."""
    codes = re.compile(rf"[\"']({'|'.join(i18n.LANGUAGES)})[\"']")
    named = [
        path.relative_to(PROJECT_ROOT).as_posix()
        for path in sorted((PROJECT_ROOT / "kb" / "ui").rglob("*.py"))
        if path.parent.name != "i18n" and codes.search(path.read_text(encoding="utf-8"))
    ]
    assert named == []
    assert set(i18n.LANGUAGES) == set(i18n.MESSAGES) == set(errors.BY_LANGUAGE)


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_each_format_says_its_use_in_each_language(language: str) -> None:
    assert {f"format_{name}" for name in FORMATS} <= i18n.MESSAGES[language].keys()
    assert {f"export_group_{name}" for name in FORMAT_GROUPS} <= i18n.MESSAGES[language].keys()


SECRETS = {
    str(field.alias): str(field.description)
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr and name != "yt_api_keys"
}


@pytest.mark.parametrize("alias", SECRETS)
def test_a_secret_says_its_use_in_each_language(alias: str) -> None:
    key = f"secret_use_{alias.lower()}"
    assert i18n.MESSAGES["en"][key] == SECRETS[alias]
    assert i18n.MESSAGES["de"][key] not in ("", SECRETS[alias])


@pytest.mark.parametrize(
    ("name", "words"),
    [("Clock", "Uhr"), ("Disk", "Platte"), ("Card memory", "Kartenspeicher"),
     ("YouTube Data API keys", "Schlüssel der YouTube Data API"), ("Worker", "Arbeiter")],
)  # fmt: skip
def test_a_check_has_a_name_in_each_language(name: str, words: str) -> None:
    key = f"check_{name.lower().replace(' ', '_')}"
    assert (i18n.MESSAGES["en"][key], i18n.MESSAGES["de"][key]) == (name, words)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("de-CH,de;q=0.9", "de"), ("DE", "de"), ("en-GB", "en"), ("fr,de;q=0.5", "en"), ("", "en")],
)
def test_the_language_of_a_request(accepted: str, language: str) -> None:
    assert i18n.preferred_language(accepted) == language
