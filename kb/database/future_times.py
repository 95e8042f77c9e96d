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
        for table in metadata.sorted_tables:
            for column in table.c if table.name in present else ():
                if column.name in _WRITTEN and isinstance(column.type, sa.Double):
                    query = sa.select(sa.func.count(), sa.func.max(column)).where(column > limit)
                    count, latest = connection.execute(query).one()
                    if count:
                        found.append(FutureTimes(table.name, column.name, count, float(latest)))
    return found
