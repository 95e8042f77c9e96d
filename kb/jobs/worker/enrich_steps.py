"""The steps that follow an item's words, each in a workflow of its own.

An item is done before they begin. A step that cannot be carried out now waits in the database and
uses no slot; one that lacks a part here waits for a machine that has it, and is skipped where none
at work does; one that fails leaves its item as it is.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from kb.errors import Cancelled, KBError, MediaUnavailable, RetryLater, Superseded
from kb.inference.model_choice import check_translates
from kb.jobs.queue.item_states import ItemRow
from kb.jobs.queue.machine_needs import steps_elsewhere
from kb.jobs.queue.request_settings import asked_of, settings_of
from kb.jobs.queue.source_factory import SHARED
from kb.jobs.queue.step_states import CANCELLED, DONE, FAILED, SKIPPED, WAITING, StepRow
from kb.jobs.worker import retry_policy
from kb.jobs.worker.context import LANE_POLL_S, WorkerContext, block_forever
from kb.jobs.worker.source_terms import require_turn
from kb.options import RunOptions
from kb.pipeline import enrichment
from kb.pipeline.enrichment import StepInput
from kb.sources.base import PictureSource
from kb.types import MediaItem, Transcript

log = logging.getLogger(__name__)

REPORT_S = 2.0  # between two records of a step's progress
CHECK_S = 0.5  # between two checks whether a download is still wanted
# A step whose parts another machine has waits for it; it is queued again for whichever takes it.
ELSEWHERE_S = 20.0
# Without a GPU the words and most steps compute on the same processor: the words of all items come
# first, until a step has been queued for this time, because the queue may never end.
WORDS_FIRST_S = 900.0
# The item has no medium, or its source no picture any more.
NOT_THERE = ("step.no_medium", "step.no_picture")


def wanted(context: WorkerContext, row: ItemRow) -> tuple[str, ...]:
    """Return the steps of an item whose words are written.

    None for an unknown name, which a later version or another machine may know. Raises LibraryError
    when the database fails.
    """
    options, asked = RunOptions.from_dict(row.options), settings_of(row.options, context.settings)
    elsewhere = steps_elsewhere(context.items.database, context.executor)
    try:
        return enrichment.wanted_steps(options, asked, elsewhere)
    except KBError as error:
        context.warn_throttled(error)
        return ()


def submit(
    context: WorkerContext, connection: sa.Connection, row: ItemRow, names: Sequence[str]
) -> None:
    """Queue steps of an item, in the caller's transaction."""
    asked = settings_of(row.options, context.settings)
    options = enrichment.options_of_run(RunOptions.from_dict(row.options), asked)
    if run := row.options.get(enrichment.RUN):
        options[enrichment.RUN] = run
    for name in names:
        context.steps.submit(
            connection, name, row.id, context.client.step, priority=row.priority, options=options
        )


