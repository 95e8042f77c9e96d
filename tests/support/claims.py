"""Several workers that claim the same rows at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from kb.database import Database
from kb.jobs.queue.dbos_client import DbosClient
from kb.settings import Settings

WORKERS = 4


def claimed_at_once(
    home: Path, claim: Callable[[Database, DbosClient], list[tuple[str, str]]]
) -> list[tuple[str, str]]:
    """Return what four workers claim together; each has a separate database connection."""
    taken: list[tuple[str, str]] = []
    ready = threading.Barrier(WORKERS)

    def look() -> None:
        database = Database.open(Settings(KB_HOME=str(home)))
        client = DbosClient(database)
        ready.wait(60)
        taken.extend(claim(database, client))
        client.close()
        database.close()

    threads = [threading.Thread(target=look) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken
