"""A worker's heartbeat without the worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kb.database import Database
from kb.errors import KBError
from kb.jobs.queue.heartbeat import Heartbeat
from kb.settings import Settings

BEAT_EVERY_S = 1.0


@contextmanager
def live_worker(settings: Settings, database: Database) -> Iterator[Heartbeat]:
    """Give a heartbeat every second, as a worker does, until the end of the block.

    On a busy machine a page takes longer to draw than a single heartbeat lasts.
    """
    presence, ended = Heartbeat(settings, database), threading.Event()
    presence.acquire()

    def beat() -> None:
        while not ended.wait(BEAT_EVERY_S):
            with suppress(KBError):  # the next one comes
                presence.beat()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield presence
    finally:
        ended.set()
        thread.join()
        presence.release()
