"""Parts that this machine lacks for steps, without the modules that carry the steps out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kb import storage
from kb.enrich import STEPS, get_step
from kb.enrich.base import StepPart as StepPart
from kb.errors import KBError, UsageError


def lacking(name: str, options: Mapping[str, Any] | None = None) -> KBError | None:
    """Return the error of what this machine lacks for a step, None if all is here.

    `options` are those of its request. Raises UsageError for options that cannot be.
    """
    return get_step(name).missing_for(options or {})


def part_states() -> list[StepPart]:
    """Return the models that are fetched for steps, and what of them is here."""
    return [part for name in STEPS for part in get_step(name).part_states()]


def remove_part(name: str) -> int:
    """Remove a part from this machine; return its bytes.

    Raises UsageError for a part that is not removed here, ModelUnavailable and LibraryError.
    """
    part = next((each for each in part_states() if each.name == name and each.removable), None)
    if part is None:
        raise UsageError(
            "part.not_removable",
            "{name} is not a fetched part of a step on this machine.",
            hint="See what is here: kb doctor. Packages of Python are removed with pip.",
            name=name,
        )
    try:
        return get_step(part.step).remove(name)
    except OSError as error:
        raise storage.library_error(error, part.path or Path(name), "remove") from error
