"""Fences: the right of one attempt to write the files of an item.

A worker that was cut off or stopped may wake up after another one has finished its item, or after a
person has edited it. So every attempt has a number, which only grows (a fencing token: Kleppmann,
"How to do distributed locking", 2016). The files of an item are moved into place within a guard
that holds a lock of the item's row and refuses every attempt but the present one; the number is
kept in the item's record.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from kb import storage
from kb.errors import LibraryError
from kb.storage import Guard

TOKEN = "fencing_token"  # key of an item's record
"""The number of the last attempt that wrote the item's record."""

MARK_FILE = ".kb-attempts"  # in the library folder

RowLock = Callable[[str], AbstractContextManager[object]]
"""Locks the row of the item with this id for the block."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The right to write the files of one item.

    `number` is that of the attempt; 0 for a change that is no attempt of its own, such as the
    state of a publication: it leaves the record's number as it is. `guard` is entered around each
    move of a file into place; it raises Superseded, or UsageError for a change by hand, if the
    attempt does not own the item any more.
    """

    number: int
    guard: Guard


def no_row_lock(_item_id: str) -> AbstractContextManager[object]:
    """Lock nothing: a library without a database."""
    return nullcontext()


def older_database(home: Path, mark: int, number: int) -> LibraryError:
    """Return the error of a database that has not given out the number of an attempt.

    `mark` is that number, which the folder `home` knows; the database is at `number`.
    """
    return LibraryError(
        "library.database_older",
        "The files of the library in {home} are newer than its database: they know attempt "
        "{mark}, the database {number}. It may have been restored from a backup.",
        hint="Bring the database up to date with the files: kb reindex",
        home=home,
        mark=mark,
        number=number,
    )


def read_mark(home: Path) -> int:
    """Return the largest number of an attempt that wrote a record of a library; 0 without one.

    Raises LibraryError if the folder cannot be read.
    """
    path = home / MARK_FILE
    try:
        return int(path.read_bytes())
    except FileNotFoundError:
        return 0
    except ValueError:  # damaged: the next write repairs it
        return 0
    except OSError as error:
        raise storage.library_error(error, path, "read") from error


def raise_mark(home: Path, number: int) -> None:
    """Record that an attempt of this number wrote a record.

    The file is not flushed and not locked: of two writes at once the smaller may stay until the
    next one. A failure changes nothing: the record itself is written.
    """
    with suppress(OSError, LibraryError), storage.held(home) as real:
        if number > read_mark(real):
            draft = real / storage.temporary_name()
            draft.write_text(f"{number}\n", encoding="ascii")
            draft.replace(real / MARK_FILE)


def number_in(record: object) -> int:
    """Return the number of the attempt that wrote a record; 0 without one."""
    found = record.get(TOKEN) if isinstance(record, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0
