"""The result of one check of this machine, with a code and values as errors have them.

A check that finds nothing wrong has a sentence too, so that each can be shown in any language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kb.errors import KBError, StoredProblem

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One finding; `fix` is the next step where `state` is not ok."""

    name: str
    state: State
    detail: str
    fix: str = ""
    problem: StoredProblem | None = None

    @classmethod
    def of(cls, name: str, state: State, found: KBError) -> HealthCheck:
        """Return the check whose finding and next step are those of an error or a sentence."""
        return cls(name, state, found.message, found.hint, found.problem)


def with_commas(parts: Sequence[KBError | str]) -> KBError | str:
    """Return the parts as one, with commas between them."""
    if len(parts) < 2:
        return parts[0] if parts else ""
    return KBError("clause.comma", "{parts:, }", parts=list(parts))


def with_semicolons(parts: Sequence[KBError | str]) -> KBError | str:
    """Return the parts as one, with semicolons between them."""
    if len(parts) < 2:
        return parts[0] if parts else ""
    return KBError("clause.semicolon", "{parts:; }", parts=list(parts))
