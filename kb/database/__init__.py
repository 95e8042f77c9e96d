"""The database of a library: tables, migrations, connections."""

from __future__ import annotations

from kb.database.database import DATABASE_NAME, Database, sqlite_engine
from kb.database.migrations import MIGRATIONS
from kb.database.postgres import postgres_engine
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
    looks,
    machines,
    moves,
    notices,
    publications,
    speeds,
    steps,
    subscriptions,
    workers,
)

__all__ = [
    "DATABASE_NAME",
    "MIGRATIONS",
    "Database",
    "access_keys",
    "access_use",
    "api_jobs",
    "api_keys",
    "calibrations",
    "deliveries",
    "items",
    "lanes",
    "library_facts",
    "list_entries",
    "listing_pages",
    "listings",
    "lists",
    "looks",
    "machines",
    "moves",
    "notices",
    "postgres_engine",
    "publications",
    "speeds",
    "sqlite_engine",
    "steps",
    "subscriptions",
    "workers",
]
