"""Moving the queue between the file in the library folder and a PostgreSQL server."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from kb.database import DATABASE_NAME, Database
from kb.database.postgres import postgres_url
from kb.database.read_only import connect_for_reading
from kb.errors import UsageError
from kb.settings import Settings
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.jobs.queue.moving import Moved


# The work in a file, in the order of the fields of `LeftBehind`.
_LEFT = (
    "kb_items WHERE state IN ('queued', 'running', 'waiting', 'paused')",
    "kb_subscriptions",
    "kb_deliveries WHERE status IN ('queued', 'sending', 'waiting', 'syncing')",
    "kb_steps WHERE status IN ('queued', 'running', 'waiting')",
)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Work in a file beside a server that is used instead; `items` with listings."""

    path: Path
    items: int
    follows: int
    publications: int
    steps: int

    def __str__(self) -> str:
        """Return the numbers as they are shown."""
        open_work = [
            counted(number, noun)
            for number, noun in (
                (self.items, "item"), (self.publications, "publication"), (self.steps, "step"),
            )
            if number
        ]  # fmt: skip
        to_do = f"{', '.join(open_work)} to do" if open_work else ""
        follows = counted(self.follows, "follow") if self.follows else ""
        return " and ".join(filter(None, (to_do, follows)))


class QueueMove:
    """The move of one library's queue."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, target: str) -> Moved:
        """Move the queue to a PostgreSQL address, or with "sqlite" to the library's file.

        The source is the database of the settings; where that is the target already, the file
        beside it. Raises UsageError and LibraryError; nothing is changed then.
        """
        from kb.jobs.queue.moving import is_file, move_queue
        from kb.jobs.queue.worker_names import local_workers

        running = [worker.executor_id for worker in local_workers(self._settings)]
        if running:
            raise UsageError(
                "move.worker_runs",
                "A worker is running: {names}. The queue is moved only while none does.",
                hint="kb worker --stop, then try again.",
                names=", ".join(running),
            )
        own = self._settings.database_url.get_secret_value()
        to = "" if is_file(target) else target
        if to:
            postgres_url(to)
        from_ = own
        if _address(to) == _address(own):
            from_ = ""
            if not to or not (self._settings.home / DATABASE_NAME).is_file():
                raise UsageError(
                    "move.nowhere",
                    "The queue is there already.",
                    hint="Name another database: kb move-queue --to postgresql://…, or --to sqlite "
                    "while KB_DATABASE_URL is set.",
                )
        source = self._open(from_)
        try:
            destination = self._open(to, moved_too=True)
            try:
                return move_queue(source, destination)
            finally:
                destination.close()
        finally:
            source.close()

    def left_behind(self) -> LeftBehind | None:
        """Return the work in kb.sqlite while a server is used; None without any. Raises nothing."""
        path = self._settings.home / DATABASE_NAME
        if not self._settings.database_url.get_secret_value() or not path.is_file():
            return None
        with suppress(sqlite3.Error, OSError), closing(connect_for_reading(path, 1.0)) as file:
            with suppress(sqlite3.Error):  # a file of an older version has no such table
                if file.execute("SELECT count(*) FROM kb_moves").fetchone()[0]:
                    return None
            numbers = [_count(file, query) for query in _LEFT]
            return LeftBehind(path, *numbers) if any(numbers) else None
        return None

    def _open(self, url: str, *, moved_too: bool = False) -> Database:
        settings = self._settings.replace(database_url=SecretStr(url))
        return Database.open(settings, moved_too=moved_too)


def _count(file: sqlite3.Connection, where: str) -> int:
    """Return a number of rows, 0 for a table that a file of an older version does not have."""
    try:
        return int(file.execute(f"SELECT count(*) FROM {where}").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _address(url: str) -> str:
    """Return the server and name of a database, without the login; "" for the file."""
    if not url:
        return ""
    found = postgres_url(url)
    host = found.host or str(found.query.get("host", ""))
    return f"{host}:{found.port or 5432}/{found.database}"
