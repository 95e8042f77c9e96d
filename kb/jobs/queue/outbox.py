"""The outbox: publications to knowledge bases, queued and ended, and their states.

The library's database has one row for each item and knowledge base. A waiting entry belongs to no
worker: when it is due, exactly one worker takes it, and a restart loses nothing. Workflows are
numbered (`serial`); a workflow that is not the entry's newest does nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from kb.database import Database, deliveries
from kb.database.repeating import repeated
from kb.errors import KBError, StoredProblem, stored_problem
from kb.jobs.queue.item_states import NORMAL
from kb.jobs.queue.numbered_rows import NO_ERROR, Enqueue, Key, NumberedRows
from kb.jobs.queue.outbox_queries import OutboxQueries, due, outbox_entry
from kb.jobs.queue.outbox_states import (
    CANCELLED,
    DEFERRED,
    FAILED,
    HELD,
    IN_PROGRESS,
    QUEUED,
    SENDING,
    SYNCED,
    SYNCING,
    WAITING,
    OutboxEntry,
)
from kb.library import LibraryEntry
from kb.sinks import REMOTE

FIRST_POLL_S = 10.0  # first interval between polls of a knowledge base that indexes; it grows


class Outbox(OutboxQueries):
    """Reads and changes the rows. Every method raises LibraryError when the database fails.

    `project` is the remote project of the settings: what is recorded for another one is not shown
    as being in it.
    """

    def __init__(self, database: Database, project: str = "") -> None:
        super().__init__(database, project)
        # The local index has no workflow: it is filled by the item's own steps.
        numbered = deliveries.c.sink != "local"
        self._rows = NumberedRows(database, deliveries, deliveries.c.sink, numbered)

    # Requests

    def submit(
        self,
        connection: sa.Connection,
        sink: str,
        item_id: str,
        enqueue: Enqueue,
        *,
        priority: int = NORMAL,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Queue an item for a knowledge base in the caller's transaction.

        Own metadata of an earlier request that was not sent yet is kept, unless new metadata is
        given.
        """
        self._ensure(connection, sink, item_id)
        row = self._locked(connection, sink, item_id)
        more: dict[str, Any] = {} if extra is None else {"extra": dict(extra)}
        self._rows.queue(
            connection,
            row,
            enqueue,
            priority=priority,
            since=self._now(connection),
            **more,
        )

    @repeated
    def send(self, item_id: str, sinks: Sequence[str], enqueue: Enqueue) -> None:
        """Queue an item for knowledge bases, in a transaction of its own."""
        with self._database.begin() as connection:
            for sink in sinks:
                self.submit(connection, sink, item_id, enqueue)

    def hold(
        self,
        sink: str,
        item_id: str,
        reason: KBError | None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Record that an item is to be published and is held for review (see `release`)."""
        values: dict[str, Any] = {} if extra is None else {"extra": dict(extra)}
        if reason is not None:
            values |= {"error": reason.message, "problem": reason.problem}
        self._set(sink, item_id, status=HELD, **values)

    def retry(
        self, enqueue: Enqueue, statuses: Collection[str], ids: Sequence[str] | None = None
    ) -> list[Key]:
        """Queue entries of these states again, of these items or of all; return their keys."""
        return self._rows.requeue(
            enqueue,
            deliveries.c.status.in_(list(statuses)),
            ids,
            attempts=0,
            since=self._database.time(),
        )

    @repeated
    def cancel(self, ids: Sequence[str]) -> list[OutboxEntry]:
        """Cancel the waiting entries of these items; return the rows as they were.

        An upload in progress is finished and not retried (see `finish`). A document that a
        knowledge base is indexing is already there: only its polling ends.
        """
        c, item_ids = deliveries.c, frozenset(ids)
        waits = sa.and_(c.status.in_((*IN_PROGRESS, WAITING)), c.sink != "local")
        query = sa.select(deliveries).where(waits).order_by(c.sink, c.item_id)
        values = {"status": CANCELLED, **NO_ERROR, "due_at": None}
        dropped: list[OutboxEntry] = []
        with self._database.begin() as connection:
            for row in connection.execute(query.with_for_update()).all():
                if row.item_id in item_ids:
                    change = sa.update(deliveries).where(_key(row.sink, row.item_id))
                    connection.execute(change.values(updated_at=self._now(connection), **values))
                    dropped.append(outbox_entry(row))
        return dropped

    @repeated
    def retry_now(self) -> None:
        """Make every waiting entry due now."""
        change = sa.update(deliveries).where(deliveries.c.status.in_(DEFERRED))
        with self._database.begin() as connection:
            connection.execute(change.values(due_at=self._now(connection)))

    # Work on entries

    @repeated
    def claim(self, sink: str, item_id: str, serial: int) -> OutboxEntry | None:
        """Return the entry for the workflow that sends it; None if it was requeued or ended."""
        with self._database.begin() as connection:
            self._ensure(connection, sink, item_id, serial=serial, status=QUEUED)
            done = connection.execute(
                sa.update(deliveries)
                .where(
                    _key(sink, item_id),
                    deliveries.c.serial == serial,
                    deliveries.c.status.in_(IN_PROGRESS),
                )
                .values(status=SENDING, updated_at=self._now(connection))
            )
            return outbox_entry(self._locked(connection, sink, item_id)) if done.rowcount else None

    @repeated
    def finish(
        self,
        entry: OutboxEntry,
        status: str,
        *,
        error: str = "",
        hint: str = "",
        problem: StoredProblem | None = None,
        attempts: int = 0,
        due_at: float | None = None,
    ) -> bool:
        """End a claimed entry, or let it wait; return False if another process has ended it.

        An entry that was cancelled meanwhile stays cancelled, unless its upload succeeded.
        """
        values: dict[str, Any] = {"extra": None} if status == SYNCED else {}
        values |= self._place(entry.sink, status)
        open_ = (SENDING, CANCELLED) if status in (SYNCED, SYNCING) else (SENDING,)
        with self._database.begin() as connection:
            done = connection.execute(
                sa.update(deliveries)
                .where(
                    _key(entry.sink, entry.item_id),
                    deliveries.c.serial == entry.serial,
                    deliveries.c.status.in_(open_),
                )
                .values(
                    status=status, error=error, hint=hint, problem=problem, attempts=attempts,
                    due_at=due_at, updated_at=self._now(connection), **values,
                )
            )  # fmt: skip
            return bool(done.rowcount)

    def claim_due(
        self, now: float, enqueue: Enqueue, paused_sinks: Collection[str] = ()
    ) -> list[Key]:
        """Queue the waiting entries that are due; two workers at once queue each entry once.

        Entries for `paused_sinks` are not changed.
        """
        return self._rows.requeue(enqueue, sa.and_(*due(now, paused_sinks)))

    def requeue_lost(self, lost: Iterable[tuple[str, str, int]], enqueue: Enqueue) -> list[Key]:
        """Queue lost entries again; each of `lost` is (knowledge base, item id, serial)."""
        return self._rows.requeue_lost(lost, enqueue, IN_PROGRESS)

    # Results of other processes

    def record(
        self,
        sink: str,
        item_id: str,
        status: str,
        due_at: float | None = None,
        *,
        started_at: float | None = None,
    ) -> None:
        """Record a knowledge base's state of an item; an entry that is being sent is not changed.

        `started_at`: time at which the sender started, by the database's clock; an entry that was
        queued before that time and that no worker has started gets the new state too.
        """
        more: dict[str, Any] = {"extra": None} if status == SYNCED else {}
        # A request made meanwhile may be newer, and sending the same content again costs nothing.
        free: sa.ColumnElement[bool] = deliveries.c.status.not_in(IN_PROGRESS)
        if started_at is not None:
            older = sa.and_(deliveries.c.status == QUEUED, deliveries.c.since <= started_at)
            free = sa.or_(free, older)
        more |= {"status": status, **NO_ERROR, "attempts": 0, "due_at": due_at}
        more |= self._place(sink, status)
        self._set(sink, item_id, free, **more)

    def record_error(self, sink: str, item_id: str, error: KBError) -> None:
        """Record why an item could not be sent; an entry that a worker will send is not changed."""
        free = deliveries.c.status.not_in((*IN_PROGRESS, WAITING))
        self._set(sink, item_id, free, status=FAILED, **error.record(), due_at=None)

    @repeated
    def delete(self, sink: str, item_id: str) -> None:
        """Delete an entry: the item is no longer to be published."""
        with self._database.begin() as connection:
            connection.execute(sa.delete(deliveries).where(_key(sink, item_id)))

    @repeated
    def adopt(self, entries: Sequence[LibraryEntry]) -> int:
        """Add the folder's publications that the table does not contain; return their number."""
        added = 0
        with self._database.begin() as connection:
            known = set(connection.execute(sa.select(deliveries.c.sink, deliveries.c.item_id)))
            for entry in entries:
                for sink, record in entry.published.items():
                    if (sink, entry.item.id) in known or not isinstance(record, Mapping):
                        continue
                    status = str(record.get("status") or SYNCED)
                    attempts = record.get("attempts")
                    self._ensure(
                        connection, sink, entry.item.id, status=status,
                        error=str(record.get("error") or ""), hint=str(record.get("hint") or ""),
                        problem=stored_problem(record.get("problem")),
                        attempts=attempts if isinstance(attempts, int) else 0,
                        due_at=self._now(connection) if status in DEFERRED else None,
                        project=_text_or_none(record.get("project")),
                    )  # fmt: skip
                    added += 1
        return added

    # The remote project

    def _place(self, sink: str, status: str) -> dict[str, str | None]:
        """Return the column of the project that has an item in this state from now on."""
        if status not in (SYNCED, SYNCING):
            return {}
        return {"project": self._project or None if sink == REMOTE else None}

    # Single statements

    def _now(self, connection: sa.Connection) -> float:
        """Return the time by the database's clock: the clocks of two machines differ."""
        return self._database.time(connection)

    def _ensure(self, connection: sa.Connection, sink: str, item_id: str, **values: Any) -> None:
        now = self._now(connection)
        row = {"status": HELD, "serial": 0, "since": now, "updated_at": now, **values}
        self._database.insert_if_missing(connection, deliveries, sink=sink, item_id=item_id, **row)

    def _locked(self, connection: sa.Connection, sink: str, item_id: str) -> sa.Row[Any]:
        query = sa.select(deliveries).where(_key(sink, item_id)).with_for_update()
        return connection.execute(query).one()

    @repeated
    def _set(
        self,
        sink: str,
        item_id: str,
        condition: sa.ColumnElement[bool] | None = None,
        **values: Any,
    ) -> None:
        change = sa.update(deliveries).where(_key(sink, item_id))
        if condition is not None:
            change = change.where(condition)
        with self._database.begin() as connection:
            self._ensure(connection, sink, item_id)
            connection.execute(change.values(updated_at=self._now(connection), **values))


def _key(sink: str, item_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(deliveries.c.sink == sink, deliveries.c.item_id == item_id)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None
