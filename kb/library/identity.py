"""The identity of a library: a name in its folder that its database has too.

    <home>/.kb-library.json   {"version": 1, "id": "6f1c…", "made": "2026-03-01T09:30:00Z"}

A share that is not mounted leaves an empty folder, and a wrong setting leads to another library:
both look like a folder that may be written to. So the identity is compared at every start and
before every write.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from kb import storage
from kb.errors import LibraryError

FILE = ".kb-library.json"
_NAMES = 16  # random bytes of an identity


def read_identity(home: Path, real: Path | None = None) -> str:
    """Return the identity in a folder; empty without one. `real`: its path through a descriptor.

    Raises LibraryError if the folder or the file cannot be read.
    """
    path = home / FILE
    try:
        document = storage.read_json(path, (real or home) / FILE)
    except LibraryError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return ""
        raise
    found = document.get("id")
    if not isinstance(found, str) or not found:
        raise LibraryError(
            "library.identity_damaged",
            "{path} is damaged: it has no id.",
            hint="Take it from a backup, or remove it and run: kb reindex",
            path=path,
        )
    return found


def make_identity(home: Path, identity: str = "") -> str:
    """Give the folder an identity, a new one by default, if it has none; return the folder's.

    Of several processes that do it at once, all get the same. Raises LibraryError.
    """
    path, draft = home / FILE, home / storage.temporary_name()
    document = {
        "version": 1,
        "id": identity or secrets.token_hex(_NAMES),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Not by `write_json`: the folder may be claimed for the identity that it does not have yet.
        storage.write_new(draft, storage.json_bytes(document))
        storage.flush(draft)
        try:
            os.link(draft, path)  # refused if the file is there: the first process decides
        except FileExistsError:
            pass
        except OSError:
            if not path.exists():  # a file system without links
                draft.replace(path)
    except OSError as error:
        raise storage.library_error(error, path, "write") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return read_identity(home)


def check_identity(home: Path, identity: str, real: Path | None = None) -> None:
    """Raise LibraryError if the folder is not there, or is not that of the library `identity`.

    `real` is the folder's path through a descriptor.
    """
    found = read_identity(home, real) if (real or home).is_dir() else ""
    if found == identity:
        return
    raise other_library(home) if found else library_missing(home)


def library_missing(home: Path) -> LibraryError:
    """Return the error for a library folder that was there and is not."""
    return LibraryError(
        "library.missing",
        "The library folder {home} is not there any more.",
        hint="Bring it back (or connect its disk) soon: work goes on by itself. If "
        "it has moved for good, end this worker and start one with KB_HOME set "
        "to the new place.",
        retryable=True,
        home=home,
    )


def other_library(home: Path) -> LibraryError:
    """Return the error for a folder that is that of another library than the database's."""
    return LibraryError(
        "library.other",
        "The folder {home} and the database belong to two libraries.",
        hint="Set KB_HOME and KB_DATABASE_URL to those of one library. To fill this database with "
        "what this folder holds: kb reindex",
        home=home,
    )
