"""Mistakes in values that pydantic checks."""

from __future__ import annotations

from pydantic import ValidationError


def first_mistake(error: ValidationError) -> tuple[str, str]:
    """Return the field of the first mistake, empty for the whole value, and pydantic's reason.

    The value is left out of the reason: it may be a secret.
    """
    first = error.errors(include_input=False, include_url=False)[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
