"""Connections to a SQLite file that this account may read but not write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path


def is_writable(path: Path) -> bool:
    """Return True if the file, and the journal beside it, can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connect_for_reading(path: Path, timeout_s: float) -> sqlite3.Connection:
    """Connect to a database without writing anything beside it.

    Where the files of its write-ahead log are not there and cannot be made, no process writes the
    database, and it is read as one that does not change. Raises sqlite3.Error.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    if not is_writable(path):
        connection = _connect(address, timeout_s)
        with suppress(sqlite3.OperationalError):
            connection.execute("SELECT count(*) FROM sqlite_master")
            return connection
        connection.close()
        if not path.with_name(f"{path.name}-wal").exists():
            address += "&immutable=1"
    return _connect(address, timeout_s)


def _connect(address: str, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, check_same_thread=False, timeout=timeout_s)
