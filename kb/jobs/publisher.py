"""Finished items on their way to knowledge bases elsewhere, and back as answers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kb.database import Catalogue
from kb.errors import CredentialsRefused, KBError, LibraryError, UsageError
from kb.jobs.queue.items import ItemStore
from kb.jobs.queue.outbox import FIRST_LOOK_S, HELD, SYNCED, SYNCING, Deliveries
from kb.jobs.queue.workflow_ids import publish_lane
from kb.library import Library, LibraryEntry
from kb.pipeline import publish_record, stages
from kb.settings import Settings
from kb.sinks import check_sink, open_sink
from kb.sinks.odin.chat import Answer, Reference, ask, search
from kb.sinks.odin.documents import check_own_metadata
from kb.sinks.odin.sink import OdinSink
from kb.sinks.odin.sync import (
    Ended,
    Load,
    Outcome,
    Source,
    SyncPlan,
    apply_plan,
    make_plan,
    publish_many,
)
from kb.sinks.odin.transport import check_credentials
from kb.transcript.passages import passages
from kb.types import MediaItem, Passage, Published

log = logging.getLogger(__name__)

ODIN = "odin"

ItemProgress = Callable[[str, str, int, int], None]
"""Called with item id, `done`, `waiting` or `failed`, how many so far, and how many in all."""


def source_of(library: Library, entry: LibraryEntry) -> Source:
    """An item as a knowledge base gets it. Raises LibraryError without a transcript."""
    transcript = stages.read_transcript(library, entry)
    medium = entry.media_path
    path = f"media/{medium.name}" if medium else transcript.media.path
    return Source(
        entry.item, passages(transcript, entry.item, path=path), publish_record.facts_of(transcript)
    )


class HeldBack(UsageError):
    """The item is held for review: it is released by people, not by trying again."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What sending items costs at most: what is there already costs nothing."""

    items: int
    words: int
    credits: float


