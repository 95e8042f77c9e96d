"""The rows of a library's database, copied to another one: from SQLite to PostgreSQL and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from kb.database.database import Database
from kb.database.deadlines import LONG
from kb.database.fencing import last_number, make_counter, raise_numbers
from kb.database.tables import _schema, items, metadata, moves, subscriptions, workers
from kb.errors import LibraryError

ROWS_AT_ONCE = 500
_NOT_COPIED = (_schema, moves)


@contextmanager
def still(database: Database) -> Iterator[sa.Connection]:
    """Begin a transaction in which no other process changes items or signs on as a worker.

    Raises LibraryError.
    """
    with database.begin(LONG) as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            names = f"{items.name}, {workers.name}, {subscriptions.name}"
            connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")
        yield connection


def copy_rows(source: sa.Connection, target: sa.Connection) -> dict[str, int]:
    """Replace the rows of all tables of the library; return the number of rows by table.

    Raises LibraryError if the target has another number of rows afterwards.
    """
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        if table in _NOT_COPIED:
            continue
        target.execute(sa.delete(table))
        found = source.execute(sa.select(table), execution_options={"yield_per": ROWS_AT_ONCE})
        number = 0
        for part in found.mappings().partitions(ROWS_AT_ONCE):
            target.execute(sa.insert(table), [dict(row) for row in part])
            number += len(part)
        written = target.scalar(sa.select(sa.func.count()).select_from(table))
        if written != number:
            raise LibraryError(
                "move.incomplete",
                "The table {table} has {written} of {number} rows after the copy; nothing was "
                "moved.",
                hint="Check the server's log, then try again.",
                table=table.name,
                written=written,
                number=number,
            )
        counts[table.name] = number
        _continue_numbers(target, table)
    make_counter(target)
    raise_numbers(target, last_number(source))
    return counts


def _continue_numbers(connection: sa.Connection, table: sa.Table) -> None:
    """Let a counted key go on after the largest copied one; SQLite does so by itself."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    connection.exec_driver_sql(
        f"SELECT setval(s, greatest((SELECT max({column.name}) FROM {table.name}), 1)) "
        f"FROM pg_get_serial_sequence('{table.name}', '{column.name}') AS s WHERE s IS NOT NULL"
    )
