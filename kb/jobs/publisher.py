"""Publishes finished items to remote knowledge bases, synchronises and queries them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property

from kb.database import Database
from kb.errors import CredentialsRefused, KBError, LibraryError, UsageError, restored
from kb.jobs.documents import build_sync_item
from kb.jobs.published_content import PublishedContent
from kb.jobs.queue.lanes import LaneStore
from kb.jobs.queue.outbox import FIRST_POLL_S, Outbox
from kb.jobs.queue.outbox_states import HELD, SYNCED, SYNCING
from kb.jobs.queue.workflow_ids import publish_lane
from kb.library import Library, LibraryEntry
from kb.library.fencing import Fence
from kb.pipeline import publish_record
from kb.settings import Settings
from kb.sinks import REMOTE, check_sink, open_sink
from kb.sinks.markdown_folder import FolderSink
from kb.sinks.odin.chat import Answer, Reference, ask, search
from kb.sinks.odin.documents import check_own_metadata
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import (
    LoadItem,
    OnItemDone,
    SyncItem,
    SyncPlan,
    SyncResult,
    apply_plan,
    make_plan,
    publish_many,
)
from kb.sinks.odin.transport import check_credentials
from kb.types import MediaItem, Passage, Published

log = logging.getLogger(__name__)

ItemProgress = Callable[[str, str, int, int], None]
"""Called with item id, result (`done`, `waiting` or `failed`), number of ended items and total."""


class HeldForReview(UsageError):
    """Raised for an item that is held for review: it needs a person, not a retry."""


def _held(entry: LibraryEntry) -> HeldForReview:
    cause = restored(entry.error, entry.hint, entry.problem)
    if not entry.hint:
        return HeldForReview(
            "publish.held",
            "{item_id} is held for review: {cause}",
            hint="Transcribe it again: kb ingest --again",
            item_id=entry.item.id,
            cause=cause,
        )
    return HeldForReview(
        "publish.held_because",
        "{item_id} is held for review: {cause}",
        hint="{cause.hint}",
        item_id=entry.item.id,
        cause=cause,
    )


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Upper limit of the cost of sending items; those that the project already has cost nothing."""

    items: int
    words: int
    credits: float


