"""A record of the files that were written outside the library, and of drafts under way.

A name does not say who wrote a file, so the record has the SHA-256 of each content that was written
to a path. It is one SQLite file in the user's state folder. Without a usable folder there is no
record, and then no file counts as written by this program.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from kb.storage.user_state import user_folder

log = logging.getLogger(__name__)

WAIT_S = 10.0  # for another process that writes the record
LARGEST = 100_000  # contents; the oldest are forgotten
FORGET_EVERY = 500  # contents written between two looks at their number

Result = TypeVar("Result")


class WrittenRecord:
    """The record of one user. Paths are absolute and resolved; no method raises."""

    def __init__(self, folder: Path | None = None) -> None:
        self.file = (folder or user_folder()) / "written.sqlite"

    def sources(self, path: Path) -> dict[str, str]:
        """Return the contents that were written to a path: SHA-256 to the source of each."""

        def read(connection: sqlite3.Connection) -> dict[str, str]:
            found = connection.execute(
                "SELECT sha256, source FROM contents WHERE path = ? ORDER BY at", (_key(path),)
            )
            return {sha256: source.decode("utf-8", "surrogatepass") for sha256, source in found}

        return self._run(read, {}) if self._is_there() else {}

    def add(self, path: Path, sha256: str, source: str) -> None:
        """Record a content before it is put in place, so that a kill leaves no unknown file."""

        def write(connection: sqlite3.Connection) -> None:
            values = (_key(path), sha256, source.encode("utf-8", "surrogatepass"), time.time())
            connection.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", values)
            (row,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            if row % FORGET_EVERY == 0:
                connection.execute(
                    "DELETE FROM contents WHERE rowid NOT IN "
                    "(SELECT rowid FROM contents ORDER BY at DESC LIMIT ?)",
                    (LARGEST,),
                )

        self._run(write, None)

    def add_draft(self, path: Path) -> None:
        """Record a temporary file or folder before it is made."""
        values = (_key(path), time.time())
        self._run(lambda c: c.execute("INSERT OR REPLACE INTO drafts VALUES (?, ?)", values), None)

    def remove_drafts(self, *paths: Path) -> None:
        """Forget temporary files that are gone."""
        keys = [(_key(path),) for path in paths]
        self._run(lambda c: c.executemany("DELETE FROM drafts WHERE path = ?", keys), None)

    def drafts(self) -> list[tuple[Path, float]]:
        """Return the recorded temporary files, and when each was recorded (epoch seconds)."""

        def read(connection: sqlite3.Connection) -> list[tuple[Path, float]]:
            found = connection.execute("SELECT path, at FROM drafts ORDER BY at")
            return [(Path(os.fsdecode(path)), at) for path, at in found]

        return self._run(read, []) if self._is_there() else []

    def _is_there(self) -> bool:
        with suppress(OSError):  # a folder that this account may not look into
            return self.file.exists()
        return False

    def _run(self, action: Callable[[sqlite3.Connection], Result], default: Result) -> Result:
        """Return the action's result in one transaction; the default without a usable record."""
        if not self.file.is_absolute():  # an account without a home folder
            return default
        for _ in range(2):
            try:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.file, timeout=WAIT_S)) as connection, connection:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    return action(connection)
            except (sqlite3.OperationalError, OSError) as error:
                log.debug("no record of written files: %s", error)
                return default
            except sqlite3.DatabaseError as error:
                # Without the old record its files count as those of others.
                log.warning("The record of written files is damaged; a new one is made: %s", error)
                with suppress(OSError):
                    self.file.unlink()
        return default


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS contents (path BLOB NOT NULL, sha256 TEXT NOT NULL, "
    "source BLOB NOT NULL, at REAL NOT NULL, PRIMARY KEY (path, sha256))",
    "CREATE TABLE IF NOT EXISTS drafts (path BLOB PRIMARY KEY, at REAL NOT NULL)",
)


def _key(path: Path) -> bytes:
    # Bytes: a name on Linux need not be text.
    return os.fsencode(os.path.normcase(path))
