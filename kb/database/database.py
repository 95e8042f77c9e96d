"""The database of a library: jobs, keys, lanes and publish records.

SQLite in the library folder by default, PostgreSQL by URL. All contents except counters can be
rebuilt from the folder or computed again. Schema changes are appended to `MIGRATIONS`, never
edited: the database records the number of migrations that were applied.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import ConnectionPoolEntry

from kb.database.deadlines import FACE, FIRST, LONG, Deadlines
from kb.database.driver_errors import library_error, unreadable_name
from kb.database.locks import lock_holders
from kb.database.migrations import MIGRATIONS
from kb.database.other_versions import WorkerAtWork, live_workers, newer, older_at_work
from kb.database.postgres import postgres_engine, within
from kb.database.read_only import connect_for_reading, is_writable
from kb.database.repeating import repeated
from kb.database.server_errors import LOCK_HELD, lock_held
from kb.database.snapshots import SCHEMA_KEPT, make_snapshot
from kb.database.tables import _schema, metadata, moves
from kb.errors import KBError, LibraryError
from kb.settings import Settings

DATABASE_NAME = "kb.sqlite"
BUSY_TIMEOUT_MS = 30_000
CLOCK_EVERY_S = 60.0
POOL_SIZE = 16  # connections that stay open; more are opened while they are needed

_FILE = "kb_file"  # key of a connection's record: the identity of the file that it has open

log = logging.getLogger(__name__)


class Database:
    """The database of one library. Safe to use from threads; open one per process."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._offset: tuple[float, float] | None = None  # when it was read, and the difference

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        create: bool = True,
        deadlines: Deadlines = FACE,
        moved_too: bool = False,
    ) -> Database:
        """Open the library's database and migrate its schema to the present version.

        `deadlines` are those of a server's connections; a file has its own. A database that the
        queue was moved away from is opened with `moved_too` only.
        Raises LibraryError: no folder and `create` is False, file damaged or not a database, locked
        for half a minute by another program, made by a newer version, used by workers of an older
        one, or the PostgreSQL server cannot be reached. No message contains the URL's password.
        """
        url = settings.database_url.get_secret_value()
        engine = (
            postgres_engine(url, deadlines) if url else sqlite_engine(_file(settings.home, create))
        )
        database = cls(engine)
        try:
            with database.errors():
                database._migrate()
                if not moved_too:
                    database._require_not_moved()
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def workers_of_any_version(cls, settings: Settings) -> list[WorkerAtWork]:
        """Return the live workers of a database whose schema may be of another version.

        Raises LibraryError.
        """
        url = settings.database_url.get_secret_value()
        engine = postgres_engine(url) if url else sqlite_engine(_file(settings.home, False))
        database = cls(engine)
        try:
            with database.begin() as connection:
                return live_workers(connection, database._now(connection))
        finally:
            database.close()

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

    def with_deadlines(self, deadlines: Deadlines) -> Database:
        """Return this database with connections of its own; a file is shared as it is."""
        if self.is_sqlite:
            return Database(sqlite_engine(Path(str(self.engine.url.database))))
        url = self.engine.url.render_as_string(hide_password=False)
        return Database(postgres_engine(url, deadlines))

    @contextmanager
    def begin(self, deadlines: Deadlines | None = None) -> Iterator[sa.Connection]:
        """Begin a transaction for the block; database errors become LibraryError.

        `deadlines`: others than those of the database, for this transaction.
        """
        with self.errors(), self.engine.begin() as connection:
            if deadlines is None or self.is_sqlite:
                yield connection
            else:
                with within(connection, deadlines):
                    yield connection

    def time(self, connection: sa.Connection | None = None) -> float:
        """Return the database's own time in seconds since the epoch.

        A server's clock is read once a minute; in between this machine's steady clock counts, so
        that setting its time of day has no effect. Within a transaction give its `connection`: no
        second one is needed, and errors of the database are raised. Without one nothing is raised:
        while the server does not answer, the last difference counts.
        """
        if self.is_sqlite:
            return time.time()
        now = time.monotonic()
        read_at, offset = self._offset or (-CLOCK_EVERY_S, time.time() - now)
        if now - read_at >= CLOCK_EVERY_S:
            if connection is not None:
                offset = self._steady_offset(connection)
            else:
                with suppress(KBError), self.begin() as own:
                    offset = self._steady_offset(own)
            self._offset = (now, offset)
        return time.monotonic() + offset

    def _steady_offset(self, connection: sa.Connection) -> float:
        """Return the seconds from this machine's steady clock to the server's clock."""
        return self._now(connection) - time.monotonic()

    def clock(self) -> sa.ColumnElement[float]:
        """Return the database's own time, in seconds since the epoch, as an expression.

        The clocks of two machines differ; the liveness of workers is judged by this one alone.
        """
        if self.is_sqlite:
            return (sa.func.julianday("now") - sa.literal(2440587.5)) * sa.literal(86400.0)
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)

    def insert(self, table: sa.Table) -> Any:
        """Return an insert that can say what happens on a conflict; its form is that of both."""
        if self.is_sqlite:
            return sqlite.insert(table)
        # It loads asyncio and more, a tenth of a short command.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    def insert_if_missing(
        self, connection: sa.Connection, table: sa.Table, **values: object
    ) -> None:
        """Insert a row unless its primary key exists; safe against other processes."""
        connection.execute(self.insert(table).values(**values).on_conflict_do_nothing())

    def insert_all_if_missing(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Insert those rows whose primary keys do not exist; safe against other processes."""
        if rows:
            statement = self.insert(table).on_conflict_do_nothing()
            connection.execute(statement, [dict(row) for row in rows])

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
        found = library_error(error, self.location, Path(file).parent if file else None)
        if found is not None and found.code == LOCK_HELD and (who := lock_holders(self.engine)):
            return lock_held(self.location, who)
        return found

    @repeated
    def _migrate(self) -> None:
        # The version is read first: a process that only reads should not have to wait for a writer.
        is_first = not sa.inspect(self.engine).has_table(_schema.name)
        if not is_first:
            with self.engine.connect() as connection:
                if self._version(connection) == len(MIGRATIONS):
                    return
        with self.begin(FIRST if is_first else LONG) as connection:
            # Two processes that start at once must not both create the tables; SQLite's driver
            # would begin a transaction only before the first INSERT.
            lock = "BEGIN IMMEDIATE" if self.is_sqlite else "SELECT pg_advisory_xact_lock(7261501)"
            connection.execute(sa.text(lock))
            metadata.create_all(connection, tables=[_schema])
            done = self._version(connection)
            if done > len(MIGRATIONS):
                raise self._newer(done)
            if done and done < len(MIGRATIONS):
                if at_work := live_workers(connection, self._now(connection)):
                    raise older_at_work(self.location, at_work)
                self._keep_old(done)
            for number, migrate in enumerate(MIGRATIONS[done:], start=done + 1):
                migrate(connection)
                connection.execute(
                    sa.insert(_schema).values(version=number, applied_at=self._now(connection))
                )

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.scalar(sa.select(self.clock())) or 0.0)

    def _require_not_moved(self) -> None:
        with self.engine.connect() as connection:
            target = connection.scalar(sa.select(moves.c.target))
        if target is None:
            return
        if sa.make_url(target).get_backend_name() == "sqlite":
            raise LibraryError(
                "database.moved_to_file",
                "The queue of this library was moved from {location} to the file {target}.",
                hint="Remove KB_DATABASE_URL. To move it back: kb move-queue --to ADDRESS",
                location=self.location,
                target=sa.make_url(target).database,
            )
        raise LibraryError(
            "database.moved",
            "The queue of this library was moved from {location} to {target}.",
            hint="Set KB_DATABASE_URL to that database. To move it back: kb move-queue --to sqlite",
            location=self.location,
            target=target,
        )

    def newer_version(self) -> LibraryError | None:
        """Return the error of a schema that a newer version has made meanwhile, None if none has.

        Raises LibraryError when the database cannot be read.
        """
        with self.begin() as connection:
            done = self._version(connection)
        return self._newer(done) if done > len(MIGRATIONS) else None

    def _newer(self, done: int) -> LibraryError:
        known = len(MIGRATIONS)
        return newer(self.location, is_file=self.is_sqlite, done=done, known=known)

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
        # Every thread gets a connection: waiting for one would fail while a lock holds them all.
        pool_size=POOL_SIZE,
        max_overflow=-1,
        creator=lambda: (
            connect_for_reading(path, BUSY_TIMEOUT_MS / 1000) if readable_only else _connect(path)
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


def _connect(path: Path) -> sqlite3.Connection:
    """Connect to a file that is there: an unmounted share must not get an empty database."""
    if not path.exists():
        error = sqlite3.OperationalError("there is no such file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error
    return sqlite3.connect(
        path, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level="IMMEDIATE"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and number of a file; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


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
    path = home / DATABASE_NAME
    # SQLite itself would make it, and its neighbours with it, without the group's right to write.
    # An empty file is an empty database.
    with suppress(OSError):  # SQLite names the cause
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return path
