"""The items table: the state of each item, changed only by the worker that owns it.

Every change of a running item is conditional on its serial and on its worker, so that a worker that
was declared dead by mistake cannot overwrite the changes of its successor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from kb.database import items
from kb.database.fencing import next_number
from kb.database.repeating import repeated
from kb.errors import StoredProblem
from kb.jobs.queue import runs
from kb.jobs.queue.item_queries import Key, in_parts, read_item
from kb.jobs.queue.item_states import (
    ACTIVE,
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    HELD,
    PAUSED,
    QUEUED,
    RUNNING,
    WAITING,
    ItemRow,
    Job,
    Skipped,
    already_queued,
    check_skipped,
    described,
)
from kb.jobs.queue.library_rows import LibraryRows
from kb.jobs.queue.order import Places
from kb.jobs.queue.request_settings import Ask, completed

Enqueue = Callable[[sa.Connection, str, int, int], None]
"""Called in the transaction with item id, serial and priority of an item to be processed."""


_NO_ERROR: dict[str, Any] = {"error": "", "hint": "", "problem": None}
_FIRST_ATTEMPT: dict[str, Any] = {"attempts": 0, "deaths": 0, "failing_since": None}


class ItemStore(LibraryRows):
    """Changes items, and reads them. Every method raises LibraryError when the database fails.

    Times are those of the database: the clocks of two machines differ.
    """

    # Requests for work

    @repeated
    def submit(
        self,
        jobs: Sequence[Job],
        options: Mapping[str, Any],
        enqueue: Enqueue,
        *,
        again: bool = False,
        priority: int | None = None,
        serials: Mapping[str, int] | None = None,
    ) -> tuple[list[str], list[Skipped]]:
        """Queue items in one transaction; return the queued ids and the skipped items.

        Without a `priority`, that of the options is taken: the items of each origin take turns.
        If two processes submit an item at once, it is queued once. `serials` are the last numbers
        of workflows of removed items, by id: a used number would not be run again.
        """
        queued_ids: list[str] = []
        skipped: list[Skipped] = []
        with self.database.begin() as connection:
            places = Places(connection, options, priority)
            of_runs: list[tuple[Job, Mapping[str, Any]]] = []
            for item in jobs:
                row = read_item(connection, item.id)
                skip = None if row is None else check_skipped(row, again)
                if skip is not None:
                    skipped.append(skip)
                    continue
                rank, own = places.next(item)
                if row is None:
                    serial = (serials or {}).get(item.id, 0) + 1
                    queued = self._insert(connection, item, own, rank, serial=serial)
                else:
                    serial = row.serial + 1
                    queued = self._requeue(
                        connection, row, rank, run=row.run + again, **_FIRST_ATTEMPT,
                        options=own, **described(item),
                    )  # fmt: skip
                if queued:
                    enqueue(connection, item.id, serial, rank)
                    queued_ids.append(item.id)
                    of_runs.append((item, own))
                else:
                    skipped.append(already_queued(item.id))
            runs.record(self.database, connection, of_runs)
        return queued_ids, skipped

    @repeated
    def retry(
        self,
        ids: Sequence[str],
        enqueue: Enqueue,
        states: Sequence[str] = (FAILED, CANCELLED, PAUSED, WAITING),
        *,
        fresh: bool = True,
        priority: int | None = None,
        serials: Mapping[str, int] | None = None,
        ask: Ask = dict,
    ) -> list[Key]:
        """Queue items again; finished steps, whose files are in the folder, are not repeated.

        `fresh` resets the number of attempts to zero; `serials` limits the call to these serials,
        by id. `ask` gives an item without settings of a request those of this one. Return id and
        former serial of each item queued.
        """
        queued: list[Key] = []
        with self.database.begin() as connection:
            for item_id in ids:
                row = read_item(connection, item_id)
                if row is None or row.state not in states:
                    continue
                if serials is not None and serials.get(item_id) != row.serial:
                    continue
                changes: dict[str, Any] = dict(_FIRST_ATTEMPT) if fresh else {}
                rank = row.priority if priority is None else priority
                changes["options"] = completed(row.options, ask)
                if self._requeue(connection, row, rank, **changes):
                    enqueue(connection, item_id, row.serial + 1, rank)
                    queued.append((item_id, row.serial))
        return queued

    @repeated
    def set_places(self, numbers: Mapping[str, int]) -> set[str]:
        """Set the priorities of items that wait or are paused, by id; return the ids changed."""
        changed = set()
        with self.database.begin() as connection:
            for item_id, number in numbers.items():
                change = sa.update(items).where(
                    items.c.id == item_id, items.c.state.in_((WAITING, PAUSED))
                )
                if connection.execute(change.values(priority=number)).rowcount:
                    changed.add(item_id)
        return changed

    @repeated
    def stop(self, ids: Sequence[str], state: str = CANCELLED) -> list[Key]:
        """Cancel or pause items that are queued, waiting or running; return [(id, serial)].

        A cancelled item loses its error: the next step of one that waited does not come.
        """
        stopped: list[Key] = []
        with self.database.begin() as connection:
            now = self.database.time(connection)
            ended = now if state in ENDED else None
            error = _NO_ERROR if state == CANCELLED else {}
            for part in in_parts(ids):
                found = connection.execute(
                    sa.update(items)
                    .where(
                        items.c.id.in_(part), items.c.state.in_(ACTIVE), items.c.state != state
                    )
                    .values(
                        state=state, executor="", updated_at=now, ended_at=ended, wait_until=None,
                        **error,
                    )
                    .returning(items.c.id, items.c.serial)
                )  # fmt: skip
                stopped.extend((str(item_id), int(serial)) for item_id, serial in found)
        return stopped

    @repeated
    def end_as(self, ids: Sequence[str], state: str, before: Sequence[str]) -> list[str]:
        """Give items that are in one of the states `before` an ended state; return their ids.

        Their errors are kept, and the times of their next attempts.
        """
        changed: list[str] = []
        with self.database.begin() as connection:
            now = self.database.time(connection)
            for part in in_parts(ids):
                found = connection.scalars(
                    sa.update(items)
                    .where(items.c.id.in_(part), items.c.state.in_(list(before)))
                    .values(
                        state=state, executor="", updated_at=now,
                        ended_at=sa.func.coalesce(items.c.ended_at, now),
                    )
                    .returning(items.c.id)
                )  # fmt: skip
                changed.extend(map(str, found))
        return changed

    # Work on items

    @repeated
    def claim(self, item_id: str, serial: int, executor: str) -> ItemRow | None:
        """Assign an item to a worker; return None if it was cancelled or queued again meanwhile.

        The attempt gets a number larger than all before.
        """
        with self.database.begin() as connection:
            done = connection.execute(
                sa.update(items)
                .where(
                    items.c.id == item_id,
                    items.c.serial == serial,
                    items.c.state.in_((QUEUED, RUNNING)),
                )
                .values(
                    state=RUNNING,
                    executor=executor,
                    updated_at=self.database.time(connection),
                    fencing_token=next_number(connection),
                    **_NO_ERROR,
                )
            )
            return read_item(connection, item_id) if done.rowcount else None

    def is_unlocked(self, item_id: str) -> bool:
        """Return False while another session holds the item's row in a transaction."""
        query = sa.select(items.c.id).where(items.c.id == item_id)
        with self.database.begin() as connection:
            exists = connection.execute(query).first() is not None
            locked = query.with_for_update(skip_locked=True)
            return not exists or connection.execute(locked).first() is not None

    def advance(
        self, item_id: str, serial: int, executor: str, stage: str, progress: float
    ) -> bool:
        """Record the progress of a running item; return False if this worker no longer owns it."""
        return self._change(item_id, serial, executor, stage=stage, progress=progress)

    def is_owned_by(
        self, connection: sa.Connection, item_id: str, serial: int, executor: str
    ) -> bool:
        """Return whether this worker owns an item; this holds until the end of the transaction."""
        own_row = sa.and_(
            items.c.id == item_id, items.c.serial == serial, items.c.executor == executor,
            items.c.state == RUNNING,
        )  # fmt: skip
        query = sa.select(items.c.id).where(own_row).with_for_update()
        return connection.execute(query).first() is not None

    @repeated
    def record_duration(self, item_id: str, duration_s: float) -> None:
        """Record an item's length in seconds if it was unknown."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.id == item_id, items.c.duration_s.is_(None))
                .values(duration_s=duration_s)
            )

    def mark_queued(self, item_id: str, serial: int, executor: str) -> bool:
        """Mark an item as queued while its lane is paused; `claim` assigns it again."""
        return self._change(item_id, serial, executor, state=QUEUED)

    def finish(
        self,
        item_id: str,
        serial: int,
        executor: str,
        state: str,
        *,
        error: str = "",
        hint: str = "",
        problem: StoredProblem | None = None,
        wait_until: float | None = None,
        attempts: int | None = None,
        grade: str | None = None,
        expected_errors: float | None = None,
        failing_since: float | None = None,
        failed_with: str | None = None,
    ) -> bool:
        """End a running item, or let it wait; return False if this worker no longer owns it.

        `failing_since` is the time of the first failure of a series whose cause can pass,
        `failed_with` the version of yt-dlp.
        """
        changes: dict[str, Any] = {"failing_since": failing_since}
        if attempts is not None:
            changes["attempts"] = attempts
        if failed_with is not None:
            newest = sa.func.coalesce(items.c.failed_with, "")
            changes["failed_with"] = sa.case((newest > failed_with, newest), else_=failed_with)
        if grade is not None:
            changes |= {"grade": grade, "expected_errors": expected_errors}
        if state in (DONE, HELD):
            changes |= {"progress": 1.0, "deaths": 0}
        return self._change(
            item_id, serial, executor,
            state=state, error=error, hint=hint, problem=problem,
            wait_until=wait_until, new_executor="",
            **changes,
        )  # fmt: skip

    @repeated
    def record_review(
        self,
        item_id: str,
        grade: str,
        expected_errors: float | None = None,
        *,
        release: bool = False,
    ) -> None:
        """Record the result of a review: the grade and the expected errors.

        With `release` also the end of the hold.
        """
        update = sa.update(items).where(items.c.id == item_id, items.c.state.in_(ENDED))
        with self.database.begin() as connection:
            now = self.database.time(connection)
            found = {"grade": grade, "expected_errors": expected_errors}
            connection.execute(update.values(**found, updated_at=now))
            if release:
                done = {"state": DONE, **_NO_ERROR, "updated_at": now}
                connection.execute(update.where(items.c.state == HELD).values(**done))

    @repeated
    def count_crash(self, item_id: str, serial: int) -> int:
        """Count a crash of the inference process during this item; return the number so far."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.id == item_id, items.c.serial == serial)
                .values(
                    deaths=items.c.deaths + 1,
                    progress=0.0,
                    updated_at=self.database.time(connection),
                )
            )
            return connection.scalar(sa.select(items.c.deaths).where(items.c.id == item_id)) or 0

    @repeated
    def release(self, executor: str) -> None:
        """Mark the running items of a worker that stops as queued; they continue later."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.executor == executor, items.c.state == RUNNING)
                .values(state=QUEUED, updated_at=self.database.time(connection))
            )

    # Single statements

    def _requeue(
        self, connection: sa.Connection, row: ItemRow, priority: int, **values: Any
    ) -> bool:
        now = self.database.time(connection)
        done = connection.execute(
            sa.update(items)
            .where(items.c.id == row.id, items.c.serial == row.serial, items.c.state == row.state)
            .values(
                state=QUEUED, serial=row.serial + 1, priority=priority, executor="",
                # The stage of the last attempt must not be shown for the next one.
                stage="", progress=0.0, **_NO_ERROR, wait_until=None, ended_at=None,
                enqueued_at=now, updated_at=now, **values,
            )
        )  # fmt: skip
        return bool(done.rowcount)

    @repeated
    def _change(
        self,
        item_id: str,
        serial: int,
        executor: str,
        new_executor: str | None = None,
        **values: Any,
    ) -> bool:
        if new_executor is not None:
            values["executor"] = new_executor
        with self.database.begin() as connection:
            now = self.database.time(connection)
            if "state" in values:
                values["ended_at"] = now if values["state"] in ENDED else None
            done = connection.execute(
                sa.update(items)
                .where(
                    items.c.id == item_id,
                    items.c.serial == serial,
                    items.c.executor == executor,
                    items.c.state == RUNNING,
                )
                .values(updated_at=now, **values)
            )
            return bool(done.rowcount)
