"""Steps that publish a finished item to a remote knowledge base, in a separate workflow."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from kb.errors import CredentialsRefused, KBError, Superseded, restored
from kb.jobs.publisher import HeldForReview
from kb.jobs.queue import outbox_states
from kb.jobs.queue.outbox import FIRST_POLL_S
from kb.jobs.queue.outbox_states import OutboxEntry
from kb.jobs.queue.step_states import UNFINISHED, is_product
from kb.jobs.queue.workflow_ids import publish_lane
from kb.jobs.worker import retry_policy
from kb.jobs.worker.context import WorkerContext, block_forever
from kb.pipeline import publish_record

log = logging.getLogger(__name__)

MAX_POLL_S = 600.0  # between two polls of a knowledge base that is still indexing
HOUR_S = 3600.0
REFUSED_S = 600.0  # after wrong credentials: the lane pauses, then it is tried again

_refusing = threading.Lock()


class PublishSteps:
    """The publication of one item to one remote knowledge base.

    A publication that is not possible now waits in the database and uses no slot. When its time has
    come, any worker queues it again (see `requeue_due`).
    """

    def __init__(self, context: WorkerContext, sink: str, item_id: str, serial: int) -> None:
        self._context = context
        self._sink = sink
        self._id = item_id
        self._serial = serial

    def run(self) -> str:
        """Publish once; return the state.

        Raises nothing: the workflow must end without an error.
        """
        context = self._context
        outbox_entry = context.until_accepted(
            lambda: context.outbox.claim(self._sink, self._id, self._serial)
        )
        if outbox_entry is None:
            return "not asked for any more"
        try:
            return self._publish(outbox_entry)
        except HeldForReview as error:
            return self._end(outbox_entry, outbox_states.HELD, error)
        except CredentialsRefused as error:
            return self._pause_lane_for_credentials(outbox_entry, error)
        except Superseded as error:
            context.discard(self._id, error)
            return "superseded"
        except KBError as error:
            return self._retry_or_fail(outbox_entry, error)
        except Exception as error:
            log.exception("%s → %s", self._id, self._sink)
            database = self._context.items.database
            return self._retry_or_fail(outbox_entry, retry_policy.unexpected(error, database))

    def _publish(self, outbox_entry: OutboxEntry) -> str:
        context = self._context
        pause = context.lanes.find_pause(publish_lane(self._sink), context.now())
        if pause is not None:
            reason = restored(pause.reason, pause.hint, pause.problem)
            return self._wait(outbox_entry, pause.until, reason, outbox_entry.attempts)
        if (waits := self._steps_under_way(outbox_entry)) is not None:
            until = outbox_entry.since + context.settings.publish_wait_hours * HOUR_S
            return self._wait(outbox_entry, until, waits, outbox_entry.attempts)
        context.require_room()
        published = context.publisher.publish_one(
            self._sink, self._id, outbox_entry.extra, context.fences.delivery(outbox_entry)
        )
        due_at = None
        if published.status == outbox_states.SYNCING:
            # Indexing takes time; its state is polled, and the publication uses no slot meanwhile.
            due_at = next_poll_at(outbox_entry.since, context.now())
        context.until_accepted(
            lambda: context.outbox.finish(outbox_entry, published.status, due_at=due_at)
        )
        return published.status

    def _steps_under_way(self, outbox_entry: OutboxEntry) -> KBError | None:
        """Return why the entry waits for steps of its item; None if it is sent now.

        What they find out is in the document, so that the item is sent once. The time is that of
        the request: an entry that waits again after a restart waits no longer.
        """
        context, hours = self._context, self._context.settings.publish_wait_hours
        if context.now() >= outbox_entry.since + hours * HOUR_S:
            return None
        rows = context.steps.for_items([self._id]).get(self._id, ())
        names = [row.step for row in rows if row.status in UNFINISHED and not is_product(row.step)]
        if not names:
            return None
        return KBError(
            "publish.awaits_steps",  # outbox_states.AWAITS_STEPS
            "It is sent when its steps have ended: {steps}.",
            hint="After {hours} hours at the latest (KB_PUBLISH_WAIT_HOURS); now: kb publish ID",
            steps=", ".join(names),
            hours=f"{hours:g}",
        )

    def _pause_lane_for_credentials(
        self, outbox_entry: OutboxEntry, error: CredentialsRefused
    ) -> str:
        """Pause the lane and log the error once: every other item would fail in the same way."""
        context, until = self._context, self._context.now() + REFUSED_S
        with _refusing, suppress(KBError):
            pause = context.lanes.find_pause(publish_lane(self._sink), context.now())
            if pause is not None:
                until = pause.until  # another publisher has just paused the lane
            else:
                log.error("%s: %s %s", self._sink, error.message, error.hint)
                context.lanes.pause(
                    publish_lane(self._sink), until, error.message, error.problem, error.hint
                )
        return self._wait(outbox_entry, until, error, outbox_entry.attempts)

    def _retry_or_fail(self, outbox_entry: OutboxEntry, error: KBError) -> str:
        if self._context.stopping.is_set():
            block_forever()
        if self._context.is_systemic(error):
            # A full disk or a missing folder is not an error of this item.
            self._context.warn_throttled(error)
            until = self._context.now() + retry_policy.LANE_PAUSE_S
            return self._wait(outbox_entry, until, error, outbox_entry.attempts)
        attempts = outbox_entry.attempts + 1
        log.warning("%s → %s: %s", self._id, self._sink, error.message)
        if error.retryable and attempts < retry_policy.MAX_ATTEMPTS:
            until = self._context.now() + retry_policy.backoff_s(attempts + 2)
            return self._wait(outbox_entry, until, error, attempts)
        return self._end(outbox_entry, outbox_states.FAILED, error, attempts)

    def _wait(self, outbox_entry: OutboxEntry, until: float, error: KBError, attempts: int) -> str:
        return self._end(outbox_entry, outbox_states.WAITING, error, attempts, until)

    def _end(
        self,
        outbox_entry: OutboxEntry,
        status: str,
        error: KBError,
        attempts: int = 0,
        due_at: float | None = None,
    ) -> str:
        context = self._context
        recorded = context.until_accepted(
            lambda: context.outbox.finish(
                outbox_entry, status, **error.record(), attempts=attempts, due_at=due_at
            )
        )  # fmt: skip
        # Another process that has taken the entry over records its state.
        if recorded and status != outbox_states.HELD:
            with suppress(KBError):
                entry = context.library.find(self._id)
                if entry is not None:
                    library = context.library.fenced(context.fences.delivery(outbox_entry))
                    publish_record.record_failure(
                        library,
                        entry.item,
                        self._sink,
                        error,
                        status,
                        attempts,
                    )
        return status


def next_poll_at(since: float, now: float) -> float:
    """Return when to poll a busy knowledge base again; the interval grows with its busy time."""
    return now + min(MAX_POLL_S, max(FIRST_POLL_S, (now - since) / 2))


def paused_sinks(context: WorkerContext) -> list[str]:
    """Return the knowledge bases whose lane is paused now."""
    prefix = publish_lane("")
    closed = context.lanes.pauses(context.now())
    return [name.removeprefix(prefix) for name, _ in closed if name.startswith(prefix)]


def requeue_due(context: WorkerContext) -> None:
    """Queue the waiting publications whose time has come, those of any worker."""
    context.outbox.claim_due(context.now(), context.client.publish, paused_sinks(context))


def requeue_lost(context: WorkerContext) -> None:
    """Queue publications again whose workflow has ended without a result after a database error."""
    abandoned = context.client.abandoned_deliveries()
    if again := context.outbox.requeue_lost(abandoned, context.client.publish):
        log.warning("to be published again, after a database error: %s", again)


def adopt(context: WorkerContext) -> None:
    """Add the publications recorded in the folder, if the database is new."""
    if not context.outbox.counts():
        context.outbox.adopt(context.library.entries())
