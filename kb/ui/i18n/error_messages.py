"""What the core says of trouble, in the words of the page.

The core and the queue's records speak English and to a command line. Here the sentences that
are met on the page are found by their own words and said in its language, and an option becomes
the name of its field. What is not known stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from kb.options import OPTIONS
from kb.ui.i18n import DEFAULT_LANGUAGE, error_sentences, language, text

_PREFIX = "problem_"
_FIELD = re.compile(r"\\\{(\w+)\\\}")


def _pattern(sentence: str) -> re.Pattern[str]:
    """The sentence, with anything in the place of its values."""
    return re.compile(_FIELD.sub(r"(?P<\1>.+?)", re.escape(sentence)))


_SENTENCES: Mapping[str, re.Pattern[str]] = {
    key.removeprefix(_PREFIX): _pattern(words)
    for key, words in error_sentences.EN.items()
    if key.startswith(_PREFIX)
}
# The label of an option's field, by its flag; some flags mostly carry a value.
_FIELDS = {
    option.flag.removeprefix("--").split("/")[0]: f"option_{option.name}"
    for option in OPTIONS.values()
}
# A whole command stays what it is: it is to be typed.
_OPTION = re.compile(
    r"(?P<command>\bkb [a-z][^.;,]*)"
    r"|--(?P<chosen>model|engine|language) (?P<value>[\w./-]*\w)"
    rf"|--(?P<option>{'|'.join(_FIELDS)})\b"
)


def translate_error(words: str) -> str:
    """A message or a hint of the core, as the page says it."""
    if language() != DEFAULT_LANGUAGE:
        for name, pattern in _SENTENCES.items():
            words = pattern.sub(partial(_translate_match, name), words)
    return _OPTION.sub(_field, words)


def _translate_match(name: str, found: re.Match[str]) -> str:
    return text(f"problem_{name}", **found.groupdict())


def _field(found: re.Match[str]) -> str:
    if found["command"]:
        return found[0]
    label = text(_FIELDS[found["chosen"] or found["option"]])
    if found["chosen"]:
        return text("field_is", name=label, value=found["value"])
    return text("field", name=label)
