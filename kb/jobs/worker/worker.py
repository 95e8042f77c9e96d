"""The worker: processes items from the queues until a stop is requested."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from dbos import DBOS

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.database import Database
from kb.database.deadlines import REAPER, WORKER
from kb.errors import KBError
from kb.inference.line import LineServer, ModelTranscriber
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.jobs import media_storage
from kb.jobs.digest import run_mail
from kb.jobs.queue import dbos_delays, heartbeat, workflow_ids
from kb.jobs.queue.dbos_client import DbosClient, config
from kb.jobs.queue.fences import is_database_trouble
from kb.jobs.queue.item_queries import Key
from kb.jobs.queue.item_states import QUEUED, RUNNING, WAITING
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LanePause
from kb.jobs.queue.library_tie import LibraryTie
from kb.jobs.queue.recovery import fill_from_library, follow_acts
from kb.jobs.queue.runs import RunStore
from kb.jobs.queue.telemetry import TelemetryWriter, read_calibrations
from kb.jobs.searches.alerts import SearchAlerts
from kb.jobs.worker import (
    chores,
    enrich_steps,
    key_use,
    publish_steps,
    retry_policy,
    serving,
    workflows,
)
from kb.jobs.worker.cause_log import CauseLog
from kb.jobs.worker.companion import Companion
from kb.jobs.worker.context import WorkerContext
from kb.jobs.worker.item_share import ItemShare, limit_queues
from kb.jobs.worker.item_steps import ItemSteps
from kb.jobs.worker.spawn import worker_command
from kb.jobs.worker.threads import Background, Repeated, attempt
from kb.jobs.worker.webhooks import Webhooks
from kb.library import Library
from kb.library.identity import library_missing
from kb.options import RunOptions
from kb.settings import Settings
from kb.sources.looks import Looks
from kb.types.end_signals import handle_end_signals

log = logging.getLogger(__name__)

TICK_S = 0.5
STOP_S = 5.0  # each for the end of the present work and for signing off
POLL_S = 0.3  # interval at which the queue of items is polled
PUBLISH_POLL_S = 1.0
REAP_EVERY_S = 5.0
REQUEUE_LOST_EVERY_S = 15.0
FOLLOW_EVERY_S = 5.0
ROOM_EVERY_S = 2.0
NEEDS_EVERY_S = 10.0
CALIBRATIONS_EVERY_S = 5.0
PUBLISH_EVERY_S = 10.0
WEBHOOKS_EVERY_S = 2.0
ALERTS_EVERY_S = 10.0
SETTLE_EVERY_S = 5.0
RUNS_EVERY_S = 2.0  # between two measurements of the runs that go on
RUN_MAIL_EVERY_S = 5.0
MEDIA_STORED_EVERY_S = 60.0
CHANGES_EVERY_S = 60.0  # between two looks for texts that were changed on disk
CLEANUP_EVERY_S = 3600.0
COMPARE_EVERY_S = 2.0  # between two comparisons of folder and database
COPY_EVERY_S = 300.0
IDLE_TIMEOUT_S = 3.0
# A network share may be disconnected for a short time. If it stays away longer, a person must start
# the worker again; a worker that ends when idle has a caller that waits for it.
LIBRARY_MISSING_TIMEOUT_S, LIBRARY_MISSING_IDLE_TIMEOUT_S = 120.0, 20.0
PUBLISHERS = 4
CAPTIONERS = 2  # they mostly wait in the lane of downloads
ENRICHERS = 1  # each has a process of its own, beside the recognizer
PRODUCERS = 1  # of films; ffmpeg takes the cores that the recognizer leaves


class Worker:
    """One worker process. `run` ends the process after a stop request."""

    steps_class: type[ItemSteps] = ItemSteps
    process_class: type[InferenceProcess] = InferenceProcess

    def __init__(
        self,
        settings: Settings,
        *,
        exit_when_idle: bool = False,
        companion: Companion | None = None,
    ) -> None:
        """`companion` is a server in this process, which uses the model and ends with it."""
        self._settings = settings
        self._companion = companion
        self._exit_when_idle = exit_when_idle
        self._stop = threading.Event()
        self._stopping = threading.Event()
        self._idle_since: float | None = None
        self._idle_items: set[Key] = set()  # see `chores.requeue_lost`
        self._declared_dead = self._database_silent = False
        self._starts_again = False  # this process ends and a new one begins in its place
        self._library_missing_since: float | None = None
        self._watches_others = False
        self._library_problem: KBError | None = None
        self._compare_at = self._reported_at = 0.0  # monotonic times
        self._exit_code = 0
        self._causes = CauseLog()
        self._heartbeat: heartbeat.Heartbeat = None  # type: ignore[assignment]
        self._context: WorkerContext = None  # type: ignore[assignment]
        self._line: LineServer | None = None
        self._alerts: SearchAlerts | None = None

    def run(self) -> None:
        """Work until a stop is requested.

        Raises UsageError if the name is in use, LibraryError without a library. The process ends
        with exit code 0 after a stop request, with 1 if its library is missing.

        This thread only waits for the stop, so that a signal acts whatever the database, the
        network or the library's disk does; what is silent then is left behind.
        """
        self._listen_to_signals()
        self._causes.install()
        work = Background("worker", self._work)
        try:
            while not work.ended(POLL_S) and not self._stop.is_set():
                pass
            work.ended(STOP_S)
        except BaseException:
            Background("end", self._sign_off).ended(STOP_S)
            raise
        Background("end", self._sign_off).ended(STOP_S)
        self._exit()

    def _work(self) -> None:
        settings = self._settings
        library = Library(settings.home)
        if not settings.database_url.get_secret_value():
            library.prepare()
        preset = RunOptions(workers=settings.workers or None).resolve_preset(settings)
        in_flight = settings.in_flight or min(64, 2 * preset.batch_size)
        self._database = database = Database.open(settings, deadlines=WORKER)
        self._tie = LibraryTie(database, library)
        self._tie.require()
        library.prepare()
        beat = heartbeat.Heartbeat(settings, database)
        beat.acquire(self._stop.is_set)
        self._heartbeat = beat
        self._repeat("heartbeat", heartbeat.HEARTBEAT_S, self._beat)
        self._repeat("stop-file", TICK_S, self._follow_stop_file)
        try:
            self._begin(library, preset.workers, in_flight)
        except KBError as error:
            if not is_database_trouble(error):
                raise
            self._start_again_when_answered(error)
            return
        self._loop()

    def _begin(self, library: Library, preparations: int, in_flight: int) -> None:
        """Take over what a worker of this name left, and begin with the queues.

        Raises KBError; what was started until then is not taken back.
        """
        settings, database = self._settings, self._database
        library.sweep_temporary()
        fill_from_library(database, settings, library)
        self._client = DbosClient(database)
        self._telemetry = TelemetryWriter(database, self._heartbeat.executor)
        self._context = context = WorkerContext(
            settings=settings,
            library=library,
            items=ItemStore(database),
            client=self._client,
            inference_process=self.process_class(
                settings, preparations, calibrations=lambda: read_calibrations(database)
            ),
            inference_session=InferenceSession(settings),
            heartbeat=self._heartbeat,
            preparations=AdjustableSemaphore(preparations),
            stopping=self._stopping,
        )
        # Items that a killed worker of this name was running are queued again only now.
        context.items.release(context.executor)
        context.looks.close_open(context.executor)
        context.take_pause(context.find_lane_pause())
        if not self._library_well():
            self._wait_for_library()
        workflows.install(context, self.steps_class)
        self._share = share = ItemShare(context, in_flight)
        self._do(share.refresh)
        limit_queues({workflow_ids.ITEM_QUEUE: share.limit})
        dbos_delays.follow_database_clock(database)
        threads = in_flight + PUBLISHERS + CAPTIONERS + ENRICHERS + PRODUCERS + 4
        DBOS(config=config(database, context.executor, threads))
        DBOS.listen_queues(list(workflow_ids.QUEUES))
        with database.errors():
            DBOS.launch()
            DBOS.register_queue(
                workflow_ids.ITEM_QUEUE, worker_concurrency=in_flight, polling_interval_sec=POLL_S
            )
            DBOS.register_queue(
                workflow_ids.PUBLISH_QUEUE,
                worker_concurrency=PUBLISHERS,
                polling_interval_sec=PUBLISH_POLL_S,
            )
            DBOS.register_queue(
                workflow_ids.CAPTIONS_QUEUE,
                worker_concurrency=CAPTIONERS,
                polling_interval_sec=PUBLISH_POLL_S,
            )
            DBOS.register_queue(
                workflow_ids.STEP_QUEUE,
                worker_concurrency=ENRICHERS,
                polling_interval_sec=PUBLISH_POLL_S,
            )
            DBOS.register_queue(
                workflow_ids.PRODUCT_QUEUE,
                worker_concurrency=PRODUCERS,
                polling_interval_sec=PUBLISH_POLL_S,
            )
        log.info("worker %s: %d items in flight", context.executor, in_flight)
        self._do(self._open_line)
        self._do(context.inference_process.preload)
        webhooks = Webhooks(settings, database)
        items = ItemStore(database)
        self._repeat(
            "stored-media",
            MEDIA_STORED_EVERY_S,
            lambda: media_storage.run(settings, library, items, self._stopping),
        )
        self._repeat("webhooks", WEBHOOKS_EVERY_S, webhooks.run)
        self._alerts = SearchAlerts(settings, database, library)
        self._repeat("search-alerts", ALERTS_EVERY_S, self._look_for_alerts)
        runs = RunStore(database)
        self._repeat("runs", RUNS_EVERY_S, runs.sample)
        self._repeat(
            "run-mail",
            RUN_MAIL_EVERY_S,
            lambda: run_mail.report_ended(settings, runs, database.time()),
        )
        self._repeat("key-use", SETTLE_EVERY_S, lambda: key_use.settle_ended(database))
        self._do(lambda: publish_steps.adopt(self._context))
        self._do(lambda: follow_acts(database, library))
        self._do(self._watch_others)

    def _look_for_alerts(self) -> None:
        """Report new items with the words of saved searches."""
        if self._alerts is not None and (made := self._alerts.check(self._causes.warn)):
            log.info("saved searches have hits in new items: %s", [each.item_id for each in made])

    def _open_line(self) -> None:
        """Answer programs of this machine that wait for the words of a medium."""
        context = self._context
        transcriber = ModelTranscriber(context.inference_process, context.inference_session)
        if self._companion is not None:
            self._companion.begin(transcriber)
        self._line = LineServer(self._settings.home, transcriber)

    def _watch_others(self) -> None:
        """Begin to release the items of dead workers, and work that a worker does not begin."""
        own = self._context.on_connection_of(self._database.with_deadlines(REAPER))
        own_share = self._share.on(own)
        detector = heartbeat.DeadWorkerDetector(self._settings.worker_timeout_s)
        self._repeat("reaper", REAP_EVERY_S, lambda: chores.reap_dead_workers(own, detector))
        self._repeat("take-back", REAP_EVERY_S, lambda: chores.take_back(own_share))
        self._watches_others = True

    def _start_again_when_answered(self, error: KBError) -> None:
        """Wait for a database that fell silent during the start, and start again.

        This worker has its name already and was seen by others, so that a person relies on it.
        """
        self._causes.warn(error)
        while not self._stop.wait(TICK_S):
            with suppress(KBError):
                heartbeat.list_workers(self._heartbeat.database)
                log.warning("worker %s: its start broke off", self._heartbeat.executor)
                self._request_new_start()

    def _request_new_start(self) -> None:
        """End this process and let a new one begin in its place, unless a stop is requested."""
        if not self._stop.is_set():
            self._starts_again = True
            self._stopping.set()
            self._stop.set()

    def _listen_to_signals(self) -> None:
        def stop(*_: object) -> None:
            # The steps stop first: an inference process that ends together with the worker is no
            # crash.
            self._stopping.set()
            self._stop.set()

        handle_end_signals(stop)

    def _loop(self) -> None:
        context = self._context
        schedule: list[tuple[float, Callable[[], None]]] = [
            (0.0, lambda: chores.refresh_running(context)),
            (heartbeat.HEARTBEAT_S, self._share.refresh),
            (heartbeat.HEARTBEAT_S, lambda: chores.requeue_due(context)),
            (FOLLOW_EVERY_S, lambda: chores.retry_failed(context)),
            (heartbeat.HEARTBEAT_S, self._write_telemetry),
            (CALIBRATIONS_EVERY_S, context.inference_process.renew_calibrations),
            (REQUEUE_LOST_EVERY_S, self._requeue_lost),
            (CLEANUP_EVERY_S, lambda: chores.delete_old_records(context)),
            (COPY_EVERY_S, lambda: chores.back_up_database(context)),
            (CHANGES_EVERY_S, lambda: chores.watch_clock(context)),
            (CLEANUP_EVERY_S, lambda: chores.empty_trash(context)),
            (CLEANUP_EVERY_S, lambda: chores.apply_retention(context)),
            (CLEANUP_EVERY_S, lambda: chores.sweep_previews(context)),
            (ROOM_EVERY_S, lambda: chores.watch_room(context)),
            (FOLLOW_EVERY_S, lambda: chores.poll_subscriptions(context)),
            (CLEANUP_EVERY_S, lambda: chores.write_digest(context)),
            (CLEANUP_EVERY_S, lambda: chores.notice_update(context)),
            (PUBLISH_EVERY_S, lambda: publish_steps.requeue_due(context)),
            (PUBLISH_EVERY_S, lambda: enrich_steps.requeue_due(context)),
            (NEEDS_EVERY_S, lambda: serving.record_answers(context)),
            (CHANGES_EVERY_S, lambda: chores.follow_changes(context)),
            (CHANGES_EVERY_S, lambda: chores.complete_vectors(context)),
        ]
        # All chores run at once at first, except the search for lost items: an item that was
        # started just now would be taken for a lost one.
        later = time.monotonic() + REQUEUE_LOST_EVERY_S
        next_at = [later if chore == self._requeue_lost else 0.0 for _, chore in schedule]
        while not self._stop.wait(TICK_S):
            if not self._library_well():
                self._wait_for_library()
                continue
            if self._library_missing_since is not None:
                self._library_missing_since = None
                log.info("The library is there again; work goes on.")
                self._do(lambda: self._context.lanes.open(self._context.own_lane))
            for number, (every_s, chore) in enumerate(schedule):
                now = time.monotonic()
                if now >= next_at[number] and not self._stop.is_set():
                    next_at[number] = now + every_s
                    self._do(chore)
            if not self._watches_others:  # the library was away during the start
                self._do(self._watch_others)
            if self._exit_when_idle and self._idle():
                self._do(self._look_for_alerts)
                self._stop.set()

    def _library_well(self) -> bool:
        """Return True if the folder is there and is that of the database, which is not older."""
        if not self._heartbeat.library_available():
            self._library_problem = library_missing(self._settings.home)
            self._compare_at = 0.0
            return False
        if time.monotonic() >= self._compare_at:
            # A database that does not answer says nothing about the folder.
            with suppress(KBError):
                self._library_problem = self._tie.problem()
                self._compare_at = time.monotonic() + COMPARE_EVERY_S
        return self._library_problem is None

    def _wait_for_library(self) -> None:
        """Start no item while the library is not well, and end if it stays missing.

        The trouble is this machine's: other machines go on, and the queue shows it.
        """
        error, now = self._library_problem, time.monotonic()
        assert error is not None
        if self._library_missing_since is None:
            self._library_missing_since = now
            self._reported_at = 0.0
            log.error("%s %s", error.message, error.hint)
        until = self._context.now() + retry_policy.LANE_PAUSE_S
        self._context.lane_pause = LanePause(until, error.message, error.problem)
        waits = error.code == "library.database_older"  # for `kb reindex`
        newer = error.code.startswith("database.newer")
        in_the_folder = self._database.is_sqlite and not (waits or newer)
        if now >= self._reported_at and not in_the_folder:
            self._reported_at = now + heartbeat.HEARTBEAT_S
            self._context.pause_lane(until, error)
        timeout_s = (
            LIBRARY_MISSING_IDLE_TIMEOUT_S if self._exit_when_idle else LIBRARY_MISSING_TIMEOUT_S
        )
        if waits or (not self._database.is_sqlite and not self._exit_when_idle):
            return  # the queue shows the trouble, and other machines go on
        if now - self._library_missing_since >= timeout_s:
            if not newer:
                error = retry_policy.library_missing_too_long(self._settings.home, timeout_s)
            log.error("%s %s", error.message, error.hint)
            self._exit_code = error.exit_code
            self._stop.set()

    def _repeat(self, name: str, every_s: float, action: Callable[[], object]) -> None:
        Repeated(name, every_s, action, self._stopping, self._causes.warn).start()

    def _do(self, chore: Callable[[], None]) -> None:
        """Run a chore; a failed one is repeated after its interval and never ends the worker."""
        attempt(chore, self._causes.warn)

    def _follow_stop_file(self) -> None:
        """Stop at a request in the folder, whatever the database does."""
        if self._heartbeat.stop_requested():
            self._stopping.set()
            self._stop.set()

    def _beat(self) -> None:
        """Give the heartbeat."""
        beat = self._heartbeat
        # A file is beside the library: without it there is nothing to write to.
        is_there = not beat.database.is_sqlite or beat.library_available()
        try:
            alive = not is_there or beat.beat()
        except KBError:
            self._database_silent = True
            raise
        if self._database_silent and self._context is not None:
            self._database_silent = False
            self._context.report_database_returned()
        if not alive and not self._stop.is_set():
            # Suspended for too long, or the database is new: other workers have taken its items.
            log.warning("worker %s was declared dead and starts again", beat.executor)
            self._declared_dead = True
            self._request_new_start()
        self._causes.answered()

    def _write_telemetry(self) -> None:
        process = self._context.inference_process
        self._telemetry.write(
            process.snapshot, process.drain_samples(), process.restarts, process.trouble
        )

    def _requeue_lost(self) -> None:
        self._idle_items = chores.requeue_lost(self._context, self._idle_items)

    def _idle(self) -> bool:
        try:
            counts = self._context.items.row_counts()
            soon = self._context.now() + retry_policy.LONGEST_BACKOFF_S
            busy = (
                counts[QUEUED]
                or counts[RUNNING]
                # Items that wait for hours (quota, a premiere) are left to a later worker.
                or (counts[WAITING] and self._context.items.due(soon))
                # A lane that pauses until the credentials are corrected does not count either.
                or self._context.outbox.has_work(soon, publish_steps.paused_sinks(self._context))
                or self._context.steps.has_work(soon)
            )
        except KBError:
            busy = True
        if busy or (self._line is not None and self._line.busy):
            self._idle_since = None
            return False
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        return now - self._idle_since >= IDLE_TIMEOUT_S

    def _sign_off(self) -> None:
        """Release everything that can be released in a short time.

        Running items are not waited for: they stay recorded and continue at the same place after
        the next start of this or another worker.
        """
        self._stopping.set()
        context, beat = self._context, self._heartbeat
        if self._companion is not None:
            self._companion.end()
        if self._line is not None:
            self._line.close()
        if context is not None:
            context.inference_process.close()
        if beat is None:
            return
        with suppress(KBError, OSError):
            if beat.library_available() and not self._declared_dead:
                # Through the heartbeat's connection, whose deadlines are short.
                ItemStore(beat.database).release(beat.executor)
                library = context.library if context is not None else None
                Looks(beat.database, library).close_open(beat.executor)
                beat.stop_file.unlink(missing_ok=True)
                beat.release()
            if context is not None:
                context.library.sweep_temporary()

    def _exit(self) -> NoReturn:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        if self._starts_again:
            # Start a new process under the same name; this process's lock ends with it.
            command = worker_command(exit_when_idle=self._exit_when_idle)
            if self._companion is not None:
                command = list(self._companion.command)
            os.execv(sys.executable, command)
        # DBOS's threads may be in a step for hours; their work is continued later.
        os._exit(self._exit_code)
