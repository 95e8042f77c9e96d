"""The descriptions of a model as data, and the error of values that do not fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.hub.weights import tensors
from kb.types.safe_text import printable


class Contradiction(Exception):
    """A value in a model's file that does not fit to the others."""

    def __init__(self, file: str, field: str, found: str, expected: str) -> None:
        super().__init__(f"{file}: {field} is {found}, not {expected}")
        self.file, self.field, self.found, self.expected = file, field, found, expected


@dataclass(frozen=True, slots=True)
class ModelDocuments:
    """The descriptions of a model by the names of their files; a missing one is empty."""

    folder: Path
    documents: Mapping[str, Mapping[str, Any]]

    def of(self, file: str) -> Mapping[str, Any]:
        """Return a document."""
        return self.documents.get(file, {})

    def integer(
        self, file: str, field: str, low: int, high: int, default: int | None = None
    ) -> int:
        """Return a whole number in its range. Raises Contradiction."""
        value = self.of(file).get(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise differs(file, field, value, f"a whole number from {low} to {high}")
        return value


def is_id(value: Any, last: int, low: int = 0) -> bool:
    """Return True for a whole number from `low` to `last`."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= last


def check_shapes(model: ModelDocuments, expected: Mapping[str, tuple[int, ...]]) -> None:
    """Compare the shapes of tensors, those of the headers. Raises Contradiction."""
    found = dict(tensors(model.folder))
    for tensor, shape in expected.items():
        # Weights may be saved with the prefix of the whole model or without it.
        own = found.get(tensor, found.get(tensor.removeprefix("model.")))
        if own is not None and own != shape:
            raise differs("config.json", f"the shape of {tensor}", list(own), str(list(shape)))


def differs(file: str, field: str, found: object, expected: str) -> Contradiction:
    """Return the error of a field."""
    return Contradiction(file, field, printable(repr(found))[:60], expected)
