"""One attempt of an item: its claim, its progress and its end in the item's row.

An attempt never raises: an error is classified and written to the row. Every change is conditional
on the attempt's serial and worker, and its files are fenced with its number.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from kb.errors import Cancelled, KBError, StoredProblem, Superseded
from kb.jobs.queue import item_states, listing_jobs, machine_needs
from kb.jobs.worker import retry_policy
from kb.jobs.worker.context import WorkerContext, WorkerStopping, block_forever
from kb.sources.looks import LookOutcome, OpenLook
from kb.sources.ytdlp.version import installed_version

log = logging.getLogger(__name__)

OTHERS_AFTER_S = 2.0  # until another machine may try an item that trouble of this one stopped

Result = TypeVar("Result")


class ItemAttempt:
    """The attempt of one worker at one item."""

    def __init__(self, context: WorkerContext, item_id: str, serial: int) -> None:
        self._context = context
        self._id = item_id
        self._serial = serial
        self._key = (item_id, serial)
        self._library = context.library  # with the fence of the present attempt (`_guard`)
        self._last_progress = (0.0, "")
        self._look: OpenLook | None = None

    @contextlib.contextmanager
    def _guard(self) -> Iterator[item_states.ItemRow | None]:
        """Claim the item; turn an error into the row's state."""
        context = self._context
        row = self._until_accepted(
            lambda: context.items.claim(self._id, self._serial, context.executor)
        )
        if row is not None:
            self._library = context.library.fenced(context.fences.attempt(row))
            with context.lock:
                context.running.add(self._key)
                context.cancelled.discard(self._key)
        try:
            try:
                yield row
            except (WorkerStopping, Cancelled) as error:
                if context.stopping.is_set():
                    # The workflow must not end: the next worker continues it.
                    block_forever()
                self._end_look(LookOutcome.CANCELLED)
                if isinstance(error, Superseded):
                    context.discard(self._id, error)
                else:
                    log.info("%s: cancelled", self._id)
            except KBError as error:
                if row is not None:
                    self._fail(row, error)
            except Exception as error:
                log.exception("%s", self._id)
                if row is not None:
                    self._fail(row, retry_policy.unexpected(error, context.items.database))
        finally:
            with context.lock:
                context.running.discard(self._key)
                context.cancelled.discard(self._key)

    def _fail(self, row: item_states.ItemRow, error: KBError) -> None:
        """Postpone, retry or fail the item, as the retry policy decides."""
        context = self._context
        decision = retry_policy.decide(
            error, row.attempts, systemic=context.is_systemic(error),
            now=context.now(), failing_since=row.failing_since,
            retry_days=context.settings.retry_days,
        )  # fmt: skip
        if decision.lane_reason is not None and decision.until is not None:
            context.pause_lane(decision.until, decision.lane_reason)
        if error.code in machine_needs.OF_THIS_MACHINE:
            context.lacking[machine_needs.need_of(row.options, error.code).key] = error.code
        self._until_accepted(
            lambda: listing_jobs.record_poll(context.subscriptions, row.job, error)
        )
        waits = decision.state == item_states.WAITING
        until = next_at = decision.until
        if decision.lane_reason is not None and not context.items.database.is_sqlite:
            until = context.now() + OTHERS_AFTER_S  # this machine takes no items meanwhile
        self._end_look(LookOutcome.WAITING if waits else LookOutcome.FAILED, error, next_at)
        recorded = self._finish(
            decision.state, **error.record(),
            wait_until=until, attempts=decision.attempts,
            failing_since=decision.failing_since,
            failed_with=installed_version() if decision.state == item_states.FAILED else None,
        )  # fmt: skip
        if recorded and decision.state == item_states.FAILED:
            self._record_failure(row, error, decision.attempts)

    def _finish(
        self,
        state: str,
        *,
        error: str,
        hint: str,
        problem: StoredProblem | None = None,
        wait_until: float | None = None,
        attempts: int | None = None,
        grade: str | None = None,
        expected_errors: float | None = None,
        failing_since: float | None = None,
        failed_with: str | None = None,
    ) -> bool:
        context = self._context
        recorded = self._until_accepted(
            lambda: context.items.finish(
                self._id, self._serial, context.executor, state,
                error=error, hint=hint, problem=problem, wait_until=wait_until,
                attempts=attempts, grade=grade, expected_errors=expected_errors,
                failing_since=failing_since, failed_with=failed_with,
            )
        )  # fmt: skip
        if not recorded and context.stopping.is_set():
            # This worker has released the item already; the next worker ends it.
            block_forever()
        return recorded

    def _until_accepted(self, action: Callable[[], Result]) -> Result:
        """Repeat a change of the item's row until the database accepts it."""
        return self._context.until_accepted(action)

    def _record_failure(self, row: item_states.ItemRow, error: KBError, attempts: int) -> None:
        with contextlib.suppress(KBError):
            entry = self._library.find(self._id)
            if entry is None or entry.transcript_path is not None:
                return  # the folder has no entry, or an earlier transcript, which is kept
            fence = self._context.fences.failed_attempt(row)
            self._context.library.fenced(fence).amend(
                self._id, {"state": "failed", **error.record(), "attempts": attempts}
            )

    def _advance(self, stage: str, progress: float) -> None:
        now = time.monotonic()
        last, recorded_stage = self._last_progress
        # One row is updated at most once a second, and immediately when the stage changes.
        if stage == recorded_stage and now - last < 1.0 and progress < 1.0:
            return
        self._last_progress = (now, stage)
        context = self._context
        # For display only: a locked database must not end the work.
        with contextlib.suppress(KBError):
            if not context.items.advance(self._id, self._serial, context.executor, stage, progress):
                context.cancelled.add(self._key)

    def _require_ownership(self, stage: str) -> None:
        """Record the stage; raise Cancelled if another worker has taken the item over.

        A worker that was stopped and wakes up must not write beside its successor.
        """
        context = self._context
        if not self._until_accepted(
            lambda: context.items.advance(self._id, self._serial, context.executor, stage, 0.0)
        ):
            with self._library.guard(self._id):  # it says why
                raise Cancelled("item.cancelled", "Cancelled; nothing half written is left.")

    def _advance_or_stop(self, stage: str, progress: float) -> None:
        """Record progress; raise Cancelled, for stages that have no other check for a stop."""
        self._advance(stage, progress)
        if self._context.is_cancelled(self._key):
            raise Cancelled("item.cancelled", "Cancelled; nothing half written is left.")

    def _end_look(
        self, outcome: LookOutcome, error: KBError | None = None, next_at: float | None = None
    ) -> None:
        """Close the record of the look that this step makes, if it makes one."""
        look, self._look = self._look, None
        if look is not None:
            self._until_accepted(lambda: look.end(outcome, error=error, next_at=next_at))
