"""A worker's heartbeat without the worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from kb.database import Database
from kb.errors import KBError
from kb.jobs.queue import heartbeat, telemetry
from kb.jobs.queue.heartbeat import Heartbeat
from kb.settings import Settings

BEAT_EVERY_S = 1.0
LONG_S = 3600.0


@pytest.fixture
def lasting_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one heartbeat and one report of a worker last for the test, however late it looks."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_TIMEOUT_S", LONG_S)
    monkeypatch.setattr(telemetry, "LIVE_S", LONG_S)


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