class EnrichSteps:
    """One step of one item."""

    def __init__(self, context: WorkerContext, step: str, item_id: str, serial: int) -> None:
        self._context = context
        self._step = step
        self._id = item_id
        self._serial = serial
        self._reported_at = 0.0
        self._checked_at = -CHECK_S

    def run(self) -> str:
        """Carry the step out; return its state.

        Raises nothing: the workflow must end without an error.
        """
        context = self._context
        while not self._has_turn():
            if context.stopping.is_set():
                block_forever()
            time.sleep(LANE_POLL_S)
        row = context.until_accepted(
            lambda: context.steps.claim(self._step, self._id, self._serial)
        )
        if row is None:
            return "not asked for any more"
        try:
            return self._carry_out(row)
        except Superseded as error:
            context.discard(self._id, error)
            return "superseded"
        except Cancelled:
            if context.stopping.is_set():
                block_forever()  # the next worker continues the step
            return self._end(row, CANCELLED)
        except KBError as error:
            return self._retry_or_fail(row, error)
        except Exception as error:
            log.exception("%s: %s", self._id, self._step)
            database = context.items.database
            return self._retry_or_fail(row, retry_policy.unexpected(error, database))

    def _has_turn(self) -> bool:
        """Return False while the queue is paused, or words come first."""
        context = self._context
        if context.lane_is_paused():
            return False
        if not context.processor_has_words() or _is_of_a_service(self._step):
            return True
        now = time.monotonic()
        if now - self._checked_at < CHECK_S:
            return False
        self._checked_at = now
        return context.until_accepted(self._has_waited)

    def _has_waited(self) -> bool:
        """Return whether the step is queued for so long that it goes on beside the words."""
        context = self._context
        queued_at = context.steps.queued_at(self._step, self._id, self._serial)
        # Without a time it is not asked for any more.
        return queued_at is None or context.now() - queued_at >= WORDS_FIRST_S

    def _carry_out(self, row: StepRow) -> str:
        context = self._context
        entry = context.library.find(self._id)
        if entry is None or entry.transcript_path is None:
            return self._end(row, CANCELLED)  # removed, or its files are gone
        if (problem := enrichment.lacking(self._step, row.options)) is not None:
            if self._step in steps_elsewhere(context.items.database, context.executor):
                until = context.now() + ELSEWHERE_S
                return self._end(row, WAITING, problem, row.attempts, until)
            return self._end(row, SKIPPED, problem)
        context.require_room()
        library = context.library.fenced(context.fences.step(row))
        enrichment.run_step(
            library, entry, self._step, row.options, settings=context.settings,
            progress=lambda share: self._report(row, share),
            is_wanted=lambda: self._is_wanted(row),
            fetch_picture=lambda item, folder, arrived: self._fetch_picture(
                row, item, folder, arrived
            ),
            hear=lambda given, progress: self._hear(row, given, progress),
        )  # fmt: skip
        return self._end(row, DONE)

    def _fetch_picture(
        self, row: StepRow, item: MediaItem, folder: Path, arrived: Callable[[int, int], None]
    ) -> Path | None:
        """Fetch the picture of an item, on the terms and with the settings of its own download."""
        context, found = self._context, self._context.items.read(self._id)
        options = {} if found is None else found.options
        if found is not None:
            require_turn(context.items.database, context.subscriptions, found)
        factory = context.source_factory.asked_by(options)
        source = factory.source_of(item, shared=bool(options.get(SHARED)))
        if not isinstance(source, PictureSource):
            return None

        def check(done: int, total: int) -> None:
            if not self._is_wanted_now(row):
                raise Cancelled("step.cancelled", "Cancelled; nothing half written is left.")
            context.require_room(max(0, total - done))
            arrived(done, total)

        return source.picture(item, folder, check)

    def _hear(
        self, row: StepRow, given: StepInput, progress: Callable[[float], None]
    ) -> Transcript:
        """Return the recognizer's translation of an item's sound into English."""
        context, found = self._context, self._context.items.read(self._id)
        assert given.medium is not None and given.text is not None
        stored = {} if found is None else found.options
        run, asked = RunOptions.from_dict(stored), asked_of(stored, context.settings)
        own_model = context.settings.translate_model
        run = replace(
            run,
            model=own_model or run.model,
            language=given.text.transcript.language or run.language,
        )
        options = context.inference_session.transcription_options(
            run,
            asked.settings if asked else None,
            asked.preset if asked else None,
            # The row of the request is that of its own model.
            asked.row if asked and not own_model else None,
        )
        named = run.model or settings_of(stored, context.settings).model or options.model
        check_translates(named, context.settings)
        track = "" if given.track is None else str(given.track)
        return context.inference_process.transcribe(
            given.medium,
            replace(options, task="translate", track=track),
            sha256=given.sha256,
            shown_as=given.medium.name,
            progress=progress,
            cancelled=lambda: not self._is_wanted_now(row),
        )

    def _is_wanted_now(self, row: StepRow) -> bool:
        """Return what `_is_wanted` returns; the database is asked once in CHECK_S."""
        now = time.monotonic()
        if now - self._checked_at < CHECK_S:
            return not self._context.stopping.is_set()
        self._checked_at = now
        return self._is_wanted(row)

    def _is_wanted(self, row: StepRow) -> bool:
        """Return False if the step must stop; a database that is silent changes nothing."""
        if self._context.stopping.is_set():
            return False
        try:
            return self._context.steps.is_wanted(row)
        except KBError as error:
            self._context.warn_throttled(error)
            return True

    def _report(self, row: StepRow, share: float) -> None:
        now = time.monotonic()
        if now - self._reported_at >= REPORT_S:
            self._reported_at = now
            with suppress(KBError):  # for display only
                self._context.steps.report(row, share)

    def _retry_or_fail(self, row: StepRow, error: KBError) -> str:
        context = self._context
        if context.stopping.is_set():
            block_forever()
        if context.is_systemic(error):
            # A full disk or a missing folder is not an error of this item.
            context.warn_throttled(error)
            until = context.now() + retry_policy.LANE_PAUSE_S
            return self._end(row, WAITING, error, row.attempts, until)
        if isinstance(error, RetryLater):  # the lane is paused, or the source's hours are over
            until = error.until or context.now() + retry_policy.LONGEST_BACKOFF_S
            return self._end(row, WAITING, error, row.attempts, until)
        if isinstance(error, MediaUnavailable) and error.code in NOT_THERE and not error.retryable:
            return self._end(row, SKIPPED, error)
        attempts = row.attempts + 1
        log.warning("%s: %s: %s", self._id, self._step, error.message)
        if error.retryable and attempts < retry_policy.MAX_ATTEMPTS:
            until = context.now() + retry_policy.backoff_s(attempts + 2)
            return self._end(row, WAITING, error, attempts, until)
        return self._end(row, FAILED, error, attempts)

    def _end(
        self,
        row: StepRow,
        status: str,
        error: KBError | None = None,
        attempts: int = 0,
        due_at: float | None = None,
    ) -> str:
        context, record = self._context, error.record() if error is not None else {}
        context.until_accepted(
            lambda: context.steps.finish(row, status, **record, attempts=attempts, due_at=due_at)
        )
        return status


def _is_of_a_service(step: str) -> bool:
    """Return whether a service does the step's work; False for a step of a later version."""
    try:
        return bool(enrichment.may_cost_money([step]))
    except KBError:
        return False


def requeue_due(context: WorkerContext) -> None:
    """Queue the waiting steps whose time has come, those of any worker."""
    context.steps.claim_due(context.now(), context.client.step)


def requeue_lost(context: WorkerContext) -> None:
    """Queue steps again whose workflow has ended without a result after a database error."""
    lost = context.client.abandoned_steps()
    if again := context.steps.requeue_lost(lost, context.client.step):
        log.warning("steps to be carried out again, after a database error: %s", again)
