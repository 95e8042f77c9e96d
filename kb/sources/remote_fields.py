"""Fields of an answer that a remote service sent: of the expected type, or absent.

A field of another type is read as an absent one, so that one odd field of one medium does not end
a listing. Half of a surrogate pair, which JSON can hold and no file can, becomes a question mark.
"""

from __future__ import annotations

import math
from typing import Any


def text(value: object, default: str = "") -> str:
    """Return a text; `default` for anything else."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else default


def number(value: object) -> float | None:
    """Return a finite number that is not negative, also one written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def count(value: object) -> int | None:
    """Return a whole number that is not negative, also one written as text; else None."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def mapping(value: object) -> dict[str, Any]:
    """Return an object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; empty for anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def texts(value: object) -> tuple[str, ...]:
    """Return the texts of a list; empty for anything else."""
    rows = value if isinstance(value, list | tuple) else ()
    return tuple(text(each) for each in rows if isinstance(each, str))
