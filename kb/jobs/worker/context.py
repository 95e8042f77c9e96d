"""Worker context: shared dependencies, cancellation and back-off of the steps of one worker."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn, TypeVar

from kb.asr.batching.adjustable_semaphore import AdjustableSemaphore
from kb.database import Database
from kb.errors import Cancelled, KBError, LibraryError, Superseded
from kb.inference.model_fetch import within_floor
from kb.inference.process import InferenceProcess
from kb.inference.session import InferenceSession
from kb.jobs.publisher import Publisher
from kb.jobs.queue import workflow_ids
from kb.jobs.queue.dbos_client import DbosClient
from kb.jobs.queue.fences import Fences, is_database_trouble
from kb.jobs.queue.heartbeat import Heartbeat
from kb.jobs.queue.item_queries import Key
from kb.jobs.queue.item_states import QUEUED, RUNNING, WAITING
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LanePause, LaneStore
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.source_factory import SourceFactory
from kb.jobs.queue.steps import StepStore
from kb.jobs.removal import Removal
from kb.jobs.replacement import Replacement
from kb.jobs.worker import retry_policy
from kb.jobs.worker.model_fetches import MODEL_CONDUCT, ModelFetches
from kb.jobs.worker.preparation import PreparationTurns
from kb.library import Library
from kb.library.audit import AuditLog
from kb.library.identity import library_missing
from kb.settings import Settings
from kb.sources.looks import Looks
from kb.sources.subscriptions import Subscriptions
from kb.types import LocalMedia

log = logging.getLogger(__name__)

WARN_EVERY_S = 60.0
FULL_EVERY_S = 3600.0  # a full disk stays so for hours
LANE_POLL_S = 0.2
LONGEST_RETRY_S = 30.0

Result = TypeVar("Result")


class WorkerStopping(KBError):
    """Raised in a step when the worker stops; the next worker continues the item."""


def block_forever() -> NoReturn:
    """Block until the process exits, so that the step's workflow does not end."""
    while True:
        threading.Event().wait()


