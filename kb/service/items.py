"""Items: their states on the queue, and their entries and transcripts in the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ItemRow, ItemSummary
from kb.jobs.queue.progress import overall
from kb.library import Library, LibraryEntry
from kb.pipeline import captions, stages
from kb.service.results import ItemStatus, Publication
from kb.settings import Settings
from kb.transcript import FORMATS, render
from kb.types import MediaItem, Timestamps, Transcript


@dataclass
class Items:
    """The items of one library. An id may be given by the part after its last colon."""

    settings: Settings
    library: Library
    queue: JobQueue

    # On the queue

    def statuses(
        self, *, state: str | None = None, limit: int | None = None, ids: Sequence[str] = ()
    ) -> list[ItemStatus]:
        """Return the status of items, newest first."""
        found = [status_of(row) for row in self.queue.summaries(state=state, limit=limit, ids=ids)]
        return self.with_publications(found)

    def status(self, item_id: str) -> ItemStatus:
        """Return the status of one item. Raises UsageError for an unknown id."""
        return self.with_publications([status_of(self._row(item_id))])[0]

    def with_publications(self, statuses: Sequence[ItemStatus]) -> list[ItemStatus]:
        """Return the same statuses with their state in each knowledge base."""
        entries = self.queue.outbox.for_items([status.id for status in statuses])
        return [
            replace(
                status,
                publications=tuple(
                    Publication(d.sink, d.status, d.error, d.hint, d.attempts, d.due_at, d.problem)
                    for d in entries.get(status.id, ())
                ),
            )
            for status in statuses
        ]

    def resolve_ids(self, ids: Sequence[str]) -> list[str]:
        """Return full ids of items given by id or by its beginning. Raises UsageError."""
        return [self._row(item_id).id for item_id in ids]

    def _row(self, item_id: str) -> ItemRow:
        rows = self.queue.rows([item_id])
        if not rows:
            rows = self.queue.rows(self.queue.ids_with_prefix(item_id))
        return _exactly_one(rows, item_id, self.settings)

    # In the library

    def entry(self, item_id: str) -> LibraryEntry:
        """Return the entry with this id, or the only one whose id ends with it.

        Raises UsageError when there is none or several.
        """
        entry = self.library.find(item_id)
        if entry is not None:
            return entry
        near = [e for e in self.library.entries() if e.item.short_id.startswith(item_id)]
        return _exactly_one(near, item_id, self.settings)

    def transcript(self, item_id: str) -> Transcript:
        """Return the exact transcript of an item. Raises UsageError or LibraryError."""
        return stages.read_transcript(self.library, self.entry(item_id))

    def captions(self, item_id: str) -> Transcript | None:
        """Return the captions that stand in for a missing transcript, as their warning says.

        None where there are none. Raises UsageError or LibraryError.
        """
        return captions.interim_transcript(self.library, self.entry(item_id))

    # As text

    def export(self, item_id: str, format: str, timestamps: Timestamps | None = None) -> str:
        """Return an item's transcript in one of the export formats. Raises UsageError."""
        entry = self.entry(item_id)
        transcript = stages.read_transcript(self.library, entry)
        return self.render(transcript, format, item=entry.item, timestamps=timestamps)

    def render(
        self,
        transcript: Transcript,
        format: str,
        *,
        item: MediaItem | None = None,
        timestamps: Timestamps | None = None,
    ) -> str:
        """Return a transcript as text; `timestamps` (segment, word) overrides the preset's."""
        if timestamps is not None:
            transcript = replace(transcript, timestamps=timestamps)
        return render(transcript, format, item=item)

    def formats(self) -> tuple[str, ...]:
        """Return the names of the export formats."""
        return tuple(FORMATS)


def status_of(row: ItemRow | ItemSummary) -> ItemStatus:
    """Return the status that a row of the queue's table shows, without its publications."""
    return ItemStatus(
        row.id, row.title, row.stage, row.state, row.progress,
        row.error, row.hint, row.attempts, row.wait_until, row.grade,
        share=overall(row.id, row.state, row.stage, row.progress), problem=row.problem,
    )  # fmt: skip


class _HasItem(Protocol):
    @property
    def item(self) -> MediaItem: ...


_Candidate = TypeVar("_Candidate", bound=_HasItem)


def _exactly_one(candidates: Sequence[_Candidate], item_id: str, settings: Settings) -> _Candidate:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        ids = ", ".join(entry.item.id for entry in candidates[:5])
        raise UsageError(f"{item_id!r} could be any of: {ids}.", hint="Give more of the id.")
    raise UsageError(f"No item {item_id!r} in {settings.home}.", hint="List the items: kb status")
