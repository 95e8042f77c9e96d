"""The worker: takes items from the queues until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from dbos import DBOS

from kb.asr.batching.adjustable_semaphore import Places
from kb.database import Catalogue
from kb.errors import KBError
from kb.inference.process import ModelHost
from kb.inference.session import Recognition
from kb.jobs.queue import heartbeat, listing_jobs, workflow_ids
from kb.jobs.queue.dbos_client import JobClient, config
from kb.jobs.queue.item_states import QUEUED, RUNNING, WAITING
from kb.jobs.queue.items import ItemStore, Key
from kb.jobs.queue.telemetry import Teller, read_calibrations
from kb.jobs.worker import publish_steps, retry_policy, workflows
from kb.jobs.worker.context import Workplace
from kb.jobs.worker.item_steps import ItemWork
from kb.jobs.worker.spawn import _command
from kb.library import Library
from kb.options import RunOptions
from kb.settings import Settings

log = logging.getLogger(__name__)

TICK_S = 0.5
POLL_S = 0.3  # how often the queue of items is asked for work
PUBLISH_POLL_S = 1.0
REAP_EVERY_S = 5.0
MEND_EVERY_S = 15.0
FOLLOW_EVERY_S = 20.0
PUBLISH_EVERY_S = 10.0
FORGET_EVERY_S = 3600.0
IDLE_ENDS_AFTER_S = 3.0
# A share may be gone for a moment. After that nobody brings it back, or it may as well be
# started again; who waits for a worker that ends by itself is not kept waiting as long.
AWAY_ENDS_AFTER_S, AWAY_ENDS_IDLE_AFTER_S = 120.0, 20.0
PUBLISHERS = 4
CAPTIONERS = 2  # they wait for their turn among the downloads


class Worker:
    """One worker process. `run` ends the process when it has been asked to stop."""

    work: type[ItemWork] = ItemWork
    host: type[ModelHost] = ModelHost

    def __init__(self, settings: Settings, *, exit_when_idle: bool = False) -> None:
        self._settings = settings
        self._exit_when_idle = exit_when_idle
        self._stop = threading.Event()
        self._stopping = threading.Event()
        self._idle_since: float | None = None
        self._orphans: set[Key] = set()
        self._buried = False
        self._away_since: float | None = None
        self._exit_code = 0

    def run(self) -> None:
        """Works. Raises UsageError if the name is taken, LibraryError without a library.

        The process ends with 0 when it was asked to, with 1 when its library is gone.
        """
        self._listen_to_signals()
        settings = self._settings
        library = Library(settings.home)
        library.prepare()
        preset = RunOptions(workers=settings.workers or None).resolve_preset(settings)
        in_flight = settings.in_flight or min(64, 2 * preset.batch_size)
        self._catalogue = catalogue = Catalogue.open(settings)
        self._presence = heartbeat.Presence(settings, catalogue)
        self._presence.take()
        library.sweep_temporary()
        self._client = JobClient(catalogue)
        self._teller = Teller(catalogue, self._presence.executor)
        self._place = place = Workplace(
            settings=settings,
            library=library,
            items=ItemStore(catalogue),
            client=self._client,
            host=self.host(
                settings, preset.workers, calibrations=lambda: read_calibrations(catalogue)
            ),
            recognition=Recognition(settings),
            presence=self._presence,
            preparations=Places(preset.workers),
            stopping=self._stopping,
        )
        # What this name was running when it was killed is only queued until it is begun again.
        place.items.release(place.executor)
        place.lane_pause = place.items.paused(workflow_ids.ITEM_LANE, time.time())
        workflows.install(place, self.work)
        DBOS(config=config(catalogue, place.executor, in_flight + PUBLISHERS + CAPTIONERS + 4))
        DBOS.listen_queues(list(workflow_ids.QUEUES))
        with catalogue.errors():
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
        log.info("worker %s: %d items in flight", place.executor, in_flight)
        self._do(lambda: publish_steps.adopt(self._place))
        self._loop()
        self._end()

    def _listen_to_signals(self) -> None:
        def stop(*_: object) -> None:
            # The steps first: a recognizer that ends together with us is nobody's death.
            self._stopping.set()
            self._stop.set()

        for name in ("SIGINT", "SIGTERM", "SIGBREAK"):  # the last is Windows' Ctrl-Break
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), stop)

    def _loop(self) -> None:
        watch = heartbeat.Watch(self._settings.worker_timeout_s)
        chores: list[tuple[float, Callable[[], None]]] = [
            (0.0, self._look_at_mine),
            (heartbeat.HEARTBEAT_S, self._beat),
            (heartbeat.HEARTBEAT_S, self._requeue_due),
            (heartbeat.HEARTBEAT_S, self._tell_machine),
            (REAP_EVERY_S, lambda: self._reap(watch)),
            (MEND_EVERY_S, self._mend),
            (FORGET_EVERY_S, self._forget),
            (FOLLOW_EVERY_S, self._look_at_followed),
            (PUBLISH_EVERY_S, lambda: publish_steps.look_again(self._place)),
        ]
        # All at once at first, save mending: what was begun just now looks abandoned.
        later = time.monotonic() + MEND_EVERY_S
        next_at = [later if chore == self._mend else 0.0 for _, chore in chores]
        while not self._stop.wait(TICK_S):
            if not self._presence.at_home():
                self._wait_for_home()
                continue
            self._away_since = None
            for number, (every_s, chore) in enumerate(chores):
                now = time.monotonic()
                if now >= next_at[number] and not self._stop.is_set():
                    next_at[number] = now + every_s
                    self._do(chore)
            if self._presence.asked_to_stop():
                self._stop.set()
            if self._exit_when_idle and self._idle():
                self._stop.set()

    def _wait_for_home(self) -> None:
        """Begins nothing while the library is away, and ends when it stays so."""
        error, now = retry_policy.homeless(self._settings.home), time.monotonic()
        if self._away_since is None:
            self._away_since = now
            log.error("%s %s", error.message, error.hint)
        self._place.lane_pause = (time.time() + retry_policy.LANE_PAUSE_S, error.message)
        patience_s = AWAY_ENDS_IDLE_AFTER_S if self._exit_when_idle else AWAY_ENDS_AFTER_S
        if now - self._away_since >= patience_s:
            error = retry_policy.given_up(self._settings.home, patience_s)
            log.error("%s %s", error.message, error.hint)
            self._exit_code = error.exit_code
            self._stop.set()

    def _look_at_followed(self) -> None:
        """Queues a listing for every subscription whose time has come, missed ones once."""
        items, enqueue = self._place.items, self._client.ingest
        self._place.subscriptions.look(
            lambda due: listing_jobs.ask(items, listing_jobs.look_item(due), due.options, enqueue)
        )

    def _do(self, chore: Callable[[], None]) -> None:
        """A chore that fails is done again the next time; no trouble of its ends the worker."""
        try:
            chore()
        except KBError as error:
            # A locked database or a full disk passes; the items wait in their own way.
            self._place.complain(error)
        except Exception:
            log.exception("a chore of the worker failed")

    def _beat(self) -> None:
        if not self._presence.beat():
            # Asleep for too long, or the database is new: others have our items by now.
            log.warning("worker %s was taken for dead and begins anew", self._place.executor)
            self._buried = True
            self._place.stopping.set()
            self._stop.set()

    def _tell_machine(self) -> None:
        host = self._place.host
        self._teller.tell(host.snapshot, host.take_samples(), host.restarts, host.without_gpu)

    def _look_at_mine(self) -> None:
        place = self._place
        with place.lock:
            mine = set(place.mine)
        if mine:
            lost = mine - place.items.running(place.executor)
            with place.lock:
                place.lost |= lost & place.mine  # and not what has ended by itself meanwhile
        place.lane_pause = place.items.paused(workflow_ids.ITEM_LANE, time.time())

    def _requeue_due(self) -> None:
        due = self._place.items.due(time.time())
        if due:
            self._place.items.retry(due, self._client.ingest, states=(WAITING,), fresh=False)

    def _reap(self, watch: heartbeat.Watch) -> None:
        found = heartbeat.list_workers(self._catalogue)
        for executor in watch.silent(found, self._place.executor, time.monotonic()):
            self._place.library.sweep_temporary()  # what it was writing
            taken = self._client.take_over(executor)
            self._place.items.release(executor)
            heartbeat.bury(self._catalogue, executor, self._place.executor)
            log.warning(
                "worker %s is gone; %d of its items go on here or elsewhere", executor, len(taken)
            )

    def _mend(self) -> None:
        """Queues items again that no workflow will ever end.

        Those of this worker that none of its threads has, twice in a row, are such too: a
        workflow's thread ends when the database refuses its record.
        """
        items, client = self._place.items, self._client
        lost = client.abandoned()
        with self._place.lock:
            mine = set(self._place.mine)
        idle = items.running(self._place.executor) - mine
        lost.update(idle & self._orphans)
        self._orphans = idle
        again = items.retry(
            list(lost), client.ingest, states=(QUEUED, RUNNING), fresh=False, serials=lost
        )
        if again:
            client.cancel([workflow_ids.ingest_id(*key) for key in again])
            log.warning("queued again, after trouble with the database: %s", [i for i, _ in again])
        publish_steps.mend(self._place)

    def _forget(self) -> None:
        self._client.forget(time.time() - self._settings.keep_records_days * 86400)

    def _idle(self) -> bool:
        try:
            counts = self._place.items.counts()
            soon = time.time() + retry_policy.LONGEST_BACKOFF_S
            busy = (
                counts[QUEUED]
                or counts[RUNNING]
                # What waits for hours (quota, a premiere) is for another worker.
                or (counts[WAITING] and self._place.items.due(soon))
                # Nor is a lane that rests until somebody mends the credentials.
                or self._place.deliveries.busy(soon, publish_steps.resting(self._place))
            )
        except KBError:
            busy = True
        if busy:
            self._idle_since = None
            return False
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        return now - self._idle_since >= IDLE_ENDS_AFTER_S

    def _end(self) -> None:
        """Lets go of everything and ends the process.

        Running items are not waited for: they stay recorded and go on where they were, with
        this worker's next start or with another one.
        """
        place = self._place
        place.stopping.set()
        place.host.close()
        with suppress(KBError, OSError):
            if self._presence.at_home() and not self._buried:
                place.items.release(place.executor)
                self._presence.stop_file.unlink(missing_ok=True)
                self._presence.leave()
            place.library.sweep_temporary()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        if self._buried:
            # A fresh process under the same name; the lock goes with this one.
            os.execv(sys.executable, _command(exit_when_idle=self._exit_when_idle))
        # DBOS's threads may sit in a step for hours; nothing of theirs is worth waiting for.
        os._exit(self._exit_code)
