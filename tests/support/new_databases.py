"""New database files of tests get their tables from one that the product made in this process.

A library's tables are made by about a hundred statements and changes of the schema, which take a
tenth of a second of processor time, and thousands of tests begin with an empty library. Here the
product makes the tables once; each further file gets the same statements in one transaction. The
tests of the database itself and processes that tests start make theirs as a user's do.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from kb.settings import Settings

_NOW = "(julianday('now') - 2440587.5) * 86400.0"
_TABLES, _QUEUE = "kb.database.database", "kb.jobs.queue.dbos_client"


@dataclass(frozen=True)
class Script:
    """Statements that make tables with their first rows."""

    statements: list[str] = field(default_factory=list)
    rows: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)

    def run(self, path: Path, probe: str) -> None:
        """Make the tables of an existing file, unless it has a table whose name is like `probe`.

        What is wrong with the file is left to the product to say.
        """
        with (
            suppress(sqlite3.Error),
            closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("BEGIN IMMEDIATE")
            query = "SELECT 1 FROM sqlite_master WHERE name LIKE ?"
            if connection.execute(query, (probe,)).fetchone():
                return
            for statement in self.statements:
                connection.execute(statement)
            for statement, values in self.rows:
                connection.execute(statement, values)
            connection.execute("COMMIT")


def _read(path: Path, without: Script) -> Script:
    """Return what makes a database's tables, except those that another script makes."""
    script = Script()
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        for kind, name, statement in connection.execute(query).fetchall():
            if statement in without.statements or name.startswith("sqlite_"):
                continue
            script.statements.append(statement)
            if kind == "table":
                for row in connection.execute(f'SELECT * FROM "{name}"'):
                    marks = ", ".join("?" * len(row))
                    script.rows.append((f'INSERT INTO "{name}" VALUES ({marks})', row))
    return script


class _Originals:
    """The product's own functions, and whether files are made by them."""

    migrate: Callable[[Any], None]
    make_tables: Callable[[Any], None]
    migrations: object
    alone = False


@cache
def _scripts() -> tuple[Script, Script]:
    """Return the scripts of the tables of the library and of those of the queue."""
    database = sys.modules[_TABLES].Database
    with tempfile.TemporaryDirectory() as folder, as_the_product_makes_them():
        opened = database.open(Settings(KB_HOME=folder, KB_DATABASE_URL=""))
        try:
            tables = _read(opened.path, Script())
            tables.rows.append((f"UPDATE kb_schema SET applied_at = {_NOW}", ()))
            if not hasattr(_Originals, "make_tables"):
                return tables, Script()
            _Originals.make_tables(opened)
            return tables, _read(opened.path, tables)
        finally:
            opened.close()


@contextmanager
def as_the_product_makes_them() -> Iterator[None]:
    """Within the block the product makes the tables itself."""
    before, _Originals.alone = _Originals.alone, True
    try:
        yield
    finally:
        _Originals.alone = before


def _migrate(database: Any) -> None:
    path = database.path
    same = sys.modules[_TABLES].MIGRATIONS is _Originals.migrations
    if same and not _Originals.alone and path is not None and _is_empty(path):
        _scripts()[0].run(path, "%")
    _Originals.migrate(database)


def _make_tables(database: Any) -> None:
    path = database.path
    if not _Originals.alone and path is not None and _scripts()[1].statements:
        _scripts()[1].run(path, "workflow_status")
    _Originals.make_tables(database)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return False


def start() -> None:
    """Prepare the modules that are loaded; a test that loads them itself gets the product's way."""
    if (module := sys.modules.get(_TABLES)) is not None:
        _Originals.migrate = module.Database._migrate
        _Originals.migrations = module.MIGRATIONS
        module.Database._migrate = _migrate
        if (queue := sys.modules.get(_QUEUE)) is not None:
            _Originals.make_tables = queue.make_tables
            queue.make_tables = _make_tables
