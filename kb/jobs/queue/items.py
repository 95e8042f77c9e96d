"""The items table: the state of each item, changed only by the worker that owns it.

Every change of a running item is conditional on its serial and on its worker, so that a worker that
was declared dead by mistake cannot overwrite the changes of its successor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from kb.database import items
from kb.errors import KBError, LibraryError, StoredProblem
from kb.jobs.queue.item_queries import ItemQueries, Key, in_parts, read_item
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
    LibraryRow,
    Skipped,
    already_queued,
    check_skipped,
    described,
)
from kb.jobs.queue.workflow_ids import LISTING

FIRST, NORMAL, LAST = 1, 1000, 2000  # priorities; small numbers first
Enqueue = Callable[[sa.Connection, str, int, int], None]
"""Called in the transaction with item id, serial and priority of an item to be processed."""


_NO_ERROR: dict[str, Any] = {"error": "", "hint": "", "problem": None}
_FIRST_ATTEMPT: dict[str, Any] = {"attempts": 0, "deaths": 0, "failing_since": None}


class ItemStore(ItemQueries):
    """Changes items, and reads them. Every method raises LibraryError when the database fails."""

    # Requests for work

    def submit(
        self,
        jobs: Sequence[Job],
        options: Mapping[str, Any],
        enqueue: Enqueue,
        *,
        again: bool = False,
        priority: int = NORMAL,
        serials: Mapping[str, int] | None = None,
    ) -> tuple[list[str], list[Skipped]]:
        """Queue items in one transaction; return the queued ids and the skipped items.

        If two processes submit an item at once, it is queued once. `serials` are the last numbers
        of workflows of removed items, by id: a used number would not be run again.
        """
        queued_ids: list[str] = []
        skipped: list[Skipped] = []
        with self.database.begin() as connection:
            for item in jobs:
                row = read_item(connection, item.id)
                if row is None:
                    serial, skip = (serials or {}).get(item.id, 0) + 1, None
                    queued = self._insert(connection, item, options, priority, serial=serial)
                else:
                    serial, skip = row.serial + 1, check_skipped(row, again)
                    queued = skip is None and self._requeue(
                        connection, row, priority, run=row.run + again, **_FIRST_ATTEMPT,
                        options=dict(options), **described(item),
                    )  # fmt: skip
                if queued:
                    enqueue(connection, item.id, serial, priority)
                    queued_ids.append(item.id)
                else:
                    skipped.append(skip or already_queued(item.id))
        return queued_ids, skipped

    def retry(
        self,
        ids: Sequence[str],
        enqueue: Enqueue,
        states: Sequence[str] = (FAILED, CANCELLED, PAUSED, WAITING),
        *,
        fresh: bool = True,
        priority: int | None = None,
        serials: Mapping[str, int] | None = None,
    ) -> list[Key]:
        """Queue items again; finished steps, whose files are in the folder, are not repeated.

        `fresh` resets the number of attempts to zero; `serials` limits the call to these serials,
        by id. Return id and former serial of each item queued.
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
                if self._requeue(connection, row, rank, **changes):
                    enqueue(connection, item_id, row.serial + 1, rank)
                    queued.append((item_id, row.serial))
        return queued

    def stop(self, ids: Sequence[str], state: str = CANCELLED) -> list[Key]:
        """Cancel or pause items that are queued, waiting or running; return [(id, serial)]."""
        stopped: list[Key] = []
        now = time.time()
        ended = now if state in ENDED else None
        with self.database.begin() as connection:
            for part in in_parts(ids):
                found = connection.execute(
                    sa.update(items)
                    .where(
                        items.c.id.in_(part), items.c.state.in_(ACTIVE), items.c.state != state
                    )
                    .values(
                        state=state, executor="", updated_at=now, ended_at=ended, wait_until=None
                    )
                    .returning(items.c.id, items.c.serial)
                )  # fmt: skip
                stopped.extend((str(item_id), int(serial)) for item_id, serial in found)
        return stopped

    # Work on items

    def claim(self, item_id: str, serial: int, executor: str) -> ItemRow | None:
        """Assign an item to a worker; return None if it was cancelled or queued again meanwhile."""
        with self.database.begin() as connection:
            done = connection.execute(
                sa.update(items)
                .where(
                    items.c.id == item_id,
                    items.c.serial == serial,
                    items.c.state.in_((QUEUED, RUNNING)),
                )
                .values(state=RUNNING, executor=executor, updated_at=time.time(), **_NO_ERROR)
            )
            return read_item(connection, item_id) if done.rowcount else None

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
            ended_at=time.time() if state in ENDED else None, **changes,
        )  # fmt: skip

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
        now = time.time()
        with self.database.begin() as connection:
            found = {"grade": grade, "expected_errors": expected_errors}
            connection.execute(update.values(**found, updated_at=now))
            if release:
                done = {"state": DONE, **_NO_ERROR, "updated_at": now}
                connection.execute(update.where(items.c.state == HELD).values(**done))

    def count_crash(self, item_id: str, serial: int) -> int:
        """Count a crash of the inference process during this item; return the number so far."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.id == item_id, items.c.serial == serial)
                .values(deaths=items.c.deaths + 1, progress=0.0, updated_at=time.time())
            )
            return connection.scalar(sa.select(items.c.deaths).where(items.c.id == item_id)) or 0

    def release(self, executor: str) -> None:
        """Mark the running items of a worker that stops as queued; they continue later."""
        with self.database.begin() as connection:
            connection.execute(
                sa.update(items)
                .where(items.c.executor == executor, items.c.state == RUNNING)
                .values(state=QUEUED, updated_at=time.time())
            )

    def adopt(self, library_rows: Iterable[LibraryRow]) -> int:
        """Add the folder's items that the table does not contain; return their number."""
        added = 0
        with self.database.begin() as connection:
            known = set(connection.scalars(sa.select(items.c.id)))
            for entry in library_rows:
                if entry.item.id in known:
                    continue
                kept = entry.state if entry.state in ENDED else CANCELLED
                added += self._insert(
                    connection, entry.item, {}, NORMAL,
                    state=kept, error=entry.error, hint=entry.hint, problem=entry.problem,
                    run=entry.run,
                    stage="publish" if kept in (DONE, HELD) else "",
                    progress=1.0 if kept in (DONE, HELD) else 0.0, grade=entry.grade,
                    expected_errors=entry.expected_errors,
                )  # fmt: skip
        return added

    def follow_library(
        self,
        transcribed: Mapping[str, LibraryRow],
        broken: Mapping[str, KBError],
        *,
        ids: Collection[str] | None = None,
        complete: bool = False,
    ) -> list[str]:
        """Change ended rows whose state the library folder contradicts; return their ids.

        `transcribed`: the items that have a transcript; `broken`: the errors of those that cannot
        be read. A row that is done or held without a transcript that can be read becomes failed.
        With `complete`, the index has just been made from the folder, so that a row that was
        cancelled or failed becomes done if the transcript of its own run is there, and the grade
        goes with the transcript that it was given to. `ids` limits the call.
        """
        changed: list[str] = []
        c, now = items.c, time.time()
        query = sa.select(c.id, c.state, c.run, c.title, c.grade, c.expected_errors).where(
            c.state.in_(ENDED), c.source != LISTING
        )
        with self.database.begin() as connection:
            for item_id, state, run, title, *marks in connection.execute(query).all():
                if ids is not None and item_id not in ids:
                    continue
                row, error = transcribed.get(item_id), broken.get(item_id)
                values: dict[str, Any] = {}
                if state in (DONE, HELD) and (row is None or error is not None):
                    error = error or _transcript_gone(str(item_id), str(title))
                    values = {"state": FAILED, **error.record(), "progress": 0.0}
                elif (
                    complete
                    and state in (CANCELLED, FAILED)
                    and row is not None
                    and error is None
                    and row.run == run
                    and row.state in (DONE, HELD)
                ):
                    values = {
                        "state": row.state, "error": row.error, "hint": row.hint,
                        "problem": row.problem, "grade": row.grade, "progress": 1.0,
                        "expected_errors": row.expected_errors,
                    }  # fmt: skip
                elif complete and state in (DONE, HELD) and row is not None:
                    # The text beside it replaced a damaged transcript and was never checked, or
                    # the words of an older transcript were judged again.
                    unchecked = not row.grade and bool(marks[0])
                    if unchecked or row.expected_errors not in (None, marks[1]):
                        values = {"grade": row.grade, "expected_errors": row.expected_errors}
                if values:
                    change = sa.update(items).where(c.id == item_id, c.state == state)
                    connection.execute(change.values(**values, updated_at=now))
                    changed.append(str(item_id))
        return changed

    # Single statements

    def _insert(
        self,
        connection: sa.Connection,
        item: Job,
        options: Mapping[str, Any],
        priority: int,
        **values: Any,
    ) -> bool:
        now = time.time()
        row = {
            "id": item.id, **described(item), "state": QUEUED,
            "options": dict(options), "priority": priority,
            "enqueued_at": now, "updated_at": now, **values,
        }  # fmt: skip
        dialect = sqlite if self.database.is_sqlite else postgresql
        insert = dialect.insert(items).values(**row).on_conflict_do_nothing()
        # The inserted ids are returned by the statement, because PostgreSQL's driver does not count
        # the rows of such an insert.
        return connection.execute(insert.returning(items.c.id)).first() is not None

    def _requeue(
        self, connection: sa.Connection, row: ItemRow, priority: int, **values: Any
    ) -> bool:
        now = time.time()
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
            done = connection.execute(
                sa.update(items)
                .where(
                    items.c.id == item_id,
                    items.c.serial == serial,
                    items.c.executor == executor,
                    items.c.state == RUNNING,
                )
                .values(updated_at=time.time(), **values)
            )
            return bool(done.rowcount)


def _transcript_gone(item_id: str, title: str) -> KBError:
    return LibraryError(
        "item.transcript_gone",
        "The transcript of {item_id} ({title}) is not in the library folder any more.",
        hint="Put it back and run kb reindex, or transcribe it again: kb retry {item_id}",
        item_id=item_id,
        title=title,
    )
