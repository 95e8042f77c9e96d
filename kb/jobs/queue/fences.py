"""Fences of the rows: which attempt, or which person, may write the files of an item now.

See `kb.library.fencing`. A guard locks the item's row until the files are in their places, so that
no other process can take the item, edit it or remove it in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, deliveries, items, steps
from kb.database.fencing import next_number
from kb.database.repeating import repeated
from kb.errors import Cancelled, KBError, Superseded, UsageError
from kb.jobs.queue.item_states import ACTIVE, CANCELLED, FAILED, PAUSED, RUNNING, ItemRow
from kb.jobs.queue.outbox_states import OutboxEntry
from kb.jobs.queue.step_states import RUNNING as STEP_RUNNING
from kb.jobs.queue.step_states import StepRow
from kb.library.fencing import Fence

LATE_S = 2.0  # for an answer of the database

_c = items.c


@dataclass(frozen=True)
class Fences:
    """The fences of one library's items. Guards raise LibraryError when the database fails."""

    database: Database

    @contextmanager
    def row_lock(self, item_id: str) -> Iterator[None]:
        """Lock the item's row for the block, whatever its state; nothing for an item without one.

        For changes of single facts in a record, such as a publication's state: they keep all that
        others wrote.
        """
        with self.database.begin() as connection:
            self._row(connection, item_id)
            yield

    def attempt(self, row: ItemRow) -> Fence:
        """Return the fence of a worker's attempt; `row` is what `ItemStore.claim` returned."""

        def check(now: Any) -> None:
            if now is not None and now.state in (CANCELLED, PAUSED) and now.serial == row.serial:
                raise _cancelled()
            if now is None:
                raise _superseded(row, now)
            own = (now.serial, now.executor, now.state) == (row.serial, row.executor, RUNNING)
            if not own or now.fencing_token != row.fencing_token:
                raise _superseded(row, now)

        return self._fence(row.id, row.fencing_token, check)

    def failed_attempt(self, row: ItemRow) -> Fence:
        """Return the fence for the record of a failure that the row has already."""

        def check(now: Any) -> None:
            same = now is not None and (now.serial, now.state) == (row.serial, FAILED)
            if not same or now.fencing_token != row.fencing_token:
                raise _superseded(row, now)

        return self._fence(row.id, row.fencing_token, check)

    def wanted(self, row: ItemRow) -> Fence:
        """Return the fence of work beside an item's attempts, as long as the item is wanted."""

        def check(now: Any) -> None:
            if now is None or now.run != row.run or now.state in (CANCELLED, PAUSED):
                raise _cancelled()

        return self._fence(row.id, 0, check)

    @repeated
    def by_hand(self, item_id: str) -> Fence:
        """Return the fence of a change by hand: an attempt of its own, which ends all before.

        Raises UsageError for an item in the queue, now and when a file is moved into place, and if
        another change was made meanwhile.
        """
        with self.database.begin() as connection:
            number = next_number(connection)
            free = sa.and_(_c.id == item_id, _c.state.not_in(ACTIVE))
            raised = connection.execute(sa.update(items).where(free).values(fencing_token=number))
            if not raised.rowcount:
                _refuse_active(item_id, self._row(connection, item_id))

        def check(now: Any) -> None:
            _refuse_active(item_id, now)
            if now is not None and now.fencing_token > number:
                raise UsageError(
                    "edit.superseded",
                    "{item_id} was changed by another process meanwhile.",
                    hint="Look at it again, then repeat the change.",
                    item_id=item_id,
                )

        return self._fence(item_id, number, check)

    def delivery(self, entry: OutboxEntry) -> Fence:
        """Return the fence of one publication, for its state in the item's record.

        It covers what the worker that claimed `entry` records, also once the row has its result;
        a later request for the same knowledge base ends it.
        """

        @contextmanager
        def guard() -> Iterator[None]:
            key = sa.and_(deliveries.c.sink == entry.sink, deliveries.c.item_id == entry.item_id)
            serial = sa.select(deliveries.c.serial).where(key).with_for_update()
            with self.database.begin() as connection:
                # The order of the locks is that of all other transactions: the item's row first.
                self._row(connection, entry.item_id)
                if connection.scalar(serial) != entry.serial:
                    raise Superseded(
                        "publish.superseded",
                        "{item_id} was queued for {sink} again meanwhile: the older result is "
                        "discarded.",
                        hint="Nothing is to be done: the newer request is carried out.",
                        item_id=entry.item_id,
                        sink=entry.sink,
                    )
                yield

        return Fence(0, guard)

    def step(self, row: StepRow) -> Fence:
        """Return the fence of a step that follows the item's words, for its result.

        A later request for the step, its cancellation and the item's removal end it; the item's
        own attempts do not.
        """

        @contextmanager
        def guard() -> Iterator[None]:
            key = sa.and_(steps.c.step == row.step, steps.c.item_id == row.item_id)
            query = sa.select(steps.c.serial, steps.c.status).where(key).with_for_update()
            with self.database.begin() as connection:
                # The order of the locks is that of all other transactions: the item's row first.
                self._row(connection, row.item_id)
                now = connection.execute(query).first()
                if now is None or (now.serial, now.status) != (row.serial, STEP_RUNNING):
                    raise Superseded(
                        "step.superseded",
                        "The result of {step} for {item_id} is discarded: it was cancelled, "
                        "requested again or removed meanwhile.",
                        hint="Nothing is to be done.",
                        step=row.step,
                        item_id=row.item_id,
                    )
                yield

        return Fence(0, guard)

    def _fence(self, item_id: str, number: int, check: Callable[[Any], None]) -> Fence:
        @contextmanager
        def guard() -> Iterator[None]:
            with self.database.begin() as connection:
                while True:
                    asked_at = time.monotonic()
                    check(self._row(connection, item_id))
                    # An answer that was on its way for long says nothing about now: the server may
                    # have ended this connection, and with it the lock.
                    if time.monotonic() - asked_at < LATE_S:
                        break
                yield

        return Fence(number, guard)

    @staticmethod
    def _row(connection: sa.Connection, item_id: str) -> Any:
        """Lock and return the item's row, None without one."""
        columns = (_c.serial, _c.run, _c.executor, _c.state, _c.fencing_token)
        query = sa.select(*columns).where(_c.id == item_id).with_for_update()
        return connection.execute(query).first()


