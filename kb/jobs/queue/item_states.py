"""The states of items, and rows of the items table as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from kb.database import items
from kb.library.metadata import item_document, item_from_document
from kb.types import MediaItem

QUEUED, RUNNING, PAUSED, WAITING = "queued", "running", "paused", "waiting"
DONE, FAILED, CANCELLED, HELD = "done", "failed", "cancelled", "held"
STATES = (QUEUED, RUNNING, PAUSED, WAITING, DONE, FAILED, CANCELLED, HELD)
ACTIVE = (QUEUED, RUNNING, PAUSED, WAITING)
ENDED = (DONE, FAILED, CANCELLED, HELD)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One item as the table has it; times in seconds since the epoch."""

    id: str
    item: MediaItem
    options: Mapping[str, Any]
    state: str
    stage: str
    progress: float
    error: str
    hint: str
    attempts: int
    deaths: int
    run: int
    serial: int
    executor: str
    priority: int
    wait_until: float | None
    updated_at: float
    grade: str = ""

    @property
    def title(self) -> str:
        return self.item.title


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """What a listing shows of an item: no JSON is read for it, so that thousands are cheap."""

    id: str
    title: str
    stage: str
    state: str
    progress: float
    error: str
    hint: str
    attempts: int
    wait_until: float | None
    grade: str = ""


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """An item that the library folder holds; `run` is the asking that its transcript answers."""

    item: MediaItem
    state: str
    error: str = ""
    hint: str = ""
    run: int = 1
    grade: str = ""


def summary_columns(state: sa.ColumnElement[str]) -> tuple[sa.ColumnElement[Any], ...]:
    """The columns of a `ItemSummary`, in its order; `state` is the state to be shown."""
    c = items.c
    return (
        c.id, c.title, c.stage, state, c.progress, c.error, c.hint, c.attempts, c.wait_until,
        c.grade,
    )  # fmt: skip


def described(item: MediaItem) -> dict[str, Any]:
    """The columns that say what an item is."""
    return {
        "title": item.title, "source": item.source, "reference": item.url,
        "published": item.published, "duration_s": item.duration_s,
        "item": item_document(item),
    }  # fmt: skip


def row_from(columns: Mapping[str, Any]) -> ItemRow:
    """A row of the table as a value."""
    item = item_from_document(columns["item"])
    return ItemRow(
        id=columns["id"], item=replace(item, id=columns["id"]), options=columns["options"] or {},
        state=columns["state"], stage=columns["stage"], progress=columns["progress"],
        error=columns["error"], hint=columns["hint"], attempts=columns["attempts"],
        deaths=columns["deaths"], run=columns["run"], serial=columns["serial"],
        executor=columns["executor"], priority=columns["priority"],
        wait_until=columns["wait_until"], updated_at=columns["updated_at"],
        grade=columns["grade"],
    )  # fmt: skip


def effective_state(live_workers: Collection[str] | None) -> sa.ColumnElement[str]:
    """The state to be shown: what a worker that is gone was running goes on later."""
    if live_workers is None:
        return items.c.state
    left = sa.and_(items.c.state == RUNNING, items.c.executor.not_in(list(live_workers)))
    return sa.case((left, QUEUED), else_=items.c.state)


def skip_reason(row: ItemRow, again: bool) -> str:
    """Why an item that was asked for needs nothing done; empty if it does."""
    if row.state in (QUEUED, RUNNING):
        return "already queued"
    if row.state in (PAUSED, WAITING):
        return f"already queued ({row.state})"
    if again:
        return ""
    if row.state == DONE:
        return "already in the library"
    if row.state == HELD:
        return f"held for review: {row.error}"
    return ""
