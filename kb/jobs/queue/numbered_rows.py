"""Rows of work for an item, one for each name, whose workflows are numbered.

The table has the columns `item_id`, `status`, `serial`, `priority`, `due_at` and those of an error,
and one that names the work: a knowledge base (the outbox) or a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from kb.database import Database
from kb.database.repeating import repeated
from kb.jobs.queue.step_states import QUEUED

NO_ERROR: dict[str, Any] = {"error": "", "hint": "", "problem": None}

Enqueue = Callable[[sa.Connection, str, str, int, int], None]
"""Called in the transaction with the name of the work, item id, serial and priority."""
Key = tuple[str, str]
"""The name of the work and an item's id."""

_AT_ONCE = 500  # in one transaction, so that other processes can write in between


class NumberedRows:
    """The rows of one table. Every method raises LibraryError when the database fails."""

    def __init__(
        self,
        database: Database,
        table: sa.Table,
        name: sa.Column[Any],
        numbered: sa.ColumnElement[bool] | None = None,
    ) -> None:
        """`name` is the table's column that names the work; `numbered` are the rows with workflows.

        Without `numbered` all rows have workflows.
        """
        self._database = database
        self._table = table
        self._name = name
        self._numbered = sa.true() if numbered is None else numbered

    def requeue(
        self,
        enqueue: Enqueue,
        condition: sa.ColumnElement[bool],
        ids: Sequence[str] | None = None,
        **values: Any,
    ) -> list[Key]:
        """Start a new workflow for each row of the condition, of these items; return their keys."""
        c = self._table.c
        query = sa.select(self._table).where(condition, self._numbered)
        query = query.order_by(self._name, c.item_id)
        item_ids = None if ids is None else frozenset(ids)
        with self._database.begin() as connection:
            rows = [
                r for r in connection.execute(query) if item_ids is None or r.item_id in item_ids
            ]
        found: list[Key] = []
        for start in range(0, len(rows), _AT_ONCE):
            found += self._queue_all(rows[start : start + _AT_ONCE], enqueue, **values)
        return found

    def requeue_lost(
        self,
        lost: Iterable[tuple[str, str, int]],
        enqueue: Enqueue,
        in_progress: Sequence[str],
        **values: Any,
    ) -> list[Key]:
        """Queue lost rows again; each of `lost` is (name of the work, item id, serial)."""
        c = self._table.c
        found: list[Key] = []
        for name, item_id, serial in lost:
            same = sa.and_(self._name == name, c.item_id == item_id, c.serial == serial)
            found += self.requeue(enqueue, sa.and_(same, c.status.in_(in_progress)), **values)
        return found

    @repeated
    def _queue_all(self, rows: Sequence[sa.Row[Any]], enqueue: Enqueue, **values: Any) -> list[Key]:
        with self._database.begin() as connection:
            return [
                (self._name_of(row), row.item_id)
                for row in rows
                if self.queue(connection, row, enqueue, priority=row.priority, **values)
            ]

    def queue(
        self,
        connection: sa.Connection,
        row: sa.Row[Any],
        enqueue: Enqueue,
        *,
        priority: int,
        **values: Any,
    ) -> bool:
        """Start a new workflow for a row, unless the row has changed since it was read."""
        # The number must never have been used before, even if the row was deleted and inserted
        # again: a used workflow id is not run a second time.
        c, now = self._table.c, self._database.time(connection)
        serial = max(row.serial + 1, int(now))
        name = self._name_of(row)
        done = connection.execute(
            sa.update(self._table)
            .where(
                self._name == name, c.item_id == row.item_id,
                c.serial == row.serial, c.status == row.status,
            )
            .values(
                status=QUEUED, serial=serial, priority=priority, **NO_ERROR, due_at=None,
                updated_at=now, **values,
            )
        )  # fmt: skip
        if done.rowcount:
            enqueue(connection, name, row.item_id, serial, priority)
        return bool(done.rowcount)

    def _name_of(self, row: sa.Row[Any]) -> str:
        return str(row._mapping[self._name])