def _refuse_active(item_id: str, row: Any) -> None:
    if row is not None and row.state in ACTIVE:
        raise active(item_id, row.state)


def active(item_id: str, state: str) -> UsageError:
    """Return the error of a change by hand of an item in the queue."""
    return UsageError(
        "edit.active",
        "{item_id} is {state}: its transcript is about to be replaced.",
        hint="Wait for its end, or: kb cancel {item_id}",
        item_id=item_id,
        state=state,
    )


def _cancelled() -> Cancelled:
    return Cancelled("item.cancelled", "Cancelled; nothing half written is left.")


def _superseded(row: ItemRow, now: Any) -> Superseded:
    """Return the error of an attempt; `now` is the item's row, None for a removed one."""
    return Superseded(
        "item.superseded",
        "{item_id}: the work of attempt {number} on {executor} is discarded: the item is {state} "
        "now, by a later attempt or an edit (number {newer}{owner}).",
        hint="Nothing is to be done: the later work is kept.",
        item_id=row.id,
        number=row.fencing_token,
        executor=row.executor,
        state=now.state if now is not None else "removed",
        newer=now.fencing_token if now is not None else "-",
        owner=f", {now.executor}" if now is not None and now.executor else "",
    )


def is_database_trouble(error: KBError) -> bool:
    """Return True for an error of the database that passes by itself."""
    return error.retryable and error.code.startswith("database.")


__all__ = ["Fences", "active", "is_database_trouble"]
