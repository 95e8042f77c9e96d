"""The tie between a database and the folder of its library.

Both have the library's identity (`kb.library.identity`). The folder also has the number of the last
attempt that wrote a record: a database that has not given out this number is older than the files,
such as one that was restored from a backup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from kb.database import Database, items, library_facts
from kb.database.fencing import last_number, raise_numbers
from kb.database.repeating import repeated
from kb.errors import KBError, LibraryError
from kb.jobs.queue.fences import Fences
from kb.jobs.queue.item_states import DONE, HELD
from kb.library import Library
from kb.library.fencing import older_database, read_mark
from kb.library.identity import (
    library_missing,
    make_identity,
    other_library,
    read_identity,
)

IDENTITY = "identity"  # name of the row
_SAMPLE = 20  # finished items that are looked for in a folder without an identity


@dataclass
class LibraryTie:
    """Database and folder of one library. Methods raise LibraryError when one cannot be read."""

    database: Database
    library: Library

    def attach(self) -> None:
        """Let every write of the library lock the item's row and check the folder's identity.

        An empty database, which is filled from the folder, takes over identity and numbers.
        """
        self.library.row_lock = Fences(self.database).row_lock
        known = self._known() or self._begin_with_folder()
        if self.database.is_sqlite and self._is_own_folder() and not self._found():
            known = ""  # the database is in the folder, which gets the identity by `require`
        self.library.belong_to(known)

    def problem(self) -> KBError | None:
        """Return the error of a folder and a database that do not belong together now, or None.

        The database may also be that of a newer version by now.
        """
        if newer := self.database.newer_version():
            return newer
        try:
            known, found, home = self._known(), self._found(), self.library.home
            if known and not found and not self._is_own_folder():
                return library_missing(home)
            if known != found and known and found:
                return other_library(home)
            if not known and self._finished() and not self._is_own_folder():
                return other_library(home) if found else library_missing(home)
            return self._older()
        except LibraryError as error:
            if error.code.startswith("database."):
                raise
            return error  # a share that does not answer has errors of many kinds

    def require(self) -> None:
        """Tie the database to the folder, which is made if both are new.

        A library of the version before gets its identity now. Raises LibraryError if the folder is
        missing or is that of another library; an older database is no error here.
        """
        found = self.problem()
        if found is not None and found.code != "library.database_older":
            raise found
        self.attach()
        home = self.library.home
        if not self.library.identity or not read_identity(home):
            self.library.belong_to("")
            self.library.prepare()
            identity = make_identity(home, self._known())
            with self.database.begin() as connection:
                self.database.insert_if_missing(
                    connection, library_facts, name=IDENTITY, value=identity
                )
            self.library.belong_to(self._known())
            self.library.check_place()

    @repeated
    def adopt(self) -> None:
        """Make the database that of this folder, whatever it was before (`kb reindex`).

        Numbers of attempts go on after those of the files.
        """
        home = self.library.home
        with self.database.begin() as connection:
            known = connection.scalar(self._query())
            identity = read_identity(home) or make_identity(home, known or "")
            self.database.insert_if_missing(
                connection, library_facts, name=IDENTITY, value=identity
            )
            row = sa.update(library_facts).where(library_facts.c.name == IDENTITY)
            connection.execute(row.values(value=identity))
            raise_numbers(connection, read_mark(home))
        self.attach()

    @repeated
    def _begin_with_folder(self) -> str:
        """Return the folder's identity for a database without any row; else an empty text."""
        with self.database.begin() as connection:
            if connection.scalar(sa.select(items.c.id).limit(1)) is not None:
                return ""
            if found := self._found():
                self.database.insert_if_missing(
                    connection, library_facts, name=IDENTITY, value=found
                )
            raise_numbers(connection, read_mark(self.library.home))
            return found

    def _found(self) -> str:
        """Return the folder's identity; empty without one. Raises LibraryError if unreadable."""
        home = self.library.home
        return read_identity(home) if home.is_dir() else ""

    def _older(self) -> LibraryError | None:
        mark = read_mark(self.library.home)
        with self.database.begin() as connection:
            number = last_number(connection)
        return older_database(self.library.home, mark, number) if mark > number else None

    def _is_own_folder(self) -> bool:
        """Return True if a folder without identity has items of the database, or the database."""
        path, home = self.database.path, self.library.home
        if path is not None and path.parent == home and home.is_dir():
            return True
        return bool(self.library.find_all(self._finished()))

    def _finished(self) -> list[str]:
        """Return the ids of some finished items."""
        c = items.c
        query = sa.select(c.id).where(c.state.in_((DONE, HELD))).order_by(c.id).limit(_SAMPLE)
        with self.database.begin() as connection:
            return [str(item_id) for item_id in connection.scalars(query)]

    def _known(self) -> str:
        with self.database.begin() as connection:
            return str(connection.scalar(self._query()) or "")

    @staticmethod
    def _query() -> sa.Select[Any]:
        return sa.select(library_facts.c.value).where(library_facts.c.name == IDENTITY)
