"""The database of a library: jobs, keys, lanes and publish records.

SQLite in the library folder by default, PostgreSQL by URL. All contents except counters can be
rebuilt from the folder or computed again. Schema changes are appended to `MIGRATIONS`, never
edited: the database records the number of migrations that were applied.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry

from kb.database.driver_errors import library_error, unreadable_name
from kb.database.migrations import MIGRATIONS
from kb.database.read_only import connect_for_reading, is_writable
from kb.database.snapshots import SCHEMA_KEPT, make_snapshot
from kb.database.tables import _schema, metadata
from kb.errors import KBError, LibraryError
from kb.settings import Settings

DATABASE_NAME = "kb.sqlite"
BUSY_TIMEOUT_MS = 30_000
POOL_SIZE = 16  # connections that stay open; more are opened while they are needed

_FILE = "kb_file"  # key of a connection's record: the identity of the file that it has open

log = logging.getLogger(__name__)


class Database:
    """The database of one library. Safe to use from threads; open one per process."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, settings: Settings, *, create: bool = True) -> Database:
        """Open the library's database and migrate its schema to the present version.

        Raises LibraryError: no folder and `create` is False, file damaged or not a database, locked
        for half a minute by another program, made by a newer version, or the PostgreSQL server
        cannot be reached. No message contains the URL's password.
        """
        url = settings.database_url.get_secret_value()
        engine = postgres_engine(url) if url else sqlite_engine(_file(settings.home, create))
        database = cls(engine)
        with database.errors():
            database._migrate()
        return database

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database, None for PostgreSQL."""
        return Path(str(self.engine.url.database)) if self.is_sqlite else None

    @property
    def location(self) -> str:
        """The database's address, without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Begin a transaction for the block; database errors become LibraryError."""
        with self.errors(), self.engine.begin() as connection:
            yield connection

    def insert_if_missing(
        self, connection: sa.Connection, table: sa.Table, **values: object
    ) -> None:
        """Insert a row unless its primary key exists; safe against other processes."""
        dialect = sqlite if self.is_sqlite else postgresql
        connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Convert the driver's errors to LibraryError with the next step."""
        try:
            yield
        except UnicodeDecodeError:
            if not self.is_sqlite:
                raise
            raise unreadable_name(self.location) from None
        except Exception as error:
            found = self.explain(error)
            if found is None:
                raise
            raise found from None

    def explain(self, error: Exception) -> LibraryError | None:
        """Return an error of the database with the next step, None for any other error."""
        file = self.engine.url.database if self.is_sqlite else None
        return library_error(error, self.location, Path(file).parent if file else None)

    def _migrate(self) -> None:
        # The version is read first: a process that only reads should not have to wait for a writer.
        if sa.inspect(self.engine).has_table(_schema.name):
            with self.engine.connect() as connection:
                if self._version(connection) == len(MIGRATIONS):
                    return
        with self.engine.begin() as connection:
            # Two processes that start at once must not both create the tables; SQLite's driver
            # would begin a transaction only before the first INSERT.
            lock = "BEGIN IMMEDIATE" if self.is_sqlite else "SELECT pg_advisory_xact_lock(7261501)"
            connection.execute(sa.text(lock))
            metadata.create_all(connection, tables=[_schema])
            done = self._version(connection)
            if done > len(MIGRATIONS):
                raise LibraryError(
                    "database.newer",
                    "The database {location} was written by a newer version of "
                    "KB Ingest (schema {done}, this one knows {known}).",
                    hint="Update KB Ingest, or set KB_HOME to another folder.",
                    location=self.location,
                    done=done,
                    known=len(MIGRATIONS),
                )
            if done and done < len(MIGRATIONS):
                self._keep_old(done)
            for number, migrate in enumerate(MIGRATIONS[done:], start=done + 1):
                migrate(connection)
                connection.execute(
                    sa.insert(_schema).values(version=number, applied_at=time.time())
                )

    def _keep_old(self, version: int) -> None:
        """Copy the database before its schema is changed; without a copy the change is made too.

        A migration is one transaction, so that the copy is needed only if it does the wrong thing.
        """
        if self.path is None:
            return
        try:
            make_snapshot(self.path, f"schema{version}", SCHEMA_KEPT)
        except KBError as error:
            log.warning("No copy was made before the change of the schema: %s", error.message)

    def _version(self, connection: sa.Connection) -> int:
        return connection.scalar(sa.select(sa.func.max(_schema.c.version))) or 0


def sqlite_engine(path: Path) -> sa.Engine:
    """Return an engine for one SQLite file, safe for several processes.

    WAL, so that readers never wait for a writer; IMMEDIATE transactions, so that two writers wait
    for each other instead of failing halfway; locks are waited for half a minute. A file that this
    account may not write is opened for reading.
    """
    readable_only = path.is_file() and not is_writable(path)
    engine = sa.create_engine(
        # The URL is built from parts, because a folder's name may contain `%`, `#` or `?`.
        sa.URL.create("sqlite", database=str(path)),
        connect_args={
            "check_same_thread": False,
            "timeout": BUSY_TIMEOUT_MS / 1000,
            "isolation_level": "IMMEDIATE",
        },
        # Every thread gets a connection: waiting for one would fail while a lock holds them all.
        pool_size=POOL_SIZE,
        max_overflow=-1,
        **(
            {"creator": lambda: connect_for_reading(path, BUSY_TIMEOUT_MS / 1000)}
            if readable_only
            else {}
        ),
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        record.info[_FILE] = _identity(path)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        with suppress(sqlite3.OperationalError):
            # A network share may not support WAL; the default journal is slower but correct.
            cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "checkout")
    def _follow_file(
        _connection: sqlite3.Connection, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        # `kb restore` puts another file in place of this one while a dashboard is open; what is
        # written through an old connection would be lost.
        present = _identity(path)
        if present is not None and record.info.get(_FILE) not in (None, present):
            raise sa.exc.InvalidatePoolError("the database file was replaced")

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and number of a file; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def postgres_engine(url: str) -> sa.Engine:
    """Return an engine for PostgreSQL through psycopg 3. Raises LibraryError for a bad URL."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise LibraryError(
            "database.url",
            "KB_DATABASE_URL is not a database URL.",
            hint="It looks like postgresql://user:password@host:5432/name",
        ) from None
    if parsed.get_backend_name() != "postgresql":
        raise LibraryError(
            "database.unsupported",
            "KB_DATABASE_URL names {backend}; only postgresql is supported.",
            hint="Leave it empty to keep everything in kb.sqlite in the library folder.",
            backend=parsed.get_backend_name(),
        )
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
    )


def _file(home: Path, create: bool) -> Path:
    if create:
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LibraryError(
                "library.folder_not_made",
                "The library folder {home} cannot be made: {reason}.",
                hint="Set KB_HOME to a folder that can be written.",
                home=home,
                reason=error.strerror or error,
            ) from None
    elif not home.is_dir():
        raise LibraryError(
            "library.no_folder",
            "There is no library folder {home}.",
            hint="Set KB_HOME to your library, or begin one with: kb ingest FILE",
            home=home,
        )
    return home / DATABASE_NAME
