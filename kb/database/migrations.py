"""Migrations: each converts the database from one version to the next."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from kb.database.fencing import make_counter
from kb.database.tables import (
    access_keys,
    access_use,
    api_jobs,
    api_keys,
    calibrations,
    deliveries,
    items,
    lanes,
    library_facts,
    list_entries,
    listing_pages,
    listings,
    lists,
    llm_answers,
    llm_calls,
    looks,
    machines,
    metadata,
    moves,
    notices,
    publications,
    run_items,
    runs,
    search_alerts,
    speeds,
    steps,
    subscriptions,
    whole_listings,
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
    _add_column(connection, items, "grade", "TEXT NOT NULL DEFAULT ''")


def _machine(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[machines, speeds, calibrations])


def _deliveries(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[deliveries])


def _problems(connection: sa.Connection) -> None:
    for table in (items, lanes, subscriptions, deliveries):
        _add_column(connection, table, "problem", "JSON")


def _whole_listings(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[whole_listings])
    _add_column(connection, subscriptions, "channel_id", "TEXT")


def _delivery_projects(connection: sa.Connection) -> None:
    _add_column(connection, deliveries, "project", "TEXT")
    # An item that was sent to one project only is there; of others the project is not known.
    sent = sa.and_(
        publications.c.sink == deliveries.c.sink,
        publications.c.item_id == deliveries.c.item_id,
        publications.c.status != "",
    )
    number = sa.select(sa.func.count()).select_from(publications).where(sent).scalar_subquery()
    project = sa.select(sa.func.min(publications.c.project)).where(sent).scalar_subquery()
    connection.execute(sa.update(deliveries).where(number == 1).values(project=project))


def _expected_errors(connection: sa.Connection) -> None:
    _add_column(connection, items, "expected_errors", "DOUBLE PRECISION")


def _looks(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[looks])


def _retry_schedule(connection: sa.Connection) -> None:
    _add_column(connection, items, "failing_since", "DOUBLE PRECISION")
    _add_column(connection, items, "failed_with", "TEXT")


def _fencing_tokens(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[library_facts])
    _add_column(connection, items, "fencing_token", "BIGINT NOT NULL DEFAULT 0")
    make_counter(connection)


def _known_lists(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[lists, list_entries])


def _subscription_names(connection: sa.Connection) -> None:
    for name, kind in (("title", "TEXT"), ("handle", "TEXT"), ("names", "JSON")):
        _add_column(connection, subscriptions, name, kind)
    _add_column(connection, subscriptions, "followed_at", "DOUBLE PRECISION")


def _instances(connection: sa.Connection) -> None:
    _add_column(connection, workers, "instance", "TEXT")


def _moves(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[moves])


def _api_jobs(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[api_jobs, notices])


def _access_keys(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[access_keys, access_use])


def _steps(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[steps])


def _key_limits(connection: sa.Connection) -> None:
    _add_column(connection, access_keys, "at_once", "INTEGER")
    _add_column(connection, access_use, "read_s", "DOUBLE PRECISION NOT NULL DEFAULT 0")
    for name, kind in (("charge_day", "TEXT"), ("charged_s", "DOUBLE PRECISION")):
        _add_column(connection, api_jobs, name, kind)
    _add_column(connection, api_jobs, "settled_at", "DOUBLE PRECISION")
    connection.execute(sa.update(access_use).values(read_s=access_use.c.seconds))


def _language_models(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[llm_calls, llm_answers])


def _runs(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[runs, run_items])


def _search_alerts(connection: sa.Connection) -> None:
    metadata.create_all(connection, tables=[search_alerts])


def _add_column(connection: sa.Connection, table: sa.Table, name: str, kind: str) -> None:
    # A new database has the column already, because its table was made with it.
    if name not in {column["name"] for column in sa.inspect(connection).get_columns(table.name)}:
        connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}"))


# Append only. A migration runs once, in one transaction with its record.
MIGRATIONS: list[Migration] = [
    _first,
    _sources,
    _publications,
    _grades,
    _machine,
    _deliveries,
    _problems,
    _whole_listings,
    _delivery_projects,
    _expected_errors,
    _looks,
    _retry_schedule,
    _fencing_tokens,
    _known_lists,
    _subscription_names,
    _instances,
    _moves,
    _api_jobs,
    _access_keys,
    _steps,
    _key_limits,
    _language_models,
    _runs,
    _search_alerts,
]
