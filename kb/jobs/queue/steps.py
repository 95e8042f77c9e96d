"""The steps that follow the words of items: requested, under way and ended.

One row for each item and step. As in the outbox, a waiting row belongs to no worker, workflows are
numbered (`serial`), and a workflow that is not the row's newest does nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from kb.database import Database, steps
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue.item_states import NORMAL
from kb.jobs.queue.numbered_rows import NO_ERROR, Enqueue, NumberedRows
from kb.jobs.queue.step_states import (
    CANCELLED,
    DONE,
    PRODUCT,
    RUNNING,
    SKIPPED,
    STEP_IN_PROGRESS,
    UNFINISHED,
    WAITING,
    StepRow,
    shown_step,
)
from kb.types.clock import SLACK_S

StepKey = tuple[str, str]
"""The name of a step and an item's id."""

_PRODUCTS = f"{PRODUCT}%"


class StepStore:
    """Reads and changes the rows. Every method raises LibraryError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows = NumberedRows(database, steps, steps.c.step)

    # Reading

    @repeated
    def for_items(self, ids: Sequence[str]) -> dict[str, tuple[StepRow, ...]]:
        """Return the rows of these items, in order of the steps' names."""
        found: dict[str, list[StepRow]] = {}
        query = sa.select(steps).order_by(steps.c.step)
        with self._database.begin() as connection:
            for start in range(0, len(ids), 10_000):
                part = ids[start : start + 10_000]
                for row in connection.execute(query.where(steps.c.item_id.in_(part))):
                    found.setdefault(row.item_id, []).append(_step_row(row))
        return {item_id: tuple(rows) for item_id, rows in found.items()}

    @repeated
    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of items in each state, by step; products are left out."""
        return self._counts(steps.c.step.not_like(_PRODUCTS))

    @repeated
    def product_counts(self) -> dict[str, dict[str, int]]:
        """Return the number of products in each state, by kind."""
        return self._counts(steps.c.step.like(_PRODUCTS))

    @repeated
    def products_under_way(self, most: int) -> list[StepRow]:
        """Return the products that have not ended, the running ones first; at most `most`."""
        c = steps.c
        which = sa.and_(c.step.like(_PRODUCTS), c.status.in_(UNFINISHED))
        order = (c.status != RUNNING, c.since, c.step, c.item_id)
        query = sa.select(steps).where(which).order_by(*order).limit(most)
        with self._database.begin() as connection:
            return [_step_row(row) for row in connection.execute(query)]

    def _counts(self, which: sa.ColumnElement[bool]) -> dict[str, dict[str, int]]:
        c = steps.c
        query = sa.select(c.step, c.status, sa.func.count()).where(which).group_by(c.step, c.status)
        found: dict[str, dict[str, int]] = {}
        with self._database.begin() as connection:
            for step, status, count in connection.execute(query.order_by(c.step, c.status)):
                counts = found.setdefault(shown_step(str(step)), {})
                counts[str(status)] = counts.get(str(status), 0) + int(count)
        return found

    @repeated
    def has_work(self, until: float) -> bool:
        """Return whether a step is in progress or due by a time (seconds since the epoch)."""
        active = sa.or_(steps.c.status.in_(STEP_IN_PROGRESS), _due(until))
        with self._database.begin() as connection:
            return connection.scalar(sa.select(sa.exists().where(active))) or False

    @repeated
    def unfinished_ids(self) -> list[str]:
        """Return the ids of the items with a step that has not ended."""
        query = sa.select(steps.c.item_id).where(steps.c.status.in_(UNFINISHED)).distinct()
        with self._database.begin() as connection:
            return [str(item_id) for item_id in connection.scalars(query)]

    @repeated
    def is_wanted(self, row: StepRow) -> bool:
        """Return False once a running step was cancelled, requested again or removed."""
        query = sa.select(steps.c.status).where(_key(row.step, row.item_id), _is(row))
        with self._database.begin() as connection:
            return connection.scalar(query) == RUNNING

    # Requests

    def submit(
        self,
        connection: sa.Connection,
        step: str,
        item_id: str,
        enqueue: Enqueue,
        *,
        priority: int = NORMAL,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue a step of an item in the caller's transaction, whatever its state is."""
        now = self._database.time(connection)
        self._database.insert_if_missing(
            connection, steps, step=step, item_id=item_id, status=CANCELLED, serial=0, since=now,
            updated_at=now,
        )  # fmt: skip
        query = sa.select(steps).where(_key(step, item_id)).with_for_update()
        row = connection.execute(query).one()
        values = {"attempts": 0, "since": now, "options": dict(options or {}), "progress": 0.0}
        self._rows.queue(connection, row, enqueue, priority=priority, **values)

    @repeated
    def request(
        self,
        keys: Collection[StepKey],
        enqueue: Enqueue,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue these steps, in one transaction."""
        with self._database.begin() as connection:
            for step, item_id in keys:
                self.submit(connection, step, item_id, enqueue, options=options)

    @repeated
    def skip(
        self, step: str, item_id: str, *, error: str, hint: str, problem: StoredProblem | None
    ) -> None:
        """Record that a step is not carried out, because something that it needs is missing."""
        with self._database.begin() as connection:
            now = self._database.time(connection)
            self._database.insert_if_missing(
                connection, steps, step=step, item_id=item_id, status=SKIPPED, serial=0, since=now,
                updated_at=now,
            )  # fmt: skip
            free = sa.and_(_key(step, item_id), steps.c.status.not_in(STEP_IN_PROGRESS))
            values = {"error": error, "hint": hint, "problem": problem, "due_at": None}
            change = sa.update(steps).where(free)
            connection.execute(change.values(status=SKIPPED, updated_at=now, **values))

    def retry(
        self, enqueue: Enqueue, statuses: Collection[str], ids: Sequence[str] | None = None
    ) -> list[StepKey]:
        """Queue steps in these states again, of these items or of all; return their keys."""
        condition = steps.c.status.in_(list(statuses))
        return self._rows.requeue(
            enqueue, condition, ids, attempts=0, since=self._database.time(), progress=0.0
        )

    @repeated
    def cancel(self, ids: Sequence[str], names: Collection[str] | None = None) -> list[StepRow]:
        """Cancel the unfinished steps of these items, with `names` these; return the old rows."""
        item_ids, dropped = frozenset(ids), []
        query = sa.select(steps).where(steps.c.status.in_(UNFINISHED))
        with self._database.begin() as connection:
            for row in connection.execute(query.with_for_update()).all():
                if row.item_id in item_ids and (names is None or row.step in names):
                    change = sa.update(steps).where(_key(row.step, row.item_id))
                    now = self._database.time(connection)
                    values = {**NO_ERROR, "due_at": None, "updated_at": now}
                    connection.execute(change.values(status=CANCELLED, **values))
                    dropped.append(_step_row(row))
        return dropped

    @repeated
    def retry_now(self) -> None:
        """Make every waiting step due now."""
        change = sa.update(steps).where(steps.c.status == WAITING)
        with self._database.begin() as connection:
            connection.execute(change.values(due_at=self._database.time(connection)))

    # Work

    @repeated
    def queued_at(self, step: str, item_id: str, serial: int) -> float | None:
        """Return when a step was asked for; None if its workflow has no work any more."""
        with self._database.begin() as connection:
            found = connection.scalar(sa.select(steps.c.since).where(_mine(step, item_id, serial)))
        return None if found is None else float(found)

    @repeated
    def claim(self, step: str, item_id: str, serial: int) -> StepRow | None:
        """Return the row for the workflow that carries it out; None if it has no work any more."""
        with self._database.begin() as connection:
            now = self._database.time(connection)
            change = sa.update(steps).where(_mine(step, item_id, serial))
            done = connection.execute(change.values(status=RUNNING, updated_at=now))
            if not done.rowcount:
                return None
            return _step_row(connection.execute(sa.select(steps).where(_key(step, item_id))).one())

    @repeated
    def finish(
        self,
        row: StepRow,
        status: str,
        *,
        error: str = "",
        hint: str = "",
        problem: StoredProblem | None = None,
        attempts: int = 0,
        due_at: float | None = None,
    ) -> bool:
        """End a claimed step, or let it wait; return False if it is not the caller's any more."""
        with self._database.begin() as connection:
            change = sa.update(steps).where(_key(row.step, row.item_id), _is(row))
            done = connection.execute(
                change.values(
                    status=status, progress=1.0 if status == DONE else 0.0, error=error, hint=hint,
                    problem=problem, attempts=attempts, due_at=due_at,
                    updated_at=self._database.time(connection),
                )
            )  # fmt: skip
            return bool(done.rowcount)

    @repeated
    def forget_products(self, before: float) -> int:
        """Delete the rows of products that ended before a time; return their number."""
        c = steps.c
        old = sa.delete(steps).where(
            c.step.like(_PRODUCTS), c.status.not_in(UNFINISHED), c.updated_at < before
        )
        with self._database.begin() as connection:
            return int(connection.execute(old).rowcount)

    def report(self, row: StepRow, progress: float) -> None:
        """Record the finished share of a running step."""
        with self._database.begin() as connection:
            change = sa.update(steps).where(_key(row.step, row.item_id), _is(row))
            connection.execute(change.values(progress=progress))

    def claim_due(self, now: float, enqueue: Enqueue) -> list[StepKey]:
        """Queue waiting steps whose time has come; each is queued by one caller."""
        return self._rows.requeue(enqueue, _due(now), progress=0.0)

    def requeue_lost(self, lost: Iterable[tuple[str, str, int]], enqueue: Enqueue) -> list[StepKey]:
        """Queue lost steps again; each of `lost` is (step, item id, serial)."""
        return self._rows.requeue_lost(lost, enqueue, STEP_IN_PROGRESS, progress=0.0)

    @repeated
    def adopt(self, results: Collection[StepKey]) -> int:
        """Add the folder's results that the table does not contain; return their number."""
        added = 0
        with self._database.begin() as connection:
            now = self._database.time(connection)
            known = set(connection.execute(sa.select(steps.c.step, steps.c.item_id)))
            for step, item_id in results:
                if (step, item_id) not in known:
                    self._database.insert_if_missing(
                        connection, steps, step=step, item_id=item_id, status=DONE, progress=1.0,
                        serial=0, since=now, updated_at=now,
                    )  # fmt: skip
                    added += 1
        return added


def _key(step: str, item_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(steps.c.step == step, steps.c.item_id == item_id)


def _mine(step: str, item_id: str, serial: int) -> sa.ColumnElement[bool]:
    """Return the condition that a workflow still has work."""
    return sa.and_(
        _key(step, item_id), steps.c.serial == serial, steps.c.status.in_(STEP_IN_PROGRESS)
    )


def _is(row: StepRow) -> sa.ColumnElement[bool]:
    """Return the condition that a claimed row is still the caller's."""
    return sa.and_(steps.c.serial == row.serial, steps.c.status == RUNNING)


def _due(now: float) -> sa.ColumnElement[bool]:
    c = steps.c
    # A row whose time of change is later than now was changed before the clock was set back.
    in_time = sa.or_(c.due_at <= now, c.updated_at > now + SLACK_S)
    return sa.and_(c.status == WAITING, in_time)


def _step_row(row: sa.Row[Any]) -> StepRow:
    options = row.options if isinstance(row.options, dict) else {}
    return StepRow(
        row.step, row.item_id, row.status, row.progress, row.error, row.hint, row.attempts,
        row.serial, row.priority, options, row.due_at, row.since, row.updated_at, row.problem,
    )  # fmt: skip