@dataclass
class WorkerContext:
    """Dependencies and state that the steps of one worker share."""

    settings: Settings
    library: Library
    items: ItemStore
    client: DbosClient
    inference_process: InferenceProcess
    inference_session: InferenceSession  # only for the choice of a model; no model is loaded here
    heartbeat: Heartbeat
    preparations: AdjustableSemaphore
    stopping: threading.Event = field(default_factory=threading.Event)
    running: set[Key] = field(default_factory=set)
    cancelled: set[Key] = field(default_factory=set)
    lane_pause: LanePause | None = None
    said_pause: bool = False  # that the queue is paused by hand
    prepared_bytes: int = 0
    arriving: dict[Key, int] = field(default_factory=dict)  # bytes that downloads still write
    warned_at: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    database_returned: threading.Condition = field(default_factory=threading.Condition)
    lacking: dict[str, str] = field(default_factory=dict)  # codes by the key of a need
    # As recorded, see `serving`: the needs, and the steps after the words.
    answers: tuple[dict[str, str], list[str]] = field(default_factory=lambda: ({}, []))
    folder_opened_at: float = -math.inf  # monotonic; see `chores.watch_room`
    preparation_turns: PreparationTurns = field(default_factory=PreparationTurns)
    model_fetches: ModelFetches = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the fetches of models."""
        self.model_fetches = ModelFetches(
            self._are_wanted,
            lambda ids: [
                item_id
                for item_id, _ in self.items.retry(
                    list(ids), self.client.ingest, states=(WAITING,), fresh=False
                )
            ],
            self.stopping,
            within_floor(self.settings, MODEL_CONDUCT),
            clock=self.now,
        )

    def _are_wanted(self, ids: Collection[str]) -> bool:
        """Return True if one of these items is queued, running or waiting."""
        return any(
            (row := self.items.read(item_id)) is not None
            and row.state in (QUEUED, RUNNING, WAITING)
            for item_id in ids
        )

    @cached_property
    def lanes(self) -> LaneStore:
        """The pauses of the lanes."""
        return LaneStore(self.items.database)

    @cached_property
    def fences(self) -> Fences:
        """The fences of the items' files."""
        return Fences(self.items.database)

    @cached_property
    def outbox(self) -> Outbox:
        """The publications to knowledge bases."""
        return Outbox(self.items.database, self.settings.odin_project_id)

    @cached_property
    def steps(self) -> StepStore:
        """The steps that follow the items' words."""
        return StepStore(self.items.database)

    @cached_property
    def publisher(self) -> Publisher:
        """The client of remote knowledge bases."""
        return Publisher(self.settings, self.library, self.items.database)

    @property
    def removal(self) -> Removal:
        """Removal of items; one that comes back is sent to its knowledge bases again."""
        return Removal(self.settings, self.library, self.items.database, self._send)

    def replace_parts(self, parts: Sequence[str], whole: str) -> None:
        """Move items that have only the beginning of a file to the trash. Raises LibraryError."""
        Replacement(
            self.removal, self.outbox, self._stop, lambda i: self.publisher.odin.delete(i)
        ).run(parts, whole)

    def _send(self, item_id: str, sinks: Sequence[str]) -> None:
        self.outbox.send(item_id, sinks, self.client.publish)

    def _stop(self, ids: Sequence[str]) -> None:
        """Cancel items and their publications."""
        stopped = [workflow_ids.ingest_id(*key) for key in self.items.stop(ids)]
        self.client.cancel(stopped)
        self.outbox.cancel(ids)

    @property
    def source_factory(self) -> SourceFactory:
        """The factory of the sources of items."""
        return SourceFactory(self.settings, self.items.database)

    @property
    def subscriptions(self) -> Subscriptions:
        """The subscriptions of the library."""
        return Subscriptions(self.items.database, self.library)

    @property
    def looks(self) -> Looks:
        """The records of the looks at followed references."""
        return Looks(self.items.database, self.library)

    @property
    def executor(self) -> str:
        """The name of this worker."""
        return self.heartbeat.executor

    def is_cancelled(self, key: Key) -> bool:
        """Return whether work on an item must stop: cancelled, paused, or the worker stops."""
        return key in self.cancelled or self.stopping.is_set()

    def check(self, key: Key) -> None:
        """Raise WorkerStopping or Cancelled, and LibraryError if the folder is missing."""
        if self.stopping.is_set():
            raise WorkerStopping("worker.stopping", "The worker is stopping.")
        if key in self.cancelled:
            raise Cancelled("item.cancelled", "Cancelled; nothing half written is left.")
        if not self.heartbeat.library_available():
            # This precedes every write, which would make an empty library in place of the missing
            # one.
            raise library_missing(self.settings.home)

    def warn_throttled(self, error: KBError) -> None:
        """Log a temporary error; an equal one at most once a minute, a full disk once an hour."""
        full = retry_policy.is_full_disk(error)
        cause, every_s = (error.code, FULL_EVERY_S) if full else (error.message, WARN_EVERY_S)
        now = time.monotonic()
        with self.lock:
            if now - self.warned_at.get(cause, -every_s) < every_s:
                return
            self.warned_at[cause] = now
        log.warning("%s %s", error.message, error.hint, extra={"cause": error.code})

    def on_connection_of(self, database: Database) -> WorkerContext:
        """Return this context, with its state, on other connections to the database."""
        other = copy.copy(self)
        for name in ("lanes", "outbox", "steps", "looks", "publisher"):
            other.__dict__.pop(name, None)
        other.items, other.client = ItemStore(database), DbosClient(database)
        return other

    def require_room(self, need: int = 0) -> None:
        """Raise if the library's disk has no room for `need` bytes (`FreeSpace.require`)."""
        self.settings.free_space.require(self.settings.home, need, clock=self.now)

    def reserve_room(self, key: Key, need: int) -> None:
        """Raise as `require_room` does, with the bytes that the other downloads still write."""
        with self.lock:  # two downloads must not both take the last room
            others = sum(size for other, size in self.arriving.items() if other != key)
            self.arriving.pop(key, None)
            self.require_room(need + others if need else 0)
            if need:
                self.arriving[key] = need

    def until_accepted(self, action: Callable[[], Result]) -> Result:
        """Repeat a change in the database until it succeeds; return its result.

        A workflow that ends without this change would leave its item in its old state for ever.
        """

        def change() -> Result:
            if self.stopping.is_set():
                block_forever()
            return action()

        return self._until(change, lambda _: True)

    def until_written(self, write: Callable[[], Result]) -> Result:
        """Repeat a write of an item's files until the database can say who owns the item.

        The write may have taken hours to prepare. Raises all other errors of `write`.
        """
        return self._until(write, is_database_trouble)

    def _until(self, action: Callable[[], Result], passes: Callable[[KBError], bool]) -> Result:
        """Repeat an action while its error passes.

        The waits grow, and end when the heartbeat finds the database again.
        """
        pause_s = LANE_POLL_S
        while True:
            try:
                return action()
            except KBError as error:
                if self.stopping.is_set():
                    block_forever()
                if not passes(error):
                    raise
                self.warn_throttled(error)
            with self.database_returned:
                self.database_returned.wait(pause_s)
            pause_s = min(LONGEST_RETRY_S, 2 * pause_s)

    def report_database_returned(self) -> None:
        """End the waits for the database, after an outage."""
        with self.database_returned:
            self.database_returned.notify_all()

    def discard(self, item_id: str, error: Superseded) -> None:
        """Report that the work of a late attempt was discarded: in the log and the history."""
        log.warning("%s", error.message)
        audit = AuditLog(self.settings.home, f"worker {self.executor}")
        audit.record("discard", [item_id], code=error.code, reason=error.message)

    def refresh_lane_pause(self) -> None:
        """Read the pause of the item lane. Raises LibraryError when the database cannot be read."""
        pause = self.find_lane_pause()
        if pause is not None:
            self.take_pause(pause)

    def take_pause(self, pause: LanePause | None) -> None:
        """Go by a pause of the item lane as it was read, or by none; log one by hand once."""
        by_hand = pause is not None and pause.is_by_hand
        if by_hand and not self.said_pause:
            log.info("the queue is paused by hand, and no item is started: kb resume")
        self.said_pause, self.lane_pause = by_hand, pause

    @property
    def own_lane(self) -> str:
        """The lane of the items that this machine takes; a file has one machine only."""
        shared = self.items.database.is_sqlite
        return workflow_ids.ITEM_LANE if shared else workflow_ids.machine_lane(self.executor)

    def find_lane_pause(self) -> LanePause | None:
        """Return the pause of the items, for all workers or for this one. Raises LibraryError."""
        return self.lanes.longest_pause((workflow_ids.ITEM_LANE, self.own_lane), self.now())

    def lane_is_paused(self) -> bool:
        """Return whether no further item may be started."""
        pause = self.lane_pause
        return pause is not None and pause.until > self.now()

    def now(self) -> float:
        """Return the time by the database's clock, which all machines share."""
        return self.items.database.time()

    def pause_lane(self, until: float, reason: KBError) -> None:
        """Let this worker take no items until a time of the database's clock; others go on."""
        self.lane_pause = LanePause(until, reason.message, reason.problem)
        with contextlib.suppress(KBError):
            self.lanes.pause(self.own_lane, until, reason.message, reason.problem, reason.hint)

    def is_systemic(self, error: KBError) -> bool:
        """Return whether an error concerns the library or the machine, not one item."""
        return (
            retry_policy.is_systemic(error, self.settings.home)
            or not self.heartbeat.library_available()
            or not self.can_write()
        )

    def can_write(self) -> bool:
        """Return whether the library's folder can be written to, by writing a small file there."""
        try:
            self.library.prepare()
        except LibraryError:
            return False
        return True

    def processor_has_words(self) -> bool:
        """Return whether the recognizer computes on the processor and has media before it."""
        snapshot = self.inference_process.snapshot
        on_processor = snapshot is not None and snapshot.device.kind == "CPU"
        return on_processor and self.prepared_bytes > 0

    @contextlib.contextmanager
    def prepared(self, media: LocalMedia) -> Iterator[None]:
        """Count a medium as prepared while it waits for the recognizer or is transcribed."""
        size = media.path.stat().st_size
        with self.lock:
            self.prepared_bytes += size
        try:
            yield
        finally:
            with self.lock:
                self.prepared_bytes -= size
