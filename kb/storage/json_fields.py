"""Checked reading of JSON documents."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from kb.errors import LibraryError

_REQUIRED = ...


class Fields:
    """Reads a JSON object field by field; an error names the file and the field.

    Every method takes a default for an absent (or null) field; without a default, absence is an
    error. Errors are LibraryError with `hint`.
    """

    def __init__(self, document: Mapping[str, Any], where: str, *, hint: str) -> None:
        self._document = document
        self._where = where
        self._hint = hint

    def _value(self, name: str, kinds: tuple[type, ...], expected: str, default: Any) -> Any:
        value = self._document.get(name)
        if value is None and default is not _REQUIRED:
            return default
        # bool is a subclass of int in Python, but true is not a number of seconds.
        wrong = isinstance(value, bool) or not isinstance(value, kinds)
        # Python's reader accepts NaN and Infinity, which are neither JSON nor a time.
        if wrong or (isinstance(value, float) and not math.isfinite(value)):
            raise self.error(name, f"{expected} expected, found {_shown(value)}")
        return value

    def error(self, name: str, problem: str) -> LibraryError:
        """Return an error about the field `name`."""
        return LibraryError(
            "json.field",
            "{where}, field {name!r}: {problem}.",
            hint="{next_step}",
            where=self._where,
            name=name,
            problem=problem,
            next_step=self._hint,
        )

    def text(self, name: str, default: Any = ...) -> Any:
        """Return a string."""
        return self._value(name, (str,), "text", default)

    def number(self, name: str, default: Any = ...) -> Any:
        """Return a number as float."""
        value = self._value(name, (int, float), "a number", default)
        return float(value) if isinstance(value, int) else value

    def whole(self, name: str, default: Any = ...) -> Any:
        """Return an integer."""
        return self._value(name, (int,), "a whole number", default)

    def flag(self, name: str, default: Any = ...) -> Any:
        """Return a boolean."""
        value = self._document.get(name)
        if isinstance(value, bool):
            return value
        if value is None and default is not _REQUIRED:
            return default
        raise self.error(name, f"true or false expected, found {_shown(value)}")

    def mapping(self, name: str, default: Any = ...) -> Any:
        """Return a JSON object as dict."""
        return self._value(name, (dict,), "an object", default)

    def inner(self, name: str) -> Fields:
        """Return the reader of an inner object; an absent object is read as empty."""
        return Fields(self.mapping(name, {}), f"{self._where}, {name}", hint=self._hint)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, empty if absent."""
        values = self._value(name, (list,), "a list", [])
        for value in values:
            if not isinstance(value, str):
                raise self.error(name, f"a list of texts expected, found {_shown(value)} in it")
        return tuple(values)

    def wholes(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers, empty if absent."""
        values = self._value(name, (list,), "a list", [])
        for value in values:
            if not isinstance(value, int) or isinstance(value, bool):
                raise self.error(name, f"whole numbers expected, found {_shown(value)} in it")
        return tuple(values)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of numbers, empty if absent."""
        values = self._value(name, (list,), "a list", [])
        for value in values:
            known = isinstance(value, int | float) and not isinstance(value, bool)
            if not known or not math.isfinite(value):
                raise self.error(name, f"numbers expected, found {_shown(value)} in it")
        return tuple(map(float, values))

    def spans(self, name: str) -> tuple[tuple[float, float], ...]:
        """Return a list of pairs of numbers (start and end), empty if absent."""
        found = []
        for value in self._value(name, (list,), "a list", []):
            if not isinstance(value, list) or len(value) != 2:
                raise self.error(name, f"pairs of numbers expected, found {_shown(value)}")
            pair = Fields(dict(zip(("start", "end"), value, strict=True)), self._where, hint="")
            try:
                found.append((pair.number("start"), pair.number("end")))
            except LibraryError:
                problem = f"pairs of numbers expected, found {_shown(value)}"
                raise self.error(name, problem) from None
        return tuple(found)

    def objects(self, name: str, *, required: bool = False) -> Iterator[Fields]:
        """Yield a reader for each object of a list; errors name its index."""
        values = self._value(name, (list,), "a list", ... if required else [])
        for index, value in enumerate(values):
            if not isinstance(value, dict):
                raise self.error(f"{name}[{index}]", f"an object expected, found {_shown(value)}")
            yield Fields(value, f"{self._where}, {name}[{index}]", hint=self._hint)


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
