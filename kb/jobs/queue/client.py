"""The asking side of the queue: submit, look, cancel, retry, pause."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kb import storage
from kb.database import Database
from kb.errors import KBError
from kb.jobs.queue import heartbeat, outbox, views, workflow_ids
from kb.jobs.queue.item_states import (
    CANCELLED,
    FAILED,
    PAUSED,
    QUEUED,
    WAITING,
    ItemRow,
    ItemSummary,
    Skipped,
)
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.library_sync import library_row, sync_from_library
from kb.jobs.queue.listing_jobs import enqueue_listing, listing_job
from kb.jobs.queue.outbox import DEFERRED, Outbox
from kb.jobs.queue.source_factory import SourceFactory
from kb.jobs.queue.views import QueueFigures, QueuePage, QueueRow
from kb.library import Library
from kb.options import RunOptions
from kb.pipeline import publish_record
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.types import MediaItem

if TYPE_CHECKING:
    from kb.jobs.queue.dbos_client import DbosClient


@dataclass(frozen=True, slots=True)
class LaneState:
    """Why a lane stands still and until when (seconds since the epoch)."""

    name: str
    until: float
    reason: str


class JobQueue:
    """The queue of one library. Opens the database at first use; every method may raise
    LibraryError."""

    def __init__(self, settings: Settings, library: Library) -> None:
        self._settings = settings
        self._library = library
        self._exit_stack = contextlib.ExitStack()  # what was opened, and so must be closed

    @cached_property
    def database(self) -> Database:
        """The database, with the folder's items taken in if it is new."""
        database = Database.open(self._settings)
        self._exit_stack.callback(database.close)
        store = ItemStore(database)
        if not any(store.counts().values()):
            entries = self._library.entries()
            store.adopt(library_row(entry) for entry in entries)
            Outbox(database).adopt(entries)
        return database

    @cached_property
    def items(self) -> ItemStore:
        return ItemStore(self.database)

    @property
    def outbox(self) -> Outbox:
        """What each knowledge base says of each item, and what is on its way there."""
        return Outbox(self.database)

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
        """The sources that items come from."""
        return SourceFactory(self._settings, self.database)

    # Asking

    def submit(
        self, media_items: Sequence[MediaItem], options: RunOptions
    ) -> tuple[list[str], list[Skipped]]:
        """Queue items: (ids queued, those skipped)."""
        sync_from_library(self.items, self._library, [item.id for item in media_items])
        enqueue = self._client.enqueue(captions_first=options.wants_captions(self._settings))
        return self.items.submit(media_items, options.as_dict(), enqueue, again=options.again)

    def submit_listing(
        self, reference: str, filters: VideoFilters, options: RunOptions
    ) -> list[str]:
        """Queues a listing, to be made by a worker as soon as it is possible; its id."""
        job = listing_job(reference, filters)
        enqueue_listing(self.items, job, options.as_dict(), self._client.ingest)
        return [job.id]

    def states_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The states of those ids that the library or the queue has."""
        sync_from_library(self.items, self._library, ids)
        return {each.id: each.state for each in self.summaries(ids=ids)} if ids else {}

    def retry(self, ids: Sequence[str]) -> list[str]:
        """Queues failed, cancelled, paused or waiting items again; returns their ids.

        Publications of these items that failed or wait are queued too, by themselves: nothing
        is transcribed again for them.
        """
        queued = [item_id for item_id, _ in self.items.retry(ids, self._client.ingest)]
        return list(dict.fromkeys([*queued, *(i for _, i in self.retry_publications(ids))]))

    def retry_failed(self) -> list[str]:
        """Queues every failed item and every failed publication again."""
        sent = self.retry_publications()
        return list(dict.fromkeys([*self.retry(self.items.ids(FAILED)), *(i for _, i in sent)]))

    def retry_publications(self, ids: Sequence[str] | None = None) -> list[tuple[str, str]]:
        """Queues publications again: (knowledge base, item id) of each.

        Of these items what failed, waits or was cancelled, without ids all that failed.
        """
        statuses = (FAILED,) if ids is None else (FAILED, CANCELLED, *DEFERRED)
        return self.outbox.retry(self._client.publish, statuses, ids)

    def cancel(self, ids: Sequence[str], state: str = CANCELLED) -> list[str]:
        """Ends items that have not ended; a running one stops within a second or two.

        Nothing of a cancelled item is uploaded from then on (see `cancel_publications`).
        """
        stopped = self.items.stop(ids, state)
        self._client.cancel([workflow_ids.ingest_id(*key) for key in stopped])
        # After that: an item that is just done queues its publications no more (`ItemSteps`).
        dropped = self.cancel_publications(ids) if state == CANCELLED else []
        return list(dict.fromkeys([*(i for i, _ in stopped), *(i for _, i in dropped)]))

    def cancel_publications(self, ids: Sequence[str]) -> list[tuple[str, str]]:
        """Drops what waits to be published of these items: (knowledge base, item id) of each.

        What is being sent right now finishes its document. `retry` or another asking sends it
        all the same. Publications of held items stay: they wait for a person anyway.
        """
        dropped = self.outbox.cancel(ids)
        self._client.cancel(
            [
                workflow_ids.publish_id(row.sink, row.item_id, row.serial)
                for row in dropped
                if row.status == outbox.QUEUED
            ]
        )
        for row in dropped:
            # A database that is made anew learns from the folder what still waits.
            with contextlib.suppress(KBError):
                publish_record.record_cancelled(self._library, row.item_id, row.sink)
        return [(row.sink, row.item_id) for row in dropped]

    def pause(self, ids: Sequence[str] = ()) -> list[str]:
        """Pauses items, or without ids the whole queue: what is being decoded ends, nothing
        new begins."""
        if ids:
            return self.cancel(ids, PAUSED)
        self.items.pause_lane(workflow_ids.ITEM_LANE, workflow_ids.FOREVER, "paused by hand")
        return []

    def resume(self, ids: Sequence[str] = ()) -> list[str]:
        """Takes a pause back; without ids every lane's, and what waited for a lane goes on."""
        if not ids:
            for lane in self.lanes():
                self.items.pause_lane(lane.name, None, "")
            self.outbox.retry_now()
            ids = [*self.items.ids(PAUSED), *self.items.ids(WAITING)]
        resumed = self.items.retry(ids, self._client.ingest, states=(PAUSED, WAITING))
        return [item_id for item_id, _ in resumed]

    def prioritise(self, ids: Sequence[str], priority: int) -> list[str]:
        """Moves items that have not begun: small priorities go first. Returns those moved."""
        moved = self.items.retry(
            ids, self._client.ingest, states=(QUEUED,), fresh=False, priority=priority
        )
        # The old workflows would find their items gone on; they need not even start.
        self._client.cancel([workflow_ids.ingest_id(*key) for key in moved])
        return [item_id for item_id, _ in moved]

    def send(self, item_id: str, sinks: Sequence[str]) -> None:
        """Queues an item for remote knowledge bases, to be brought into step with the library."""
        if not sinks:
            return
        with self.database.begin() as connection:
            for sink in sinks:
                self.outbox.submit(connection, sink, item_id, self._client.publish)

    # Looking

    def rows(self, ids: Sequence[str]) -> list[ItemRow]:
        """These items whole, newest first. What a dead worker has is shown as queued."""
        return self.items.rows(ids, self._live_workers())

    def summaries(
        self, *, state: str | None = None, limit: int | None = None, ids: Sequence[str] = ()
    ) -> list[ItemSummary]:
        """Items, newest first. What a dead worker has is shown as queued: it goes on later."""
        return self.items.summaries(
            state=state, limit=limit, ids=ids, live_workers=self._live_workers()
        )

    def unfinished(self) -> dict[str, str]:
        """The state of every item that is not done, by id."""
        return self.items.unfinished(self._live_workers())

    def counts(self) -> dict[str, int]:
        """How many items are shown in each state."""
        return self.items.counts(self._live_workers())

    def page(
        self, *, states: Sequence[str] = (), words: str = "", offset: int = 0, limit: int = 100
    ) -> QueuePage:
        """A page of the queue in the order of interest (see `kb.jobs.queue.views`)."""
        return views.page(
            self.database,
            self._live_workers(),
            states=states,
            words=words,
            offset=offset,
            limit=limit,
        )

    def page_rows(self, ids: Sequence[str]) -> tuple[QueueRow, ...]:
        """These few items as the board shows them."""
        return views.page(self.database, self._live_workers(), ids=ids, limit=len(ids)).rows

    def figures(self, since: float) -> QueueFigures:
        """The queue in numbers; `since` (epoch seconds) is where "done" begins to count."""
        return views.figures(self.database, self._live_workers(), since)

    def ids_with_prefix(self, prefix: str) -> list[str]:
        """Ids whose part after the last colon begins so."""
        return self.items.ids_with_prefix(prefix)

    def workers(self) -> list[heartbeat.WorkerInfo]:
        """Workers that are alive now."""
        now = time.time()
        return [w for w in heartbeat.list_workers(self.database) if w.is_alive(now)]

    @property
    def own_executor_id(self) -> str:
        """The name of a worker with these settings on this machine."""
        return heartbeat.executor_id(self._settings)

    def own_worker_alive(self) -> bool:
        """Whether the worker of that name is alive; there may be others of other names."""
        return any(worker.executor_id == self.own_executor_id for worker in self.workers())

    def lanes(self) -> list[LaneState]:
        """Lanes that stand still now: items, downloads, knowledge bases."""
        return [LaneState(*lane) for lane in self.items.paused_lanes(time.time())]

    def stop_workers(self) -> list[str]:
        """Asks every worker on this library to stop; returns their names."""
        alive = self.workers()
        for worker in alive:
            storage.write_bytes(heartbeat.stop_file(self._settings, worker.executor_id), b"")
        return [worker.executor_id for worker in alive]

    def adopt_folder(self) -> int:
        """Takes in items of the folder that the table does not know; returns how many."""
        entries = self._library.entries()
        self.outbox.adopt(entries)
        return self.items.adopt(library_row(entry) for entry in entries)

    def _live_workers(self) -> set[str]:
        return {worker.executor_id for worker in self.workers()}
