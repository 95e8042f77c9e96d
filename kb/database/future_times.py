"""Stored times that lie in the future: a clock was wrong when they were written.

Every reader treats them as unknown (`kb.types.clock`); here they are found, to be reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from kb.database.database import Database
from kb.database.repeating import repeated
from kb.database.tables import metadata
from kb.types.clock import SLACK_S

# Columns with the time of something that has happened. Columns of times to come, such as the end of
# a pause, are not among them.
_WRITTEN = frozenset(
    {
        "applied_at", "at", "counted_at", "created_at", "ended_at", "enqueued_at", "failing_since",
        "finished_at", "followed_at", "last_at", "owned_at", "read_at", "seen_at", "since",
        "started_at", "updated_at", "whole_at",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FutureTimes:
    """The times of one column that lie in the future; `latest` is in epoch seconds."""

    table: str
    column: str
    count: int
    latest: float


@repeated
def future_times(database: Database, now: float | None = None) -> list[FutureTimes]:
    """Return the columns with times later than `now` (epoch seconds) by more than clocks differ.

    Raises LibraryError.
    """
    limit = (database.time() if now is None else now) + SLACK_S
    found: list[FutureTimes] = []
    with database.begin() as connection:
        present = set(sa.inspect(connection).get_table_names())
        columns = [
            (table.name, column.name)
            for table in metadata.sorted_tables
            if table.name in present
            for column in table.c
            if column.name in _WRITTEN and isinstance(column.type, sa.Double)
        ]
        # One statement of plain text: to compile one for each column takes longer than to run all.
        quote = connection.dialect.identifier_preparer.quote
        query = " UNION ALL ".join(
            f"SELECT {number}, COUNT(*), MAX({quote(column)}) FROM {quote(table)} "
            f"WHERE {quote(column)} > :limit"
            for number, (table, column) in enumerate(columns)
        )
        rows = connection.execute(sa.text(query), {"limit": limit}) if columns else ()
        counted = {int(number): (int(count), latest) for number, count, latest in rows}
    for number, (table, column) in enumerate(columns):
        count, latest = counted[number]
        if count:
            found.append(FutureTimes(table, column, count, float(latest)))
    return found
