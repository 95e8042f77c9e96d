"""The outbox, read: the entries of items, counts, and work that is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from kb.database import Database, deliveries, steps
from kb.database.repeating import repeated
from kb.jobs.queue.outbox_states import (
    AWAITS_STEPS,
    DEFERRED,
    IN_PROGRESS,
    MISSING,
    SYNCED,
    WAITING,
    OutboxEntry,
)
from kb.jobs.queue.step_states import PRODUCT, UNFINISHED
from kb.types.clock import SLACK_S


class OutboxQueries:
    """Reads the rows. Every method raises LibraryError when the database fails."""

    def __init__(self, database: Database, project: str = "") -> None:
        self._database = database
        self._project = project

    @repeated
    def for_items(self, ids: Sequence[str]) -> dict[str, tuple[OutboxEntry, ...]]:
        """Return the entries of these items, in order of the knowledge bases' names."""
        found: dict[str, list[OutboxEntry]] = {}
        query = sa.select(deliveries).order_by(deliveries.c.sink)
        with self._database.begin() as connection:
            for start in range(0, len(ids), 10_000):
                part = ids[start : start + 10_000]
                for row in connection.execute(query.where(deliveries.c.item_id.in_(part))):
                    entry = outbox_entry(row)
                    if self._is_elsewhere(row):
                        entry = replace(entry, status=MISSING)
                    found.setdefault(row.item_id, []).append(entry)
        return {item_id: tuple(rows) for item_id, rows in found.items()}

    @repeated
    def states_in(self, sink: str) -> dict[str, str]:
        """Return the state of every item that was ever queued for a knowledge base, by id."""
        c = deliveries.c
        query = sa.select(c.item_id, c.status, c.project).where(c.sink == sink)
        with self._database.begin() as connection:
            return {
                str(row.item_id): MISSING if self._is_elsewhere(row) else str(row.status)
                for row in connection.execute(query)
            }

    @repeated
    def last_change(self, sink: str) -> float:
        """Return when a delivery to a knowledge base last changed, in epoch seconds; 0 if never."""
        c = deliveries.c
        with self._database.begin() as connection:
            newest = connection.scalar(sa.select(sa.func.max(c.updated_at)).where(c.sink == sink))
        return float(newest or 0.0)

    @repeated
    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of items in each state, by knowledge base."""
        c = deliveries.c
        elsewhere = sa.and_(c.status == SYNCED, c.project != self._project)
        shown: sa.ColumnElement[str] = c.status
        if self._project:
            shown = sa.case((elsewhere, sa.literal_column(f"'{MISSING}'")), else_=c.status)
        query = sa.select(c.sink, shown, sa.func.count()).group_by(c.sink, shown)
        found: dict[str, dict[str, int]] = {}
        with self._database.begin() as connection:
            for sink, status, count in connection.execute(query.order_by(c.sink, shown)):
                found.setdefault(str(sink), {})[str(status)] = int(count)
        return found

    @repeated
    def has_work(self, until: float, paused_sinks: Collection[str] = ()) -> bool:
        """Return whether an entry is in progress or due by a time (seconds since the epoch)."""
        active = sa.or_(deliveries.c.status.in_(IN_PROGRESS), sa.and_(*due(until, paused_sinks)))
        with self._database.begin() as connection:
            return connection.scalar(sa.select(sa.exists().where(active))) or False

    def _is_elsewhere(self, row: Any) -> bool:
        return bool(
            row.status == SYNCED
            and self._project
            and row.project is not None
            and row.project != self._project
        )


def due(now: float, paused_sinks: Collection[str]) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the conditions of a waiting entry that is due, of sinks that are not paused.

    One that waits for the steps of its item is due when the last of them has ended. That is read
    from the steps' own rows: a step may end in a worker of another version.
    """
    c = deliveries.c
    # A row whose time of change is later than now was changed before the clock was set back.
    in_time = sa.or_(c.due_at <= now, c.updated_at > now + SLACK_S)
    unfinished = sa.exists().where(
        steps.c.item_id == c.item_id, steps.c.status.in_(UNFINISHED),
        steps.c.step.not_like(f"{PRODUCT}%"),
    )  # fmt: skip
    ended = sa.and_(
        c.status == WAITING, c.problem["code"].as_string() == AWAITS_STEPS, sa.not_(unfinished)
    )
    return (c.status.in_(DEFERRED), sa.or_(in_time, ended), c.sink.not_in(list(paused_sinks)))


def outbox_entry(row: sa.Row[Any]) -> OutboxEntry:
    """Return the entry of a row."""
    return OutboxEntry(
        row.sink, row.item_id, row.status, row.error, row.hint, row.attempts, row.serial,
        row.extra, row.due_at, row.since, row.problem, row.updated_at,
    )  # fmt: skip
