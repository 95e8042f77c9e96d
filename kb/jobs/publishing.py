"""Sending a finished item to a remote knowledge base, apart from the item's own way."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from kb.errors import CredentialsRefused, KBError
from kb.jobs import names, pipeline, troubles
from kb.jobs.workplace import Workplace, park

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0  # after what a knowledge base was still busy with
REFUSED_S = 600.0  # wrong credentials: the lane rests, and is tried again by itself
WAITING = "waiting"

_refusing = threading.Lock()


class PublishWork:
    """One item on its way into one remote knowledge base.

    What cannot be done now is noted with the item as waiting and looked at again later (see
    `later`); meanwhile it holds no place.
    """

    def __init__(self, place: Workplace, sink: str, item_id: str) -> None:
        self._place = place
        self._sink = sink
        self._id = item_id

    def run(self) -> str:
        """Publishes once; returns how it stands. Raises nothing: the workflow must end well."""
        place = self._place
        if place.stopping.is_set():
            park()
        try:
            return self._publish()
        except CredentialsRefused as error:
            return self._refused(error)
        except KBError as error:
            return self._again_or_never(error)
        except Exception as error:
            log.exception("%s → %s", self._id, self._sink)
            return self._again_or_never(troubles.unexpected(error))

    def _publish(self) -> str:
        place = self._place
        pause = place.items.paused(lane(self._sink), time.time())
        if pause is not None:
            return self._wait(pause[0], KBError(pause[1]))
        published = place.remote.publish_one(self._sink, self._id)
        if published is None:
            return "nothing to publish"
        if published.status == "syncing":
            # Indexing takes its time; it is looked at again and holds no place meanwhile.
            place.later[(self._sink, self._id)] = time.time() + LOOK_AGAIN_S
        return published.status

    def _refused(self, error: CredentialsRefused) -> str:
        """Every other item would fail alike: it is said once, and the lane rests."""
        place, until = self._place, time.time() + REFUSED_S
        with _refusing, suppress(KBError):
            pause = place.items.paused(lane(self._sink), time.time())
            if pause is not None:
                until = pause[0]  # another publisher met it a moment ago
            else:
                log.error("%s: %s %s", self._sink, error.message, error.hint)
                place.items.pause_lane(lane(self._sink), until, error.message)
        return self._wait(until, error)

    def _again_or_never(self, error: KBError) -> str:
        if self._place.stopping.is_set():
            park()
        attempts = self._attempts() + 1
        log.warning("%s → %s: %s", self._id, self._sink, error.message)
        if error.retryable and attempts < troubles.MAX_ATTEMPTS:
            return self._wait(time.time() + troubles.backoff_s(attempts + 2), error, attempts)
        self._note(error, "failed", attempts)
        return "failed"

    def _attempts(self) -> int:
        with suppress(KBError):
            entry = self._place.library.find(self._id)
            record = entry.published.get(self._sink) if entry else None
            if isinstance(record, dict):
                return int(record.get("attempts") or 0)
        return 0

    def _wait(self, until: float, error: KBError, attempts: int = 0) -> str:
        self._place.later[(self._sink, self._id)] = until
        self._note(error, WAITING, attempts)
        return WAITING

    def _note(self, error: KBError, status: str, attempts: int) -> None:
        try:
            entry = self._place.library.find(self._id)
            if entry is not None:
                pipeline.record_trouble(
                    self._place.library, entry.item, self._sink, error, status, attempts
                )
        except KBError as trouble:
            log.warning("%s: %s", self._id, trouble.message)


def lane(sink: str) -> str:
    """The name of the lane of one knowledge base."""
    return f"{names.PUBLISH_QUEUE}:{sink}"


def find_waiting(place: Workplace) -> None:
    """Puts down what earlier workers left waiting, to be looked at soon."""
    for entry in place.library.entries():
        for sink, record in entry.published.items():
            if isinstance(record, dict) and record.get("status") in (WAITING, "syncing"):
                place.later.setdefault((sink, entry.item.id), time.time())


def look_again(place: Workplace) -> None:
    """Queues anew what waited for its time."""
    now = time.time()
    for key, due in list(place.later.items()):
        if due > now:
            continue
        sink, item_id = key
        with place.items.catalogue.begin() as connection:
            # A used workflow id would never run again; the second makes it new.
            place.client.publish(connection, sink, item_id, int(now), 1000)
        # Only now: had the database refused, it would be forgotten.
        if place.later.get(key) == due:
            place.later.pop(key)
