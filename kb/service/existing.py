"""The test for a library in a folder, which makes nothing there."""

from __future__ import annotations

from pathlib import Path

from kb.database import DATABASE_NAME
from kb.library import Library
from kb.storage import library_error


def has_library(home: Path) -> bool:
    """Return True if a folder has media or a database of a library.

    Raises LibraryError if this account may not look into the folder, or its disk has an error.
    """
    try:
        return Library(home).media_folder.is_dir() or (home / DATABASE_NAME).is_file()
    except OSError as error:
        raise library_error(error, home, "read") from error
