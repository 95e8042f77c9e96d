"""Another version of the program at the same database.

The schema has a number that grows. A version refuses a schema that it does not know, and changes
the schema of an older version only while no worker is at work: a worker that runs does not notice
the change, and does not know the rules of the new schema.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import sqlalchemy as sa

from kb.database.tables import workers
from kb.errors import LibraryError
from kb.types.clock import SLACK_S

# Without a heartbeat for so long a worker is dead. Versions before the database's clock was used
# wrote their own machine's time: a heartbeat may be in the future.
SILENT_S = 60.0

OTHER_VERSION = ("database.newer", "database.newer_server", "database.older_at_work")


@dataclass(frozen=True, slots=True)
class WorkerAtWork:
    """A live worker of any version."""

    executor_id: str
    host: str
    pid: int


def newer(location: str, *, is_file: bool, done: int, known: int) -> LibraryError:
    """Return the error of a database whose schema `done` this version does not know."""
    if is_file:
        return LibraryError(
            "database.newer",
            "The database {location} was written by a newer version of "
            "KB Ingest (schema {done}, this one knows {known}).",
            hint="Update KB Ingest, or set KB_HOME to another folder.",
            location=location,
            done=done,
            known=known,
        )
    return LibraryError(
        "database.newer_server",
        "The database {location} was written by a newer version of KB Ingest on another "
        "machine (schema {done}, this one knows {known}).",
        hint="Update KB Ingest on this machine.",
        location=location,
        done=done,
        known=known,
    )


def older_at_work(location: str, at_work: Sequence[WorkerAtWork]) -> LibraryError:
    """Return the error of a database whose schema cannot be changed while workers use it."""
    return LibraryError(
        "database.older_at_work",
        "The database {location} is that of an older version of KB Ingest, whose workers are at "
        "work: {workers}.",
        hint="Stop them on their machines (kb worker --stop) and update KB Ingest on all of them; "
        "then try again. Unfinished items go on.",
        retryable=True,
        location=location,
        workers=", ".join(f"{each.executor_id} ({each.host})" for each in at_work),
    )


def live_workers(connection: sa.Connection, now: float) -> list[WorkerAtWork]:
    """Return the workers that are at work; `now` is by the database's clock.

    Only columns are read that every version had.
    """
    if not sa.inspect(connection).has_table(workers.name):
        return []
    c = workers.c
    query = sa.select(c.executor_id, c.host, c.pid).where(
        c.ended_at.is_(None), c.seen_at > now - SILENT_S, c.seen_at < now + SLACK_S
    )
    here = socket.gethostname()
    found = [WorkerAtWork(*row) for row in connection.execute(query.order_by(c.executor_id))]
    return [each for each in found if each.host != here or psutil.pid_exists(each.pid)]
