"""Sending a finished item to a remote knowledge base, apart from the item's own way."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

from kb.errors import CredentialsRefused, KBError
from kb.jobs.publisher import HeldBack
from kb.jobs.queue import outbox
from kb.jobs.queue.outbox import FIRST_LOOK_S, Delivery
from kb.jobs.queue.workflow_ids import publish_lane as lane_of
from kb.jobs.worker import retry_policy
from kb.jobs.worker.context import Workplace, park
from kb.pipeline import publish_record

log = logging.getLogger(__name__)

LAST_LOOK_S = 600.0  # between two looks at what a knowledge base is still busy with
REFUSED_S = 600.0  # wrong credentials: the lane rests, and is tried again by itself

_refusing = threading.Lock()


class PublishWork:
    """One item on its way into one remote knowledge base.

    What cannot be done now rests in the database until its time comes, holding no place
    meanwhile, and is taken up by whichever worker is there then (see `look_again`).
    """

    def __init__(self, place: Workplace, sink: str, item_id: str, serial: int) -> None:
        self._place = place
        self._sink = sink
        self._id = item_id
        self._serial = serial

    def run(self) -> str:
        """Publishes once; returns how it stands. Raises nothing: the workflow must end well."""
        place = self._place
        delivery = place.patiently(
            lambda: place.deliveries.claim(self._sink, self._id, self._serial)
        )
        if delivery is None:
            return "not asked for any more"
        try:
            return self._publish(delivery)
        except HeldBack as error:
            return self._end(delivery, outbox.HELD, error)
        except CredentialsRefused as error:
            return self._refused(delivery, error)
        except KBError as error:
            return self._again_or_never(delivery, error)
        except Exception as error:
            log.exception("%s → %s", self._id, self._sink)
            return self._again_or_never(delivery, retry_policy.unexpected(error))

    def _publish(self, delivery: Delivery) -> str:
        place = self._place
        pause = place.items.paused(lane_of(self._sink), time.time())
        if pause is not None:
            return self._wait(delivery, pause[0], KBError(pause[1]), delivery.attempts)
        published = place.remote.publish_one(self._sink, self._id, delivery.extra)
        due_at = None
        if published.status == outbox.SYNCING:
            # Indexing takes its time; it is looked at again and holds no place meanwhile.
            due_at = next_look(delivery.since, time.time())
        place.patiently(lambda: place.deliveries.finish(delivery, published.status, due_at=due_at))
        return published.status

    def _refused(self, delivery: Delivery, error: CredentialsRefused) -> str:
        """Every other item would fail alike: it is said once, and the lane rests."""
        place, until = self._place, time.time() + REFUSED_S
        with _refusing, suppress(KBError):
            pause = place.items.paused(lane_of(self._sink), time.time())
            if pause is not None:
                until = pause[0]  # another publisher met it a moment ago
            else:
                log.error("%s: %s %s", self._sink, error.message, error.hint)
                place.items.pause_lane(lane_of(self._sink), until, error.message)
        return self._wait(delivery, until, error, delivery.attempts)

    def _again_or_never(self, delivery: Delivery, error: KBError) -> str:
        if self._place.stopping.is_set():
            park()
        if self._place.is_everybodys(error):
            # A full disk or a folder that is gone says nothing against this item.
            self._place.complain(error)
            until = time.time() + retry_policy.LANE_PAUSE_S
            return self._wait(delivery, until, error, delivery.attempts)
        attempts = delivery.attempts + 1
        log.warning("%s → %s: %s", self._id, self._sink, error.message)
        if error.retryable and attempts < retry_policy.MAX_ATTEMPTS:
            until = time.time() + retry_policy.backoff_s(attempts + 2)
            return self._wait(delivery, until, error, attempts)
        return self._end(delivery, outbox.FAILED, error, attempts)

    def _wait(self, delivery: Delivery, until: float, error: KBError, attempts: int) -> str:
        return self._end(delivery, outbox.WAITING, error, attempts, until)

    def _end(
        self,
        delivery: Delivery,
        status: str,
        error: KBError,
        attempts: int = 0,
        due_at: float | None = None,
    ) -> str:
        place = self._place
        told = place.patiently(
            lambda: place.deliveries.finish(
                delivery, status, error=error.message, hint=error.hint, attempts=attempts,
                due_at=due_at,
            )
        )  # fmt: skip
        # Whoever has taken it over meanwhile tells how it stands.
        if told and status != outbox.HELD:
            with suppress(KBError):
                entry = place.library.find(self._id)
                if entry is not None:
                    publish_record.record_trouble(
                        place.library, entry.item, self._sink, error, status, attempts
                    )
        return status


def next_look(since: float, now: float) -> float:
    """When to ask a busy knowledge base again: later, the longer it has been busy."""
    return now + min(LAST_LOOK_S, max(FIRST_LOOK_S, (now - since) / 2))


def resting(place: Workplace) -> list[str]:
    """The knowledge bases whose lane is closed now."""
    prefix = lane_of("")
    closed = place.items.paused_lanes(time.time())
    return [name.removeprefix(prefix) for name, _, _ in closed if name.startswith(prefix)]


def look_again(place: Workplace) -> None:
    """Queues anew what waited for its time, whichever worker it began with."""
    place.deliveries.take_due(time.time(), place.client.publish, resting(place))


def mend(place: Workplace) -> None:
    """Queues again what no workflow will ever end, after trouble with the database."""
    lost = place.client.abandoned_deliveries()
    if again := place.deliveries.mend(lost, place.client.publish):
        log.warning("to be published again, after trouble with the database: %s", again)


def adopt(place: Workplace) -> None:
    """Takes in what the folder tells of publications, if the database is new."""
    if not place.deliveries.counts():
        place.deliveries.adopt(place.library.entries())