@dataclass
class Remote:
    """The knowledge bases of one library, seen from the foreground."""

    settings: Settings
    library: Library
    catalogue: Catalogue

    @cached_property
    def odin(self) -> OdinSink:
        """The ODIN project of the settings."""
        return OdinSink(self.settings, catalogue=self.catalogue)

    @cached_property
    def _deliveries(self) -> Deliveries:
        return Deliveries(self.catalogue)

    def close(self) -> None:
        """Lets go of connections."""
        if "odin" in self.__dict__:
            self.odin.close()

    def check(self, sink: str, metadata: Mapping[str, str] | None = None) -> None:
        """Raises UsageError or CredentialsMissing before anything is begun: see `check_ready`."""
        check_ready((sink,), self.settings, metadata)

    def ready(self) -> list[str]:
        """Ids of the items that may be published: finished and not held."""
        return [
            entry.item.id
            for entry in self.library.entries()
            if entry.transcript_path is not None and entry.state != HELD
        ]

    def held(self) -> list[MediaItem]:
        """The items that are left out until somebody has reviewed them."""
        return [
            entry.item
            for entry in self.library.entries()
            if entry.transcript_path is not None and entry.state == HELD
        ]

    def estimate(self, ids: Collection[str]) -> Estimate:
        """What sending these items would cost at most; nothing is asked of anybody."""
        wanted = frozenset(ids)
        chosen = [entry for entry in self.library.entries() if entry.item.id in wanted]
        words = sum(_words(entry) for entry in chosen)
        cost = words / 10_000 * self.settings.odin_credits_per_10k_words
        return Estimate(len(chosen), words, cost)

    def publish(
        self,
        sink: str,
        ids: Sequence[str],
        metadata: Mapping[str, str] | None = None,
        progress: ItemProgress | None = None,
    ) -> Outcome:
        """Publishes items to the end. Raises UsageError, CredentialsRefused.

        An item that is held or has no transcript fails by itself; the rest goes on.
        """
        self.check(sink, metadata)
        if sink == ODIN:
            ended = self._noter(sink)
            return publish_many(
                self.odin, ids, self._load, extra_metadata=metadata, progress=progress, ended=ended
            )
        return self._publish_simply(sink, ids, metadata, progress)

    def _publish_simply(
        self,
        name: str,
        ids: Sequence[str],
        metadata: Mapping[str, str] | None,
        progress: ItemProgress | None,
    ) -> Outcome:
        sink, outcome, note = open_sink(name, self.settings), Outcome(), self._noter(name)
        for number, item_id in enumerate(ids, start=1):
            try:
                found = self._load(item_id)
                assert found is not None
                published = sink.publish(
                    found.item, found.passages, facts=found.facts, extra_metadata=metadata
                )
                publish_record.record_published(self.library, found.item, published)
                outcome.done.append(item_id)
            except CredentialsRefused:
                raise
            except KBError as error:
                outcome.failed[item_id] = error
            told = "failed" if item_id in outcome.failed else "done"
            note(item_id, told, outcome.failed.get(item_id))
            if progress:
                progress(item_id, told, number, len(ids))
        return outcome

    def plan(self, metadata: Mapping[str, str] | None = None) -> SyncPlan:
        """What differs between the library and the ODIN project."""
        self.check(ODIN, metadata)
        everything = [entry.item.id for entry in self.library.entries()]
        return make_plan(self.odin, self._sources(), everything, metadata)

    def apply(
        self,
        plan: SyncPlan,
        *,
        prune: bool = False,
        metadata: Mapping[str, str] | None = None,
        progress: ItemProgress | None = None,
    ) -> Outcome:
        """Does what a plan says; `prune` also deletes documents of ours that are only there."""
        return apply_plan(
            self.odin, plan, self._load, prune=prune, extra_metadata=metadata,
            progress=progress, ended=self._noter(ODIN),
        )  # fmt: skip

    def ask(self, question: str) -> Answer:
        """The ODIN project's answer, its sources traced to video and second."""
        self.check(ODIN)
        return ask(self.odin, question, passages=self._passages)

    def search(self, query: str, limit: int) -> tuple[Reference, ...]:
        """What the ODIN project finds."""
        self.check(ODIN)
        return search(self.odin, query, limit, passages=self._passages)

    def _sources(self) -> Iterator[Source]:
        for item_id in self.ready():
            try:
                found = self._load(item_id)
            except KBError as error:
                # One damaged transcript must not keep all others from being compared.
                log.warning("%s: %s", item_id, error.message)
                continue
            if found is not None:
                yield found

    @property
    def _load(self) -> Load:
        def load(item_id: str) -> Source | None:
            entry = self.library.find(item_id)
            if entry is None:
                raise LibraryError(
                    f"{item_id} is not in the library folder yet.",
                    hint="It is published when it is finished; see: kb status",
                )
            if entry.state == HELD:
                raise HeldBack(
                    f"{item_id} is held for review: {entry.error}",
                    hint=entry.hint or "Transcribe it again: kb ingest --again",
                )
            return source_of(self.library, entry)

        return load

    def _passages(self, item_id: str) -> Sequence[Passage]:
        entry = self.library.find(item_id)
        if entry is None or entry.transcript_path is None:
            return ()
        try:
            return source_of(self.library, entry).passages
        except KBError:
            return ()  # damaged; the answer stands, only the second is not known

    def publish_one(
        self, sink: str, item_id: str, metadata: Mapping[str, str] | None = None
    ) -> Published:
        """Publishes one item without waiting for its indexing.

        Raises HeldBack for one that is held, and any other KBError.
        """
        found = self._load(item_id)
        assert found is not None
        if sink == ODIN:
            published = self.odin.publish(
                found.item, found.passages, found.facts, metadata, wait_s=0.0
            )
        else:
            published = open_sink(sink, self.settings).publish(
                found.item, found.passages, facts=found.facts, extra_metadata=metadata
            )
        publish_record.record_published(self.library, found.item, published)
        return published

    def _noter(self, sink: str) -> Ended:
        """Notes what became of each item, beside its medium and in the database, at once.

        Whoever is killed, or refused half way, has told of everything that was done.
        """
        opened, begun = threading.Event(), time.time()

        def note(item_id: str, state: str, error: KBError | None) -> None:
            try:
                if error is None and not opened.is_set():
                    opened.set()
                    self._open_lane(sink)
                self._note(sink, item_id, state, error, begun)
            except KBError as trouble:
                log.warning("%s: %s", item_id, trouble.message)

        return note

    def _note(
        self, sink: str, item_id: str, state: str, error: KBError | None, begun: float
    ) -> None:
        entry = self.library.find(item_id)
        if state == "deleted" or entry is None:
            self._deliveries.forget(sink, item_id)
            return
        if isinstance(error, HeldBack):
            return
        if error is not None:
            publish_record.record_trouble(self.library, entry.item, sink, error)
            self._deliveries.tell_trouble(sink, item_id, error.message, error.hint)
            return
        if sink == ODIN and (record := self.odin.records.find(item_id)) is not None:
            names = ", ".join(record.names)
            held = Published(sink, names, record.content_sha256, record.status)
            publish_record.record_published(self.library, entry.item, held)
        if state == "waiting":
            due_at = time.time() + FIRST_LOOK_S
            self._deliveries.tell(sink, item_id, SYNCING, due_at, begun=begun)
        else:
            self._deliveries.tell(sink, item_id, SYNCED, begun=begun)

    def _open_lane(self, sink: str) -> None:
        """What works here works for the workers: those that rest need not wait any longer."""
        lanes, lane = ItemStore(self.catalogue), publish_lane(sink)
        if lanes.paused(lane, time.time()) is not None:
            lanes.pause_lane(lane, None, "")
            self._deliveries.hurry()


def check_ready(
    sinks: Collection[str], settings: Settings, metadata: Mapping[str, str] | None = None
) -> None:
    """Raises UsageError for a knowledge base that is not known, lacks its credentials, or
    cannot take these own fields: before anything is begun."""
    for name in sinks:
        check_sink(name)
    check_own_metadata(metadata or {})
    if ODIN in sinks:
        check_credentials(settings)


def _words(entry: LibraryEntry) -> int:
    words = entry.transcribed.get("words")
    return words if isinstance(words, int) else 0
