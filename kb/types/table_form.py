"""The form of a CSV file: for programs, or for a spreadsheet of a language."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

CsvForm = Literal["plain", "excel", "excel-en", "excel-de"]

# Languages that write 1,5: spreadsheets set to them part cells by a semicolon.
_COMMA_LANGUAGES = (
    "af", "az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fo", "fr",
    "gl", "hr", "hu", "hy", "id", "is", "it", "ka", "kk", "kl", "lt", "lv", "mk", "nb", "nl", "nn",
    "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr", "uk", "uz", "vi",
)  # fmt: skip
_POINT_PLACES = (
    "de_CH", "de_LI", "es_DO", "es_GT", "es_HN", "es_MX", "es_NI", "es_PA", "es_PE", "es_PR",
    "es_SV", "es_US", "fr_CH", "it_CH",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableForm:
    """Separator of the cells, sign of the decimals, and whether the text begins with a mark."""

    separator: str = ","
    decimal: str = "."
    has_mark: bool = False


PLAIN_TABLE = TableForm()
_POINT = TableForm(",", ".", has_mark=True)
_COMMA = TableForm(";", ",", has_mark=True)


def table_form(name: CsvForm) -> TableForm:
    """Return a form; `excel` is that of this machine's language and country."""
    if name == "plain":
        return PLAIN_TABLE
    if name == "excel":
        windows = sys.platform == "win32"
        comma = _windows_decimal() == "," if windows else has_decimal_comma(locale_of_numbers())
        return _COMMA if comma else _POINT
    return _COMMA if name == "excel-de" else _POINT


def has_decimal_comma(locale: str) -> bool:
    """Return True for a locale such as `de_DE.UTF-8` whose decimals stand behind a comma."""
    place = locale.split(".")[0].split("@")[0].replace("-", "_")
    return place.split("_")[0].lower() in _COMMA_LANGUAGES and place not in _POINT_PLACES


def locale_of_numbers(environment: Mapping[str, str] = os.environ) -> str:
    """Return the locale of numbers, by the order of POSIX."""
    names = ("LC_ALL", "LC_NUMERIC", "LANG")
    return next((value for name in names if (value := environment.get(name))), "")


def _windows_decimal() -> str:
    """Return the decimal sign of the user's settings (`LOCALE_SDECIMAL`)."""
    buffer = ctypes.create_unicode_buffer(8)
    windll: Any = getattr(ctypes, "windll")  # noqa: B009  (absent elsewhere)
    windll.kernel32.GetLocaleInfoEx(None, 0x0E, buffer, len(buffer))
    return buffer.value or "."
