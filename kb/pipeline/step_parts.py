"""Parts that this machine lacks for steps, without the modules that carry the steps out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kb.enrich import get_step
from kb.errors import KBError


def lacking(name: str, options: Mapping[str, Any] | None = None) -> KBError | None:
    """Return the error of what this machine lacks for a step, None if all is here.

    `options` are those of its request. Raises UsageError for options that cannot be.
    """
    return get_step(name).missing_for(options or {})
