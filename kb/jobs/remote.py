"""Finished items on their way to knowledge bases elsewhere, and back as answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kb.catalogue import Catalogue
from kb.errors import CredentialsRefused, KBError, LibraryError, UsageError
from kb.jobs import pipeline
from kb.library import Library, LibraryEntry
from kb.settings import Settings
from kb.sinks import open_sink
from kb.sinks.odin import OdinSink
from kb.sinks.odin_ask import Answer, Reference, ask, search
from kb.sinks.odin_sync import (
    Load,
    Outcome,
    Source,
    SyncPlan,
    apply_plan,
    make_plan,
    publish_many,
)
from kb.transcript.passages import passages
from kb.types import Passage, Published

log = logging.getLogger(__name__)

ItemProgress = Callable[[str, str, int, int], None]
"""Called with item id, `done`, `waiting` or `failed`, how many so far, and how many in all."""


def source_of(library: Library, entry: LibraryEntry) -> Source:
    """An item as a knowledge base gets it. Raises LibraryError without a transcript."""
    transcript = pipeline.read_transcript(library, entry)
    medium = entry.media_path
    path = f"media/{medium.name}" if medium else transcript.media.path
    return Source(
        entry.item, passages(transcript, entry.item, path=path), pipeline.facts_of(transcript)
    )


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

    def close(self) -> None:
        """Lets go of connections."""
        if "odin" in self.__dict__:
            self.odin.close()

    def ready(self) -> list[str]:
        """Ids of the items that may be published: finished and not held."""
        return [
            entry.item.id
            for entry in self.library.entries()
            if entry.transcript_path is not None and entry.state != "held"
        ]

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
        if sink == "odin":
            outcome = publish_many(
                self.odin, ids, self._load, extra_metadata=metadata, progress=progress
            )
            self._note(outcome, ids)
            return outcome
        return self._publish_simply(sink, ids, metadata, progress)

    def _publish_simply(
        self,
        name: str,
        ids: Sequence[str],
        metadata: Mapping[str, str] | None,
        progress: ItemProgress | None,
    ) -> Outcome:
        sink, outcome = open_sink(name, self.settings), Outcome()
        for number, item_id in enumerate(ids, start=1):
            try:
                found = self._load(item_id)
                assert found is not None
                published = sink.publish(
                    found.item, found.passages, facts=found.facts, extra_metadata=metadata
                )
                pipeline.record_published(self.library, found.item, published)
                outcome.done.append(item_id)
            except CredentialsRefused:
                raise
            except KBError as error:
                outcome.failed[item_id] = error
            if progress:
                told = "failed" if item_id in outcome.failed else "done"
                progress(item_id, told, number, len(ids))
        return outcome

    def plan(self, metadata: Mapping[str, str] | None = None) -> SyncPlan:
        """What differs between the library and the ODIN project."""
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
        outcome = apply_plan(
            self.odin, plan, self._load, prune=prune, extra_metadata=metadata, progress=progress
        )
        self._note(outcome, [step.item_id for step in plan.steps])
        return outcome

    def ask(self, question: str) -> Answer:
        """The ODIN project's answer, its sources traced to video and second."""
        return ask(self.odin, question, passages=self._passages)

    def search(self, query: str, limit: int) -> tuple[Reference, ...]:
        """What the ODIN project finds."""
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
            if entry.state == "held":
                raise UsageError(
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

    def publish_one(self, sink: str, item_id: str) -> Published | None:
        """Publishes one item; None if there is nothing to publish. Raises KBError."""
        entry = self.library.find(item_id)
        if entry is None or entry.transcript_path is None or entry.state == "held":
            return None
        found = source_of(self.library, entry)
        if sink == "odin":
            published = self.odin.publish(found.item, found.passages, facts=found.facts, wait_s=0.0)
        else:
            published = open_sink(sink, self.settings).publish(
                found.item, found.passages, facts=found.facts
            )
        pipeline.record_published(self.library, entry.item, published)
        return published

    def _note(self, outcome: Outcome, ids: Sequence[str]) -> None:
        """What became of the items, beside their media."""
        for item_id in ids:
            entry = self.library.find(item_id)
            if entry is None:
                continue
            error = outcome.failed.get(item_id)
            record = self.odin.records.find(item_id)
            if error is not None:
                pipeline.record_trouble(self.library, entry.item, "odin", error)
            elif record is not None:
                names = ", ".join(record.names)
                held = Published("odin", names, record.content_sha256, record.status)
                pipeline.record_published(self.library, entry.item, held)
