"""The table of passages in object storage: s3://bucket/folder, by LanceDB's own client.

A bucket has no renaming, so the name of the table in use is in a small table of its own, whose
versions replace each other in one step. Lists of words, which every process can make again, stay in
the library folder.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from kb.settings import Settings
from kb.sinks.local.tables import (
    FIRST_TABLE,
    KEEP_VERSIONS,
    LEFTOVER_AGE_S,
    POINTER,
    PassageTables,
)

WORDS_FOLDER = "index.words"  # in the library folder
# A bucket that does not answer is an error within seconds; LanceDB itself would try for minutes.
_TRIES = {"client_max_retries": "3", "connect_timeout": "10s", "timeout": "120s"}


def storage_options(settings: Settings) -> dict[str, str]:
    """Return LanceDB's options for the bucket; what is empty comes from AWS's own places."""
    named = {
        "aws_endpoint": settings.s3_endpoint,
        "aws_region": settings.s3_region,
        "aws_access_key_id": settings.s3_key_id,
        "aws_secret_access_key": settings.s3_secret.get_secret_value(),
        # An address of the user's own may be in the local network, without TLS.
        "allow_http": "true" if settings.s3_endpoint.startswith("http://") else "",
    }
    return {name: value for name, value in named.items() if value} | _TRIES


class RemotePassageTables(PassageTables):
    """The index of a bucket, for any number of processes and machines at the same time."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.home / WORDS_FOLDER)
        self.shown = settings.index_url
        self._options = storage_options(settings)
        self._table: tuple[str, Any] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[PassageTables]:
        """Yield these tables: a bucket is none of the library's folders."""
        yield self

    def make_folder(self) -> None:
        """Make the folder of the lists of words."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)

    def current(self) -> str:
        """Return the name of the table in use."""
        try:
            pointer = self._connect().open_table(POINTER)
        except ValueError as error:
            if "was not found" in str(error):
                return FIRST_TABLE
            raise
        name = str(pointer.to_arrow()["name"][0].as_py())
        if not name.startswith(FIRST_TABLE):
            raise ValueError(f"{POINTER} does not name a table")
        return name

    def make_current(self, name: str) -> str:
        """Replace the current table by another in one step; return the name of the old one."""
        try:
            replaced = self.current()
        except (ValueError, IndexError):
            replaced = FIRST_TABLE
        table = self._connect().create_table(POINTER, pa.table({"name": [name]}), mode="overwrite")
        table.optimize(cleanup_older_than=KEEP_VERSIONS)
        return replaced

    def remove_leftovers(self, replaced: str) -> None:
        """Delete the replaced table, and tables of crashed rebuilds older than a day."""
        keep = self.current()
        for name in self._names():
            made = name.rpartition("-")[2]
            stale = made.isdigit() and time.time() - int(made) / 1000 > LEFTOVER_AGE_S
            if name not in (keep, POINTER) and (name == replaced or stale):
                self.remove(name)

    def remove(self, name: str) -> None:
        """Delete a table and its list of words."""
        with contextlib.suppress(OSError):
            self.words_file(name).unlink()
        self._connect().drop_table(name, ignore_missing=True)

    def _names(self) -> list[str]:
        names: list[str] = []
        page = None
        while True:
            found = self._connect().list_tables(page_token=page)
            names += found.tables
            page = found.page_token
            if not page:
                return names

    def _old_versions(self, table: Any) -> int:
        oldest = datetime.now(UTC) - KEEP_VERSIONS
        # LanceDB gives times of this machine without their zone.
        times = (version["timestamp"].astimezone(UTC) for version in table.list_versions())
        return sum(at < oldest for at in times)

    def _connect(self) -> Any:
        return lancedb.connect(
            self.shown, storage_options=self._options, read_consistency_interval=timedelta(0)
        )

    def _open(self, name: str) -> Any | None:
        if self._opened is not None and self._table is not None and self._table[0] == name:
            return self._table[1]
        try:
            table = self._connect().open_table(name)
        except ValueError as error:
            # A table whose creation was interrupted has no version yet.
            if "was not found" in str(error) and name == FIRST_TABLE:
                return None
            raise
        self._table, self._opened = (name, table), (name, 0, table)
        return table


def tables_of(settings: Settings, folder: Path) -> PassageTables:
    """Return the tables of the index: those of the bucket in `index_url`, else of a folder."""
    return RemotePassageTables(settings) if settings.index_url else PassageTables(folder)
