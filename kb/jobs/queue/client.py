"""The queue for its clients: submit, read, cancel, retry, pause."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kb import storage
from kb.database import Database
from kb.database.repeating import repeated
from kb.errors import KBError, StoredProblem
from kb.jobs.queue import (
    left_out,
    renewals,
    submission,
    views,
    workflow_ids,
)
from kb.jobs.queue.acts import Acts
from kb.jobs.queue.item_states import (
    FIRST,
    PAUSED,
    QUEUED,
    WAITING,
    ItemRow,
    ItemSummary,
    SkipCode,
    Skipped,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.queue.library_sync import library_row, sync_from_library, transcribed_rows
from kb.jobs.queue.library_tie import LibraryTie
from kb.jobs.queue.listing_jobs import enqueue_listing, listing_job
from kb.jobs.queue.order import Places
from kb.jobs.queue.outbox import Outbox
from kb.jobs.queue.queue_workers import QueueWorkers
from kb.jobs.queue.recovery import adopt_results, fill_from_library, follow_acts
from kb.jobs.queue.request_settings import with_settings
from kb.jobs.queue.run_forecast import Forecast
from kb.jobs.queue.runs import Run, RunStore
from kb.jobs.queue.source_factory import SourceFactory, marked
from kb.jobs.queue.source_facts import refresh_known
from kb.jobs.queue.steps import StepStore
from kb.jobs.queue.views import QueueFigures, QueuePage, QueueRow
from kb.library import Library, LibraryEntry
from kb.library.audit import AuditLog
from kb.library.left_out import LeftOut, Why
from kb.options import RUN, RunOptions
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem
from kb.types.safe_text import hide_credentials

if TYPE_CHECKING:
    from kb.jobs.queue.dbos_client import DbosClient


@dataclass(frozen=True, slots=True)
class LaneState:
    """A paused lane: its reason and its end (seconds since the epoch)."""

    name: str
    until: float
    reason: str
    problem: StoredProblem | None = None

    @property
    def paused_by_hand(self) -> bool:
        """True if the lane is paused until a person resumes it."""
        return self.until >= workflow_ids.FOREVER

    @property
    def hint(self) -> str:
        """The next step of the reason; empty if it is not known."""
        return str((self.problem or {}).get("hint", ""))

    @property
    def machine(self) -> str:
        """The worker whose own lane it is; empty for a lane that all share."""
        return self.name.partition(f"{workflow_ids.ITEM_LANE}@")[2]

    @property
    def holds_items(self) -> bool:
        """True for the lane of all items, False for those of downloads and knowledge bases."""
        return self.name == workflow_ids.ITEM_LANE


class JobQueue(Acts, QueueWorkers):
    """Client of one library's queue.

    The database is opened at first use; every method may raise LibraryError.
    """

    def __init__(
        self,
        settings: Settings,
        library: Library,
        audit: AuditLog | None = None,
        *,
        temporary: bool = False,
    ) -> None:
        """`temporary`: an empty database that is removed with this object, not the library's."""
        self._settings = settings
        self._temporary = temporary
        # The model of a request that names none; empty: the worker's device decides.
        self.default_model: Callable[[], str] = lambda: ""
        self._audit = audit
        self._library = library
        self._exit_stack = contextlib.ExitStack()  # closes what was opened

    @cached_property
    def database(self) -> Database:
        """The database. A new one gets the items of the library folder."""
        settings = self._settings
        if self._temporary:
            folder = self._exit_stack.enter_context(storage.scratch_folder())
            settings = settings.replace(home=folder)
        database = Database.open(settings)
        self._exit_stack.callback(database.close)
        if not self._temporary:
            LibraryTie(database, self._library).attach()
        fill_from_library(database, self._settings, self._library)
        return database

    @cached_property
    def items(self) -> ItemStore:
        return ItemStore(self.database)

    def library_problem(self) -> KBError | None:
        """Return the error of a folder and a database that do not belong together, or None."""
        return None if self._temporary else self.tie.problem()

    @property
    def tie(self) -> LibraryTie:
        """The tie between the database and the library's folder."""
        return LibraryTie(self.database, self._library)

    def prepare(self) -> None:
        """Make the folders of the library and check that they can be written to.

        With a server, nothing is made in a folder that is not that of its library: the share may
        not be mounted. Raises LibraryError.
        """
        if self._settings.database_url.get_secret_value():
            self.tie.require()
        self._library.prepare()

    @property
    def _lanes(self) -> LaneStore:
        return LaneStore(self.database)

    @property
    def outbox(self) -> Outbox:
        """The publications of the items: their states and the queue of uploads."""
        return Outbox(self.database, self._settings.odin_project_id)

    @property
    def steps(self) -> StepStore:
        """The steps that follow the items' words."""
        return StepStore(self.database)

    @cached_property
    def _client(self) -> DbosClient:
        from kb.jobs.queue.dbos_client import DbosClient

        client = DbosClient(self.database)
        self._exit_stack.callback(client.close)
        return client

    def close(self) -> None:
        """Close the database, if it was opened."""
        self._exit_stack.close()

    @property
    def source_factory(self) -> SourceFactory:
        """The factory of the sources of items."""
        return SourceFactory(self._settings, self.database)

    def record(self, what: str, ids: Sequence[str] = (), **facts: str) -> None:
        """Write an action to the library's log of who did what; nothing without such a log."""
        if self._audit is not None:
            self._audit.record(what, ids, **facts)

    # Requests

    def submit(
        self,
        media_items: Sequence[MediaItem],
        options: RunOptions,
        asked: Container[str] = (),
        forecast: Forecast | None = None,
    ) -> tuple[list[str], list[Skipped]]:
        """Queue items as one run; return the queued ids and the skipped items.

        Removed items are skipped, except those in `asked`. `forecast` is what is expected of the
        run. Raises LibraryError if the library's folder is missing or is that of another library.
        """
        self.tie.require()
        row = self._of_new_run(options)
        queued, skipped = submission.submit(
            self.items,
            self._library,
            media_items,
            row,
            self._client.enqueue(captions_first=options.wants_captions(self._settings)),
            again=options.again,
            asked=asked,
        )
        if queued:
            self.record("ingest", queued)
            self._plan(row, forecast)
        if options.priority is not None:
            self.rank([each.id for each in skipped if each.code == SkipCode.QUEUED], options)
        return queued, skipped

    def _plan(self, row: Mapping[str, Any], forecast: Forecast | None) -> None:
        who = self._audit.who if self._audit is not None else ""
        self.runs.plan(str(row[RUN]), forecast or Forecast(), who)

    @property
    def runs(self) -> RunStore:
        """The runs: what each request has queued, with its progress and its time left."""
        return RunStore(self.database)

    def list_runs(self, *, limit: int = 20, going: bool = False) -> list[Run]:
        """Return the runs that go on, then the newest ended ones; `going`: no others."""
        return self.runs.newest(self._live_workers(), limit=limit, going=going)

    def _of_new_run(self, options: RunOptions) -> dict[str, Any]:
        """Return the options of rows that are queued together: limits of a run count for all."""
        return {**self.stored(options), RUN: uuid.uuid4().hex}

    def stored(self, options: RunOptions) -> dict[str, Any]:
        """Return the options of a row, with the settings of this request."""
        return self.asked(options.as_dict())

    def asked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return stored options with the settings of this request, as every machine knows them.

        Raises SettingsError.
        """
        from kb.inference.model_choice import for_other_machines

        run, row = for_other_machines(
            RunOptions.from_dict(options), self._settings, self.default_model
        )
        return marked(with_settings(options, self._settings, run, row), self._settings)

    def submit_listing(
        self,
        reference: str,
        filters: VideoFilters,
        options: RunOptions,
        forecast: Forecast | None = None,
    ) -> list[str]:
        """Queue a listing that a worker makes as soon as possible; return its id."""
        self.tie.require()
        job = listing_job(reference, filters)
        row = self._of_new_run(options)
        enqueue_listing(self.items, job, row, self._client.ingest)
        self._plan(row, forecast)
        self.record("ingest", [job.id], reference=hide_credentials(reference))
        return [job.id]

    def states_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the states of those ids that the library or the queue contains."""
        sync_from_library(self.items, self._library, ids)
        return {each.id: each.state for each in self.summaries(ids=ids)}

    def refresh(self, found: Sequence[MediaItem]) -> list[str]:
        """Bring the facts that a listing found into known items; see `refresh_known`."""
        return refresh_known(self.items, self._library, found, self._client.ingest, ask=self.asked)

    def take_version(self, entry: LibraryEntry) -> None:
        """Queue an item that is held with the question about a new version, for that version."""
        renewals.take(self.items, self._library, entry, self._client.ingest, self.asked)

    def pause(self, ids: Sequence[str] | None = None) -> list[str]:
        """Pause items; `ids` None: the whole queue.

        Running items are finished; no other item is started.
        """
        if ids is not None:
            return self.cancel(ids, PAUSED)
        by_hand = KBError("lane.paused_by_hand", "paused by hand")
        self.record("pause the queue")
        self._lanes.pause(
            workflow_ids.ITEM_LANE, workflow_ids.FOREVER, by_hand.message, by_hand.problem
        )
        return []

    def resume(self, ids: Sequence[str] | None = None) -> list[str]:
        """End the pause of items; `ids` None: open every lane and queue all waiting work too."""
        if ids is None or ids:
            self.record("resume", ids or ())
        if ids is None:
            for lane in self.lanes():
                self._lanes.open(lane.name)
            self.outbox.retry_now()
            self.steps.retry_now()
            ids = [*self.items.ids(PAUSED), *self.items.ids(WAITING)]
        retried = self.items.retry(ids, self._client.ingest, states=(PAUSED, WAITING))
        resumed = [item_id for item_id, _ in retried]
        LeftOut(self._library).unmark(resumed, (Why.PAUSED,))
        return resumed

    def prioritise(self, ids: Sequence[str], priority: int) -> list[str]:
        """Set the priority of queued items: small numbers first. Return the ids moved."""
        moved = self.items.retry(
            ids, self._client.ingest, states=(QUEUED,), fresh=False, priority=priority
        )
        # The old workflows have no work any more, so they are cancelled before they start.
        self._client.cancel([workflow_ids.ingest_id(*key) for key in moved])
        return [item_id for item_id, _ in moved]

    @repeated
    def rank(self, ids: Sequence[str], options: RunOptions) -> list[str]:
        """Give items the places that new ones with the priority of `options` would get.

        Those that wait or are paused take their places when they are queued again. Return the ids
        moved.
        """
        queued = [row for row in self.items.rows(ids) if row.state in (QUEUED, WAITING, PAUSED)]
        queued.sort(key=lambda row: (row.priority, row.updated_at))
        with self.database.begin() as connection:
            places = Places(connection, {})
            numbers = {
                row.id: places.next(row.job, {**row.options, "priority": options.priority})[0]
                for row in queued
            }
        later = self.items.set_places(numbers)
        return [
            item_id
            for item_id, place in numbers.items()
            if item_id in later or self.prioritise([item_id], place)
        ]

    def move_to_front(self, ids: Sequence[str]) -> list[str]:
        """Move those of these items that have not started to the front; return the ids moved."""
        return self.prioritise(ids, FIRST)

    def send(self, item_id: str, sinks: Sequence[str]) -> None:
        """Queue an item for remote knowledge bases, to be synchronised with the library."""
        if not sinks:
            return
        self.record("publish", [item_id], to=", ".join(sinks))
        self.outbox.send(item_id, sinks, self._client.publish)

    # Reading

    def rows(self, ids: Sequence[str]) -> list[ItemRow]:
        """Return the rows of these items, newest first.

        A dead worker's items are shown as queued.
        """
        return self.items.rows(ids, self._live_workers())

    def summaries(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        ids: Sequence[str] | None = None,
        listings: bool = False,
    ) -> list[ItemSummary]:
        """Return items, newest first; `ids` None: all. A dead worker's items count as queued.

        With `listings`, looks and other listings instead of recordings.
        """
        return self.items.summaries(
            state=state, limit=limit, ids=ids, listings=listings,
            live_workers=self._live_workers(),
        )  # fmt: skip

    def notice_gone_files(self, rows: Sequence[ItemSummary]) -> bool:
        """Correct the state of those items whose files are gone; return True if any was changed."""
        return left_out.notice_gone_files(self.items, self._library, rows)

    def unfinished(self) -> dict[str, str]:
        """Return the state of every item that is not done, by id."""
        return self.items.unfinished(self._live_workers())

    def counts(self) -> dict[str, int]:
        """Return the number of items (recordings) shown in each state."""
        return self.items.counts(self._live_workers())

    def listing_counts(self, *, followed: bool = True) -> dict[str, int]:
        """Return the number of listings shown in each state; `followed`: with looks."""
        return self.items.listing_counts(self._live_workers(), followed=followed)

    def page(
        self,
        *,
        states: Sequence[str] = (),
        words: str = "",
        listings: bool = False,
        run: str = "",
        offset: int = 0,
        limit: int = 100,
    ) -> QueuePage:
        """Return a page of the queue, in the order of `kb.jobs.queue.views.page`."""
        return views.page(
            self.database,
            self._live_workers(),
            states=states,
            words=words,
            listings=listings,
            run=run,
            offset=offset,
            limit=limit,
        )

    def page_rows(self, ids: Sequence[str]) -> tuple[QueueRow, ...]:
        """Return these items as rows of the queue's page."""
        return views.page(self.database, self._live_workers(), ids=ids, limit=len(ids)).rows

    def figures(self, since: float) -> QueueFigures:
        """Return the queue's figures; `since` (epoch seconds) is the start of the "done" count."""
        return views.figures(self.database, self._live_workers(), since)

    def ids_with_prefix(self, prefix: str) -> list[str]:
        """Return the ids that begin with `prefix`, or whose part after the last colon does."""
        return self.items.ids_with_prefix(prefix)

    def has_several_machines(self) -> bool:
        """Return True if several workers are alive or have running items: these are then named."""
        alive = {worker.executor_id for worker in self.workers()}
        return len(alive | self.items.machines_at_work()) > 1

    def lanes(self) -> list[LaneState]:
        """Return the lanes that are paused now: items, downloads, knowledge bases."""
        paused = self._lanes.pauses(self.database.time())
        return [LaneState(name, *pause) for name, pause in paused]

    def adopt_folder(self, broken: Mapping[str, KBError] | None = None) -> int:
        """Add the folder's items that the table does not contain; return the number of new rows.

        The states of the other rows follow the folder (see `ItemStore.follow_library`). `broken`
        has the errors of the items whose transcript cannot be read, by id.
        """
        entries = self._library.entries()
        self.outbox.adopt(entries)
        adopt_results(self.database, self._library, entries)
        rows = [library_row(entry) for entry in entries]
        added = self.items.adopt(rows)
        if entries:  # an empty folder is more likely a disk that is not there
            self.items.follow_library(transcribed_rows(entries), broken or {}, complete=True)
        follow_acts(self.database, self._library)
        return added