@dataclass
class Publisher:
    """Publishing to the knowledge bases of one library, in the foreground."""

    settings: Settings
    library: Library
    database: Database
    _exit_stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    @cached_property
    def odin(self) -> OdinSink:
        """The ODIN project of the settings."""
        sink = OdinSink(self.settings, database=self.database)
        self._exit_stack.callback(sink.close)
        return sink

    @cached_property
    def _outbox(self) -> Outbox:
        return Outbox(self.database, self.settings.odin_project_id)

    def close(self) -> None:
        """Close the connections to knowledge bases, if any were opened."""
        self._exit_stack.close()

    def check(self, sink: str, metadata: Mapping[str, str] | None = None) -> None:
        """Raise UsageError or CredentialsMissing before any work starts (see `check_ready`)."""
        check_ready((sink,), self.settings, metadata)

    def publishable_ids(self) -> list[str]:
        """Return the ids of the items that may be published: finished and not held."""
        return [
            entry.item.id
            for entry in self.library.entries()
            if entry.transcript_path is not None and entry.state != HELD
        ]

    def held_items(self) -> list[MediaItem]:
        """Return the items that are not published until a person has reviewed them."""
        return [
            entry.item
            for entry in self.library.entries()
            if entry.transcript_path is not None and entry.state == HELD
        ]

    def estimate(self, ids: Collection[str]) -> CostEstimate:
        """Return an upper limit of the cost of sending these items; no request is made."""
        item_ids = frozenset(ids)
        chosen = [entry for entry in self.library.entries() if entry.item.id in item_ids]
        words = sum(entry.word_count or 0 for entry in chosen)
        cost = words / 10_000 * self.settings.odin_credits_per_10k_words
        return CostEstimate(len(chosen), words, cost)

    def publish(
        self,
        sink: str,
        ids: Sequence[str],
        metadata: Mapping[str, str] | None = None,
        progress: ItemProgress | None = None,
        *,
        overwrite: bool = False,
    ) -> SyncResult:
        """Publish items and wait for their indexing. Raises UsageError, CredentialsRefused.

        An item that is held or has no transcript fails; the other items are published. `overwrite`
        replaces files of a folder that were changed by hand.
        """
        self.check(sink, metadata)
        if sink == REMOTE:
            ended = self._status_recorder(sink)
            return publish_many(
                self.odin,
                ids,
                self._load,
                extra_metadata=metadata,
                progress=progress,
                on_item_done=ended,
            )
        return self._publish_one_by_one(sink, ids, metadata, progress, overwrite=overwrite)

    def _publish_one_by_one(
        self,
        name: str,
        ids: Sequence[str],
        metadata: Mapping[str, str] | None,
        progress: ItemProgress | None,
        *,
        overwrite: bool,
    ) -> SyncResult:
        sink, result, record_status = (
            open_sink(name, self.settings),
            SyncResult(),
            self._status_recorder(name),
        )
        if isinstance(sink, FolderSink):
            sink.overwrite = overwrite
        for number, item_id in enumerate(ids, start=1):
            try:
                found = self._load(item_id)
                assert found is not None
                published = sink.publish(
                    found.item, found.passages, facts=found.facts, extra_metadata=metadata
                )
                self._record(self.library, published, found.item.id)
                result.done.append(item_id)
            except CredentialsRefused:
                raise
            except KBError as error:
                result.failed[item_id] = error
            state = "failed" if item_id in result.failed else "done"
            record_status(item_id, state, result.failed.get(item_id))
            if progress:
                progress(item_id, state, number, len(ids))
        return result

    def plan(self, metadata: Mapping[str, str] | None = None) -> SyncPlan:
        """Return the differences between the library and the ODIN project.

        Items that were removed there are recorded as such: until a comparison nothing says so.
        """
        self.check(REMOTE, metadata)
        started_at = self.database.time()
        everything = [entry.item.id for entry in self.library.entries()]
        plan = make_plan(self.odin, self._sources(), everything, metadata)
        self._record_removed_there(
            [step.item_id for step in plan.steps if step.kind == "missing"], started_at
        )
        return plan

    def _record_removed_there(self, ids: Sequence[str], started_at: float) -> None:
        """Record that the project has no document of these items that it once had."""
        rows = self._outbox.for_items(ids)
        gone = [
            item_id
            for item_id in ids
            for row in rows.get(item_id, ())
            # One that was sent meanwhile is not in the listing.
            if row.sink == REMOTE and row.status == SYNCED and row.updated_at < started_at
        ]
        for item_id in gone:
            project = self.settings.odin_project_id
            error = publish_record.removed_there(item_id, project, started_at)
            try:
                self._outbox.record_error(REMOTE, item_id, error)
                if (entry := self.library.find(item_id)) is not None:
                    publish_record.record_failure(self.library, entry.item, REMOTE, error)
            except LibraryError as failure:  # the plan is shown without it
                log.warning("%s: %s", item_id, failure.message)

    def apply(
        self,
        plan: SyncPlan,
        *,
        prune: bool = False,
        metadata: Mapping[str, str] | None = None,
        progress: ItemProgress | None = None,
    ) -> SyncResult:
        """Carry out a plan; `prune` also deletes our documents that exist only in the project."""
        return apply_plan(
            self.odin, plan, self._load, prune=prune, extra_metadata=metadata,
            progress=progress, on_item_done=self._status_recorder(REMOTE),
        )  # fmt: skip

    def ask(self, question: str) -> Answer:
        """Return the ODIN project's answer, with the video and the second of each source."""
        self.check(REMOTE)
        return ask(self.odin, question, passages=self._passages)

    def search(self, query: str, limit: int) -> tuple[Reference, ...]:
        """Return the search results of the ODIN project."""
        self.check(REMOTE)
        return search(self.odin, query, limit, passages=self._passages)

    def _sources(self) -> Iterator[SyncItem]:
        for item_id in self.publishable_ids():
            try:
                found = self._load(item_id)
            except KBError as error:
                # One damaged transcript must not prevent the comparison of all others.
                log.warning("%s: %s", item_id, error.message)
                continue
            if found is not None:
                yield found

    @property
    def _load(self) -> LoadItem:
        def load(item_id: str) -> SyncItem | None:
            entry = self.library.find(item_id)
            if entry is None:
                raise LibraryError(
                    "publish.not_ready",
                    "{item_id} is not in the library folder yet.",
                    hint="It is published when it is finished; see: kb status",
                    item_id=item_id,
                )
            if entry.state == HELD:
                raise _held(entry)
            return self._document(entry)

        return load

    def _document(self, entry: LibraryEntry) -> SyncItem:
        leave_out = self.settings.leave_out_recurring
        languages = self.settings.published_languages
        return build_sync_item(
            self.library, entry, leave_out_recurring=leave_out, languages=languages
        )

    def _passages(self, item_id: str) -> Sequence[Passage]:
        entry = self.library.find(item_id)
        if entry is None or entry.transcript_path is None:
            return ()
        try:
            return self._document(entry).passages
        except KBError:
            return ()  # damaged: the answer is kept without this source's second

    def publish_one(
        self,
        sink: str,
        item_id: str,
        metadata: Mapping[str, str] | None = None,
        fence: Fence | None = None,
    ) -> Published:
        """Publish one item without waiting for its indexing.

        `fence` is that of the publication. Raises HeldForReview for an item that is held, and any
        other KBError.
        """
        found = self._load(item_id)
        assert found is not None
        if sink == REMOTE:
            published = self.odin.publish(
                found.item, found.passages, found.facts, metadata, wait_s=0.0
            )
        else:
            published = open_sink(sink, self.settings).publish(
                found.item, found.passages, facts=found.facts, extra_metadata=metadata
            )
        library = self.library.fenced(fence) if fence else self.library
        self._record(library, published, item_id)
        return published

    def _status_recorder(self, sink: str) -> OnItemDone:
        """Return a function that records an item's result beside its medium and in the database.

        It is called after each item, so that the results of finished items are kept if the process
        is killed or refused before the end.
        """
        opened, started_at = threading.Event(), self.database.time()

        def record_status(item_id: str, state: str, error: KBError | None) -> None:
            try:
                if error is None and not opened.is_set():
                    opened.set()
                    self._open_lane(sink)
                self._record_status(sink, item_id, state, error, started_at)
            except KBError as failure:
                log.warning("%s: %s", item_id, failure.message)

        return record_status

    def _record_status(
        self, sink: str, item_id: str, state: str, error: KBError | None, started_at: float
    ) -> None:
        entry = self.library.find(item_id)
        if state == "deleted" or entry is None:
            self._outbox.delete(sink, item_id)
            return
        if isinstance(error, HeldForReview):
            return
        if error is not None:
            publish_record.record_failure(self.library, entry.item, sink, error)
            self._outbox.record_error(sink, item_id, error)
            return
        if sink == REMOTE and (record := self.odin.publish_states.find(item_id)) is not None:
            names = ", ".join(record.names)
            project = self.settings.odin_project_id
            held = Published(sink, names, record.content_sha256, record.status, project)
            self._record(self.library, held, item_id)
        if state == "waiting":
            due_at = self.database.time() + FIRST_POLL_S
            self._outbox.record(sink, item_id, SYNCING, due_at, started_at=started_at)
        else:
            self._outbox.record(sink, item_id, SYNCED, started_at=started_at)

    def _record(self, library: Library, published: Published, item_id: str) -> None:
        """Record what a knowledge base has of an item, and which words that is made from."""
        entry = self.library.find(item_id)
        if entry is None:
            return
        content = PublishedContent(self.settings, self.library, self.database)
        words = content.words_of(entry, published.sink, published.content_sha256)
        publish_record.record_published(library, entry.item, published, words)

    def _open_lane(self, sink: str) -> None:
        """Open the sink's lane if it is paused: after this upload workers can upload too."""
        lanes, lane = LaneStore(self.database), publish_lane(sink)
        if lanes.find_pause(lane, self.database.time()) is not None:
            lanes.open(lane)
            self._outbox.retry_now()


def check_ready(
    sinks: Collection[str], settings: Settings, metadata: Mapping[str, str] | None = None
) -> None:
    """Raise UsageError if a knowledge base is unknown, lacks credentials or rejects own fields.

    Call it before any work starts.
    """
    for name in sinks:
        check_sink(name)
    check_own_metadata(metadata or {})
    if REMOTE in sinks:
        check_credentials(settings)
