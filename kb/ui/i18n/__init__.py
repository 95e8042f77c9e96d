"""Every sentence of the page, by language and key: one module a tab, English and German.

A module has two dictionaries, `EN` and `DE`, with the same keys and the same `{values}`; a
test compares them. Words are put together nowhere else. The presets' names are the same in
every language, and so are the values of `?tab=` in links (`kb.ui.session.TABS`).
"""

from __future__ import annotations

from datetime import date
from types import ModuleType

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from kb.ui.i18n import (
    access_keys,
    activity,
    add,
    catalogue,
    channel,
    checks,
    export_options,
    exports,
    frame,
    gpu,
    ingest,
    item,
    knowledge,
    library,
    library_care,
    models,
    notes,
    page_places,
    plain_settings,
    products,
    queue,
    review,
    rows,
    same_sound,
    screen_text,
    searches,
    settings,
    translation,
)

TABLES: tuple[ModuleType, ...] = (
    frame,
    ingest,
    add,
    queue,
    activity,
    review,
    rows,
    library,
    catalogue,
    searches,
    channel,
    item,
    notes,
    products,
    translation,
    screen_text,
    same_sound,
    exports,
    export_options,
    knowledge,
    gpu,
    settings,
    plain_settings,
    access_keys,
    library_care,
    models,
    checks,
    page_places,
)
LANGUAGES = {"en": "English", "de": "Deutsch"}
# How a date of this year and a date of another year are written (see `strftime`).
_DATES = {"en": ("%d %b", "%d %b %Y"), "de": ("%d.%m.", "%d.%m.%Y")}
_DECIMAL_COMMA = frozenset({"de"})
_MARKS = str.maketrans(",.", ".,")
DEFAULT_LANGUAGE = "en"
STATE = "lang"  # where a visitor's choice stands in the session

MESSAGES: dict[str, dict[str, str]] = {
    "en": {key: words for table in TABLES for key, words in table.EN.items()},
    "de": {key: words for table in TABLES for key, words in {**table.EN, **table.DE}.items()},
}


def language() -> str:
    """The language of the page that is being drawn; outside of any page, the default."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return DEFAULT_LANGUAGE
    chosen = st.session_state.get(STATE, DEFAULT_LANGUAGE)
    return chosen if chosen in MESSAGES else DEFAULT_LANGUAGE


def preferred_language(accepted: str) -> str:
    """Return the language of a request by its `Accept-Language`; the default for any other."""
    code = accepted.strip().lower()[:2]
    return code if code in LANGUAGES else DEFAULT_LANGUAGE


def text(key: str, **values: object) -> str:
    """The sentence of this key with its values put in. Raises KeyError for an unknown key."""
    message = MESSAGES[language()][key]
    return message.format(**values) if values else message


def has_text(key: str) -> bool:
    """Return whether there is a sentence of this key."""
    return key in MESSAGES[DEFAULT_LANGUAGE]


def language_text(code: str) -> str:
    """Return the name of a language in the page's language; its code where there is none."""
    return text(f"language_{code}") if has_text(f"language_{code}") else code


def plural_text(key: str, count: int, **values: object) -> str:
    """The sentence for a number: its `_one` form for one of it. `{count}` has thousands' marks."""
    return text(f"{key}_one" if count == 1 else key, count=format_number(count), **values)


class Count(int):
    """A number for a sentence; its spec may have the forms of its noun: `{items:item|items}`."""

    def __format__(self, spec: str) -> str:
        one, mark, several = spec.partition("|")
        shown = format_number(int(self))
        return f"{shown} {one if self == 1 else several}" if mark else shown


def format_number(value: float, digits: int = 0) -> str:
    """A number as the page's language writes it: 1,234.5 or 1.234,5."""
    return with_marks(f"{value:,.{digits}f}", language())


def with_marks(number: str, chosen: str) -> str:
    """Return a number that is written as in English with the marks of a language."""
    return number.translate(_MARKS) if chosen in _DECIMAL_COMMA else number


def format_date(day: date, *, with_year: bool) -> str:
    """Return a date as the page's language writes it: 05 Mar 2024 or 05.03.2024."""
    return day.strftime(_DATES[language()][with_year])
