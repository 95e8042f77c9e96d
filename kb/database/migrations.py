"""Migrations: each brings the database from one version to the next."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from kb.database.tables import (
    api_keys,
    calibrations,
    deliveries,
    items,
    lanes,
    listing_pages,
    listings,
    machines,
    metadata,
    publications,
    speeds,
    subscriptions,
    workers,
)

Migration = Callable[[sa.Connection], None]


def _first(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[items, lanes, workers])


def _sources(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[api_keys, listings, listing_pages, subscriptions])


def _publications(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[publications])


def _grades(connection: sa.Connection) -> None:
    # A database made today got the column with its table.
    if "grade" not in {column["name"] for column in sa.inspect(connection).get_columns(items.name)}:
        connection.execute(
            sa.text(f"ALTER TABLE {items.name} ADD COLUMN grade TEXT NOT NULL DEFAULT ''")
        )


def _machine(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[machines, speeds, calibrations])


def _deliveries(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[deliveries])


# Append only. A migration runs once, in one transaction with its record.
MIGRATIONS: list[Migration] = [_first, _sources, _publications, _grades, _machine, _deliveries]
