"""The states of items, and rows of the items table as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from kb.database import items
from kb.errors import StoredProblem
from kb.jobs.queue.retry_schedule import LONGEST_INTERVAL_S
from kb.jobs.queue.workflow_ids import LISTING
from kb.library.left_out import Why
from kb.library.metadata import item_document, item_from_document
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem
from kb.types.clock import SLACK_S

QUEUED, RUNNING, PAUSED, WAITING = "queued", "running", "paused", "waiting"
DONE, FAILED, CANCELLED, HELD = "done", "failed", "cancelled", "held"
DISMISSED = "dismissed"  # failed, and a person does not want it
STATES = (QUEUED, RUNNING, PAUSED, WAITING, DONE, FAILED, CANCELLED, HELD, DISMISSED)
ACTIVE = (QUEUED, RUNNING, PAUSED, WAITING)
ENDED = (DONE, FAILED, CANCELLED, HELD, DISMISSED)
FIRST, NORMAL = 1, 1000  # priorities; small numbers first
BEING_FETCHED = "model.being_fetched"  # code of the reason of an item that waits for its model


@dataclass(frozen=True, slots=True)
class ListingJob:
    """A listing that a worker makes, and whose media it queues.

    `filter_values` are its filters as plain JSON values. `subscription_key` names the subscription
    that requested it; empty without one. `asked_at` is the time of the first request, in seconds
    since the epoch, or None if that is not recorded.
    """

    id: str
    reference: str
    filter_values: Mapping[str, Any]
    subscription_key: str = ""
    asked_at: float | None = None

    @property
    def filters(self) -> VideoFilters:
        """The filters. Raises UsageError naming the filter whose stored value cannot be used."""
        return VideoFilters.from_dict(self.filter_values)

    @property
    def title(self) -> str:
        return f"Listing of {self.reference}"


Job = MediaItem | ListingJob
"""The work that a row of the table requests from a worker."""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One row of the items table; times in seconds since the epoch."""

    id: str
    job: Job
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
    problem: StoredProblem | None = None
    expected_errors: float | None = None
    failing_since: float | None = None
    fencing_token: int = 0  # the number of the last attempt (`kb.library.fencing`)

    @property
    def title(self) -> str:
        return self.job.title

    @property
    def published(self) -> str:
        """The medium's ISO date; empty for a listing."""
        return self.job.published if isinstance(self.job, MediaItem) else ""

    @property
    def item(self) -> MediaItem:
        """The medium. Raises TypeError for a listing: check `job` where it may be one."""
        if not isinstance(self.job, MediaItem):
            raise TypeError(f"{self.id} is a listing and not a medium")
        return self.job


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """An item for lists: it is read without parsing JSON, so that thousands are read quickly."""

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
    problem: StoredProblem | None = None
    expected_errors: float | None = None
    executor: str = ""  # the worker that has it, or had it last
    failing_since: float | None = None  # the first failure of a series, in epoch seconds


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """An item of the library folder; `run` is the number of the run that made its transcript.

    `ended_at` is the time in epoch seconds at which that was, None if it is not recorded.
    """

    item: MediaItem
    state: str
    error: str = ""
    hint: str = ""
    run: int = 1
    grade: str = ""
    problem: StoredProblem | None = None
    expected_errors: float | None = None
    ended_at: float | None = None


class SkipCode(StrEnum):
    """The reasons for which a requested item is not queued."""

    QUEUED = "queued"  # in the queue, or processed by a worker
    WAITING = "waiting"  # in the queue, to be started at a later time
    PAUSED = "paused"  # paused by a person
    DONE = "done"
    HELD = "held"
    DUPLICATE = "duplicate"  # requested twice in one call
    # By a person; a request that names it alone takes it in again.
    REMOVED = "removed"
    CANCELLED = "cancelled"
    DISMISSED = "dismissed"
    FILES_GONE = "files gone"


