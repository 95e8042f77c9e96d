"""Errors in the words of the page: by their code, in its language.

The core's errors are English and written for a command line. A page shows the text of an error's
code in its own language, with the error's values; an option becomes the label of its field, and a
command the place that does the same (`page_places`). An
error without a code, or stored by a version whose sentence had other values, is shown
in its stored English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from kb.errors import KBError, NestedText, Number, StoredProblem, render, restored
from kb.export_options import LAYOUT_OPTIONS
from kb.options import OPTIONS
from kb.settings import Settings
from kb.ui.i18n import (
    MESSAGES,
    errors,
    has_text,
    language,
    machine_reasons,
    page_places,
    page_steps,
    text,
    with_marks,
)

# The label of an option's field, by its flag; some flags mostly carry a value.
_FIELDS = {
    option.flag.removeprefix("--").split("/")[0]: f"option_{option.name}"
    for option in (*OPTIONS.values(), *LAYOUT_OPTIONS.values())
}


class Translation(NamedTuple):
    """An error's message and next step as the page shows them."""

    message: str
    hint: str


class StoredError(Protocol):
    """A row or record with an error of the core."""

    @property
    def error(self) -> str: ...

    @property
    def hint(self) -> str: ...

    @property
    def problem(self) -> StoredProblem | None: ...


def translate_error(error: KBError, chosen: str = "") -> Translation:
    """Return an error's message and hint in the page's language, or in the chosen one."""
    table = errors.BY_LANGUAGE[chosen or language()]
    if error.code in table:
        try:
            # Each nested error is translated once: a chain of them would take time without end
            # if message and hint translated it again at each level.
            values = {
                name: _shown(name, value, chosen or language())
                for name, value in error.values.items()
            }
            if signs := str(values.get("signs", "")):
                values["why"] = f" ({', '.join(map(flag_label, signs.split(',')))})"
            message, hint = (render(part, values) for part in table[error.code])
        except (KeyError, ValueError, AttributeError):
            pass  # stored by a version whose sentence had other values
        else:
            return _with_labels(message, hint, error.code)
    return _with_labels(error.message, _page_step(error), error.code)


def _shown(name: str, value: object, chosen: str) -> object:
    """Return a value as a sentence of a language shows it.

    A text is shown as it is, but for a reason or a state by its field's name, and for a size.
    """
    if isinstance(value, dict):
        return _nested(value, chosen)
    if isinstance(value, list):
        return [_shown(name, each, chosen) for each in value]
    if type(value) is int:
        return _Whole(value).of(chosen)
    if isinstance(value, float):
        return _Fraction(value).of(chosen)
    if not isinstance(value, str):
        return value
    if name == "reason":
        return machine_reasons.translated(value, chosen)
    if name == "state":
        return MESSAGES[chosen].get(f"state_{value}", value)
    return with_marks(value, chosen) if _SIZE.fullmatch(value) else value


_SIZE = re.compile(r"\d+(\.\d+)? [GM]B")  # see `kb.storage.free_space.size_text`
_DIGITS = re.compile(r"\d[\d.,]*\d")


class _Whole(Number):
    """A whole number, formatted as a language writes it; as it is without a format."""

    chosen = ""

    def of(self, chosen: str) -> _Whole:
        self.chosen = chosen
        return self

    def __format__(self, spec: str) -> str:
        return _formatted(super().__format__(spec), self.chosen)


class _Fraction(float):
    """The same for a fraction."""

    chosen = ""

    def of(self, chosen: str) -> _Fraction:
        self.chosen = chosen
        return self

    def __format__(self, spec: str) -> str:
        return _formatted(super().__format__(spec), self.chosen)


def _formatted(shown: str, chosen: str) -> str:
    return _DIGITS.sub(lambda digits: with_marks(digits[0], chosen), shown)


def machine_reason(words: str) -> str:
    """Return a reason of the device in the page's language."""
    return machine_reasons.translated(words, language())


def _page_step(error: KBError) -> str:
    """Return the next step of an English error as the page has it."""
    template = page_steps.EN.get(error.code)
    if template is None:
        return error.hint
    try:
        return render(template, dict(error.values), _nested)
    except (KeyError, ValueError, AttributeError):
        return error.hint  # stored by a version whose sentence had other values


def flag_label(name: str) -> str:
    """Return a failed quality check in words of the page's language."""
    key = f"sign_{name}"
    return text(key) if has_text(key) else name.replace("_", " ")


def translate_stored(row: StoredError) -> Translation:
    """Return the error of a row or record in the page's language."""
    return translate_error(restored(row.error, row.hint, row.problem))


def _nested(problem: StoredProblem, chosen: str = "") -> NestedText:
    return NestedText(
        *translate_error(restored(problem["message"], problem.get("hint", ""), problem), chosen)
    )


# A whole command stays what it is: it is to be typed.
_OPTION = re.compile(
    r"(?P<command>\bkb [a-z][^.;,]*)"
    r"|--(?P<chosen>model|engine|language) (?P<value>[\w./-]*\w)"
    rf"|--(?P<option>{'|'.join(_FIELDS)})\b"
)


def _with_labels(message: str, hint: str, code: str) -> Translation:
    """Put the labels of fields in the place of options, and places in that of commands.

    The message of a check or a clause may have a next step of another error within it.
    """
    step = page_places.with_places(hint, text, code)
    if code.startswith(("check.", "clause.")):
        message = page_places.with_places(message, text, code)
    return Translation(_OPTION.sub(_field, message), _with_settings(_OPTION.sub(_field, step)))


# A setting in a next step, with or without a value; not before a command that is to be typed.
_SETTING = re.compile(r"\b(?P<name>(?:KB|ODIN|YT)_[A-Z0-9_]+)(?:=[\w./-]*\w)?(?![\w=]| kb\b)")
_NOT_HERE = frozenset({"KB_HOME", "KB_DATABASE_URL", "KB_EXECUTOR_ID"})  # of the whole program


@cache
def _settings_of_the_page() -> frozenset[str]:
    """Return the names of the settings that have a field under Settings, Advanced."""
    fields = Settings.model_fields.values()
    open_ones = (f for f in fields if not isinstance(f.get_default(call_default_factory=True),
                                                     SecretStr))  # fmt: skip
    return frozenset(str(field.alias) for field in open_ones) - _NOT_HERE


def _with_settings(step: str) -> str:
    """Name the place of the first setting in a next step that names no place of Settings."""
    if any(sentences["tab_settings"] in step for sentences in MESSAGES.values()):
        return step
    for found in _SETTING.finditer(step):
        if found["name"] in _settings_of_the_page():
            before, after, place = step[: found.end()], step[found.end() :], text("place_config")
            within = after.startswith(")")  # the setting is in brackets already
            return f"{before}, {place}{after}" if within else f"{before} ({place}){after}"
    return step


def _field(found: re.Match[str]) -> str:
    if found["command"]:
        return found[0]
    label = text(_FIELDS[found["chosen"] or found["option"]])
    if found["chosen"]:
        return text("field_is", name=label, value=found["value"])
    return text("field", name=label)
