"""The rows of items that the library's files know of: added, restored and kept in agreement."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from kb.database import items
from kb.database.repeating import repeated
from kb.errors import KBError, LibraryError
from kb.jobs.queue.item_queries import ItemQueries
from kb.jobs.queue.item_states import (
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    HELD,
    NORMAL,
    QUEUED,
    Job,
    LibraryRow,
    described,
)
from kb.jobs.queue.workflow_ids import LISTING
from kb.types import MediaItem

TRANSCRIPT_GONE = "item.transcript_gone"  # code of an item whose transcript is not in the folder


class LibraryRows(ItemQueries):
    """Makes rows from the library's files. Every method may raise LibraryError."""

    @repeated
    def adopt(self, library_rows: Sequence[LibraryRow]) -> int:
        """Add the folder's items that the table does not contain; return their number."""
        added = 0
        with self.database.begin() as connection:
            known = set(connection.scalars(sa.select(items.c.id)))
            for entry in library_rows:
                if entry.item.id in known:
                    continue
                kept = entry.state if entry.state in ENDED else FAILED
                error = {"error": entry.error, "hint": entry.hint, "problem": entry.problem}
                if kept != entry.state:
                    error = _unfinished(entry.item).record()
                added += self._insert(
                    connection, entry.item, {}, NORMAL, state=kept, run=entry.run, **error,
                    stage="publish" if kept in (DONE, HELD) else "",
                    progress=1.0 if kept in (DONE, HELD) else 0.0, grade=entry.grade,
                    expected_errors=entry.expected_errors,
                    ended_at=entry.ended_at if kept in (DONE, HELD) else None,
                )  # fmt: skip
        return added

    @repeated
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
        c = items.c
        query = sa.select(c.id, c.state, c.run, c.title, c.grade, c.expected_errors).where(
            c.state.in_(ENDED), c.source != LISTING
        )
        with self.database.begin() as connection:
            now = self.database.time(connection)
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

    @repeated
    def ended_with_transcript(self, before: float | None = None) -> list[str]:
        """Return the items that are done or held; with `before` (epoch seconds), since then."""
        query = sa.select(items.c.id).where(items.c.state.in_((DONE, HELD)))
        if before is not None:
            query = query.where(items.c.updated_at < before)
        with self.database.begin() as connection:
            return list(map(str, connection.scalars(query.where(items.c.source != LISTING))))

    @repeated
    def failed_with(self, code: str) -> list[str]:
        """Return the failed items whose error has this code."""
        query = sa.select(items.c.id).where(
            items.c.state == FAILED, items.c.problem["code"].as_string() == code
        )
        with self.database.begin() as connection:
            return list(map(str, connection.scalars(query)))

    @repeated
    def restore_transcribed(
        self, ids: Collection[str], transcribed: Mapping[str, LibraryRow]
    ) -> list[str]:
        """Show items as before whose transcript was gone and is back; return their ids."""
        changed: list[str] = []
        c = items.c
        with self.database.begin() as connection:
            now = self.database.time(connection)
            for item_id in sorted(set(ids) & transcribed.keys()):
                row = transcribed[item_id]
                if row.state not in (DONE, HELD):
                    continue
                change = (
                    sa.update(items)
                    .where(
                        c.id == item_id, c.state == FAILED, c.run == row.run,
                        c.problem["code"].as_string() == TRANSCRIPT_GONE,
                    )
                    .values(
                        state=row.state, error=row.error, hint=row.hint, problem=row.problem,
                        grade=row.grade, expected_errors=row.expected_errors, progress=1.0,
                        updated_at=now,
                    )
                )  # fmt: skip
                if connection.execute(change).rowcount:
                    changed.append(item_id)
        return changed

    @repeated
    def restore(
        self,
        item: MediaItem,
        state: str,
        options: Mapping[str, Any],
        serial: int,
        error: Mapping[str, Any],
    ) -> bool:
        """Add the row of an item that ended in `state` before the database was lost.

        `serial` is the number of its last workflow; `error` has the values of an error's columns.
        Return False if the table has the item.
        """
        values = {key: error[key] for key in ("error", "hint", "problem") if key in error}
        with self.database.begin() as connection:
            return self._insert(
                connection, item, options, NORMAL,
                state=state, serial=max(1, serial), **values,
            )  # fmt: skip

    def _insert(
        self,
        connection: sa.Connection,
        item: Job,
        options: Mapping[str, Any],
        priority: int,
        **values: Any,
    ) -> bool:
        now = self.database.time(connection)
        row = {
            "id": item.id, **described(item), "state": QUEUED,
            "options": dict(options), "priority": priority,
            "enqueued_at": now, "updated_at": now, **values,
        }  # fmt: skip
        insert = self.database.insert(items).values(**row).on_conflict_do_nothing()
        # The inserted ids are returned by the statement, because PostgreSQL's driver does not count
        # the rows of such an insert.
        return connection.execute(insert.returning(items.c.id)).first() is not None


def _unfinished(item: MediaItem) -> KBError:
    return LibraryError(
        "item.unfinished",
        "{item_id} ({title}) has files and no transcript: its work had not ended when the database "
        "was lost.",
        hint="Transcribe it: kb retry {item_id}",
        item_id=item.id,
        title=item.title,
    )


def _transcript_gone(item_id: str, title: str) -> KBError:
    return LibraryError(
        TRANSCRIPT_GONE,
        "The transcript of {item_id} ({title}) is not in the library folder any more.",
        hint="Put it back and run kb reindex, or transcribe it again: kb retry {item_id}",
        item_id=item_id,
        title=title,
    )