LEFT_OUT = (SkipCode.REMOVED, SkipCode.CANCELLED, SkipCode.DISMISSED, SkipCode.FILES_GONE)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that was requested and not queued; `reason` is the sentence for `code`."""

    id: str
    reason: str
    code: SkipCode

    @property
    def is_pending(self) -> bool:
        """True if a worker processes the item without a further request."""
        return self.code in (SkipCode.QUEUED, SkipCode.WAITING)


def summary_columns(state: sa.ColumnElement[str], now: float) -> tuple[sa.ColumnElement[Any], ...]:
    """Return the columns of an `ItemSummary` in their order; `state` is the state to show."""
    c = items.c
    return (
        c.id, c.title, c.stage, state, c.progress, c.error, c.hint, c.attempts, next_try_at(now),
        c.grade, c.problem, c.expected_errors, c.executor, c.failing_since,
    )  # fmt: skip


def next_try_at(now: float) -> sa.ColumnElement[float | None]:
    """Return the time of an item's next try: now, where the recorded one cannot be believed.

    Such an item is tried at once (`ItemQueries.due`, `kb.jobs.queue.failed_items`). `now` is in
    epoch seconds.
    """
    c = items.c
    is_far = sa.and_(c.state == FAILED, c.wait_until > now + LONGEST_INTERVAL_S + SLACK_S)
    is_later = sa.and_(c.state == WAITING, c.updated_at > now + SLACK_S, c.wait_until > now)
    return sa.case((sa.or_(is_far, is_later), sa.literal(now)), else_=c.wait_until)


def shown_until(wait_until: float | None, problem: StoredProblem | None) -> float | None:
    """Return the time to show as the end of a wait; a model that is fetched has none."""
    return None if problem and problem.get("code") == BEING_FETCHED else wait_until


def described(job: Job) -> dict[str, Any]:
    """Return the columns that describe a job."""
    if isinstance(job, ListingJob):
        return {
            "title": job.title, "source": LISTING, "reference": job.reference,
            "published": "", "duration_s": None, "item": _listing_document(job),
        }  # fmt: skip
    return {
        "title": job.title, "source": job.source, "reference": job.url,
        "published": job.published, "duration_s": job.duration_s,
        "item": item_document(job),
    }  # fmt: skip


def _listing_document(job: ListingJob) -> dict[str, Any]:
    # These keys must not change: rows of the previous version use them too.
    extra: dict[str, Any] = {"filters": dict(job.filter_values), "followed": job.subscription_key}
    if job.asked_at is not None:
        extra["asked_at"] = job.asked_at
    return {
        "id": job.id, "source": LISTING, "url": job.reference, "title": job.title, "extra": extra,
    }  # fmt: skip


def _job_from(columns: Mapping[str, Any]) -> Job:
    document = columns["item"]
    if columns["source"] != LISTING:
        return replace(item_from_document(document), id=columns["id"])
    extra = document["extra"]
    # The filters are checked when they are used: an invalid value must fail the job, not the
    # reading of its row.
    return ListingJob(
        id=columns["id"],
        reference=document["url"],
        filter_values=extra.get("filters", {}),
        subscription_key=extra.get("followed", ""),
        asked_at=extra.get("asked_at"),
    )


def row_from(columns: Mapping[str, Any]) -> ItemRow:
    """Return a row of the table as an `ItemRow`."""
    return ItemRow(
        id=columns["id"], job=_job_from(columns), options=columns["options"] or {},
        state=columns["state"], stage=columns["stage"], progress=columns["progress"],
        error=columns["error"], hint=columns["hint"], attempts=columns["attempts"],
        deaths=columns["deaths"], run=columns["run"], serial=columns["serial"],
        executor=columns["executor"], priority=columns["priority"],
        wait_until=columns["wait_until"], updated_at=columns["updated_at"],
        grade=columns["grade"], problem=columns["problem"],
        expected_errors=columns["expected_errors"], failing_since=columns["failing_since"],
        fencing_token=columns["fencing_token"],
    )  # fmt: skip


def is_recording() -> sa.ColumnElement[bool]:
    """Return the condition of items: recordings. Looks and other listings are none."""
    return items.c.source != LISTING


def is_shown_listing(state: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Return the condition of the looks and other listings that are listed with the queue.

    Looks at followed sources that ended otherwise than with an error have a history of their own
    (`kb.sources.looks`). `state` is the state shown.
    """
    return sa.and_(
        items.c.source == LISTING, sa.or_(sa.not_(is_look()), state.in_((*ACTIVE, FAILED)))
    )


def is_look() -> sa.ColumnElement[bool]:
    """Return the condition of looks at followed sources."""
    followed = sa.func.coalesce(items.c.item["extra"]["followed"].as_string(), "")
    return sa.and_(items.c.source == LISTING, followed != "")


def effective_state(live_workers: Collection[str] | None) -> sa.ColumnElement[str]:
    """Return the state to show: a dead worker's running items are shown as queued."""
    if live_workers is None:
        return items.c.state
    left = sa.and_(items.c.state == RUNNING, items.c.executor.not_in(list(live_workers)))
    return sa.case((left, QUEUED), else_=items.c.state)


def already_queued(item_id: str) -> Skipped:
    """Return the `Skipped` for an item that is queued or in progress."""
    return Skipped(item_id, "already queued", SkipCode.QUEUED)


def skipped_as(item_id: str, why: Why) -> Skipped:
    """Return the `Skipped` for an item of a list that a person left out earlier."""
    act = "its files were deleted" if why is Why.FILES_GONE else f"it was {why}"
    reason = f"{act}; kb ingest with its own address takes it in again"
    return Skipped(item_id, reason, SkipCode(why))


def check_skipped(row: ItemRow, again: bool) -> Skipped | None:
    """Return the reason for skipping a requested item; None if it must be queued."""
    if row.state in (QUEUED, RUNNING):
        return already_queued(row.id)
    if row.state in (PAUSED, WAITING):
        return Skipped(row.id, f"already queued ({row.state})", SkipCode(row.state))
    if again:
        return None
    if row.state == DONE:
        return Skipped(row.id, "already in the library", SkipCode.DONE)
    if row.state == HELD:
        return Skipped(row.id, f"held for review: {row.error}", SkipCode.HELD)
    return None
