"""Guards for the text of strangers in cells of spreadsheets, which could be formulas there."""

from __future__ import annotations

from typing import cast

import regex  # type: ignore[import-untyped]

from kb.types.safe_text import clean, printable

# A spreadsheet runs a cell that begins with one of these; some accept the wide and small forms.
_SIGN = "[=+\\-@＝＋－＠﹦﹢﹣﹫]"
# Characters that show nothing, so that programs drop them before a sign: white space, controls,
# marks without a letter, the fillers of Hangul and the blank of Braille.
_NOTHING = "[\\s\\p{Cf}\\p{Cc}\\p{Mn}\\p{Me}\u115f\u1160\u3164\uffa0\u2800\u034f]"
_RISKY_START = rf"(?:{_NOTHING}*{_SIGN}|[\t\r\n])"
# A sign behind a separator: of this table, or of another program that reads it. Such a program may
# take the quotes of this table for text, or the reverse. Of the signs behind a comma and a space,
# only `=` counts: `cold, -5 degrees` is prose, and a table quotes text with commas.
_BEHIND = rf"(?<=[;\t\r\n](?:{_NOTHING}|\")*%s)"
_BEHIND_COMMA = rf"(?<=,(?:(?![ \u00a0]){_NOTHING}|\")*%s)"
_EQUALS_BEHIND = rf"(?<=,(?:{_NOTHING}|\")*%s)(?=%s[=＝])"


def _behind_separator(text: str, following: str) -> str:
    """Return a pattern of places: behind a separator and `text`, before `following` and a sign."""
    places = f"{_BEHIND % text}|{_BEHIND_COMMA % text}|{_EQUALS_BEHIND % (text, following)}"
    return rf"(?={following}{_SIGN}(?!\)))(?:{places})"  # `;-)` is no formula


_START = regex.compile(_RISKY_START)
_PART = regex.compile(_behind_separator("", ""))
_EXACT_START = regex.compile(rf"'*{_RISKY_START}")
_EXACT_PART = regex.compile(_behind_separator("", "'*"))
_GUARD_OF_PART = regex.compile(f"'{_behind_separator(chr(39), chr(39) + '*')}")


def spreadsheet_cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula.

    A cell whose first visible character could begin one gets an apostrophe, which marks it as text.
    Spaces and invisible characters before it count for nothing, because programs drop them. A sign
    behind `,`, `;`, a tab or a line end gets one too, for a program with another separator.
    """
    safe = _PART.sub("'", printable(text.replace("\r\n", "\n")))
    return f"'{safe}" if _START.match(safe) or text[:1] in ("\t", "\r", "\n") else safe


def exact_cell(text: str) -> str:
    """Return text as `spreadsheet_cell` does, from which `exact_text` restores the same text.

    One apostrophe more is written where a text has apostrophes in these places already.
    """
    safe = _EXACT_PART.sub("'", clean(text))
    return f"'{safe}" if _EXACT_START.match(safe) else safe


def exact_text(cell: str) -> str:
    """Return the text of a cell that `exact_cell` or an earlier version guarded."""
    if cell.startswith("'") and _EXACT_START.match(cell, 1):
        cell = cell[1:]
    return cast(str, _GUARD_OF_PART.sub("", cell))
