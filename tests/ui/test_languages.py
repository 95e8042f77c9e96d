"""The languages of the page: their texts, and the one that a request prefers."""

from __future__ import annotations

import re

import pytest

from kb.settings import PROJECT_ROOT, Settings
from kb.transcript import FORMAT_GROUPS, FORMATS
from kb.ui import i18n
from kb.ui.i18n import descriptions, errors


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


def test_each_setting_has_a_description_in_each_language() -> None:
    fields = Settings.model_fields
    assert set(descriptions.BY_LANGUAGE) == set(i18n.LANGUAGES)
    assert set(descriptions.DE) == set(fields)
    assert len(descriptions.DE) == sum(len(family.DE) for family in descriptions.FAMILIES)
    assert set(descriptions.EN_PAGE) <= set(fields)
    for name, words in descriptions.DE.items():
        assert words not in ("", fields[name].description), name


def test_a_description_names_the_same_settings_in_each_language() -> None:
    names = re.compile(r"\b(?:KB|ODIN|YT|AWS|OPENAI|GEMINI)_[A-Z_]+")
    for name, words in descriptions.DE.items():
        english = descriptions.EN_PAGE.get(name, Settings.model_fields[name].description)
        assert set(names.findall(words)) == set(names.findall(str(english))), name


def test_a_description_of_the_page_names_its_places_instead_of_commands() -> None:
    """What no page does is named by its command (`test_page_places`)."""
    for name, field in Settings.model_fields.items():
        english = descriptions.EN_PAGE.get(name, str(field.description))
        for words in (english, descriptions.DE[name]):
            for command in re.findall(r"\bkb ([a-z]+)", words):
                assert command in COMMANDS_LEFT.get(name, ()), (name, command)


# The commands that no page replaces, by the name of the setting.
COMMANDS_LEFT = {
    "public_url": {"reindex"},
    "speaker_model": {"models"},
    "voice_profiles": {"voices"},
    "paid_requests": {"mcp"},
    "mcp_write": {"mcp"},
    "api_keys": {"serve"},
}


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


# Texts about several: one has a text of its own or none, and limits.
ABOUT_SEVERAL = {
    "days", "queue_sure_cancel", "queue_sure_dismiss", "removed_many", "hits_export_help",
    "channel_recurring_help", "channel_recurring_row", "recurring_place", "notes_unread",
    "knowledge_send_sure", "gpu_budget_preset", "gpu_budget_filling", "keys_units_of",
    "follow_quota", "follow_quota_keys", "ask_library_terms", "worker_crashes",
}  # fmt: skip


def test_no_text_of_the_page_counts_one_in_the_plural() -> None:
    numbers = "count|items|documents|others|words|files|finished|repeated|gaps|in_step|batch|parts"
    plural = re.compile(rf"\{{(?:{numbers})\}} (?!is\b|as\b)(?:more |other )?[a-z]+s\b")
    found = {
        key
        for key, words in i18n.MESSAGES["en"].items()
        if plural.search(words) and not key.endswith("_one")
        if f"{key}_one" not in i18n.MESSAGES["en"]
    }
    assert found <= ABOUT_SEVERAL, found - ABOUT_SEVERAL


def test_a_number_has_the_form_of_its_noun() -> None:
    template = "{items:item|items} in {items}"
    assert [template.format(items=i18n.Count(n)) for n in (1, 2, 1204)] == [
        "1 item in 1", "2 items in 2", "1,204 items in 1,204",
    ]  # fmt: skip
