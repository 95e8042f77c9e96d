"""The states of a step that follows an item's words, and one row of the steps' table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kb.errors import StoredProblem

QUEUED, RUNNING = "queued", "running"
WAITING = "waiting"  # until `due_at`; `error` has the reason
DONE, FAILED, CANCELLED = "done", "failed", "cancelled"
SKIPPED = "skipped"  # something that it needs is missing; `hint` has the command that brings it
STEP_IN_PROGRESS = (QUEUED, RUNNING)
UNFINISHED = (QUEUED, RUNNING, WAITING)
# The name of a row that makes a product (a film, an evidence pack) begins with this; its kind and
# the mark of its order follow.
PRODUCT = "make:"
STEP_STATES = (QUEUED, RUNNING, WAITING, DONE, FAILED, CANCELLED, SKIPPED)


@dataclass(frozen=True, slots=True)
class StepRow:
    """One row; times in seconds since the epoch, `progress` 0..1."""

    step: str
    item_id: str
    status: str
    progress: float
    error: str
    hint: str
    attempts: int
    serial: int
    priority: int
    options: Mapping[str, Any]
    due_at: float | None
    since: float
    updated_at: float
    problem: StoredProblem | None = None


def product_step(kind: str, order: str) -> str:
    """Return the name of the row that makes a product; `order` is the mark of what is ordered."""
    return f"{PRODUCT}{kind}:{order}"


def is_product(step: str) -> bool:
    """Return True for a row that makes a product: no other work waits for it."""
    return step.startswith(PRODUCT)


def shown_step(step: str) -> str:
    """Return the name of a step for a person: of a product, its kind."""
    return step.split(":")[1] if is_product(step) else step
