"""The numbers of attempts at items: each is larger than all before, in the whole library."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from kb.database.tables import fencing_tokens, library_facts

LAST = "fencing_token"  # name of the counter's row; SQLite has no sequences


def next_number(connection: sa.Connection) -> int:
    """Return a new number. It is used up also if the transaction is rolled back on PostgreSQL."""
    if not _is_sqlite(connection):
        return int(connection.scalar(sa.select(fencing_tokens.next_value())) or 0)
    number = sa.cast(library_facts.c.value, sa.Integer) + 1
    counted = (
        sa.update(library_facts)
        .where(library_facts.c.name == LAST)
        .values(value=sa.cast(number, sa.Text))
        .returning(library_facts.c.value)
    )
    return int(connection.scalar(counted) or 0)


def last_number(connection: sa.Connection) -> int:
    """Return the last number that was given out; 0 before the first one."""
    if _is_sqlite(connection):
        query = sa.select(library_facts.c.value).where(library_facts.c.name == LAST)
        return int(connection.scalar(query) or 0)
    found = connection.execute(
        sa.text(f"SELECT last_value, is_called FROM {fencing_tokens.name}")
    ).one()
    return int(found[0]) if found[1] else 0


def raise_numbers(connection: sa.Connection, least: int) -> None:
    """Let the next number be larger than `least`."""
    if least <= last_number(connection):
        return
    if _is_sqlite(connection):
        row = sa.update(library_facts).where(library_facts.c.name == LAST)
        connection.execute(row.values(value=str(least)))
    else:
        setval = sa.text(f"SELECT setval('{fencing_tokens.name}', :least)")
        connection.execute(setval, {"least": least})


def make_counter(connection: sa.Connection) -> None:
    """Make the counter of a database that has none."""
    if _is_sqlite(connection):
        first = sqlite.insert(library_facts).values(name=LAST, value="0")
        connection.execute(first.on_conflict_do_nothing())
    else:
        connection.execute(sa.schema.CreateSequence(fencing_tokens, if_not_exists=True))


def _is_sqlite(connection: sa.Connection) -> bool:
    return connection.dialect.name == "sqlite"
