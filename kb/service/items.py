"""Items: their states in the queue, and their entries and transcripts in the library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kb.errors import KBError, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE, FAILED, HELD, RUNNING, ItemRow, ItemSummary, shown_until
from kb.jobs.queue.outbox_states import CHANGED, MISSING, SYNCED, OutboxEntry
from kb.jobs.queue.progress import overall
from kb.jobs.queue.request_settings import shown_settings
from kb.jobs.queue.retry_schedule import end_of_tries
from kb.jobs.queue.step_states import StepRow
from kb.library import MEDIA_EXTENSIONS, Library, LibraryEntry
from kb.library.cache import library_cache
from kb.library.metadata import LibraryListing
from kb.library.user_files import UserFiles
from kb.library.versions import Version, Versions
from kb.pipeline import previews, publish_record
from kb.pipeline.stored_media import StoredMedia
from kb.service.results import ItemStatus, Publication, StepStatus
from kb.settings import Settings
from kb.storage import Target
from kb.transcript import FORMATS, file_content, format_named, render
from kb.transcript.formats import json_document
from kb.transcript.time_order import check_times
from kb.types import MediaItem, SubtitleLayout, Timestamps, Transcript
from kb.types.clock import known_time
from kb.types.media import begins_with

if TYPE_CHECKING:
    from kb.jobs.published_content import PublishedContent

PreviewKind = previews.Kind
PREVIEW_KINDS = previews.KINDS

_COMPARED_EXACTLY = 50  # items; for more, only those whose files have changed are compared


@dataclass
class Items:
    """The items of one library. An id may be given by the part after its last colon."""

    settings: Settings
    library: Library
    queue: JobQueue
    _learnt: LibraryListing | None = field(default=None, init=False, repr=False)

    # In the queue

    def statuses(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        ids: Sequence[str] | None = None,
        listings: bool = False,
        publications: bool = True,
    ) -> list[ItemStatus]:
        """Return the status of items, newest first; `ids` None: of all.

        Without `publications` their states in knowledge bases and their steps are left out, which
        takes half of the time. With `listings`, of looks and other listings instead; `ids` may name
        both. An item whose transcript was deleted from the folder by hand is failed and not done.
        """

        def read() -> list[ItemSummary]:
            return self.queue.summaries(state=state, limit=limit, ids=ids, listings=listings)

        rows = read()
        if self.queue.notice_gone_files(rows):
            rows = read()
        found = [self._with_end(status_of(row)) for row in rows]
        return self.with_publications(found) if publications else found

    def status(self, item_id: str) -> ItemStatus:
        """Return the status of one item. Raises UsageError for an unknown id."""
        return self.statuses(ids=[self.row(item_id).id])[0]

    def _with_end(self, status: ItemStatus) -> ItemStatus:
        """Return a status with the time of the last try of the schedule."""
        if status.state != FAILED:
            return status
        until = end_of_tries(status.failing_since, status.wait_until, self.settings.retry_days)
        return replace(status, retried_until=until)

    def find(self, item_id: str) -> tuple[LibraryEntry | None, ItemStatus | None]:
        """Return the entry in the library and the status in the queue, as far as there is one.

        Raises UsageError for an id that neither has, and LibraryError as `entry` does.
        """
        try:
            entry = self.entry(item_id)
        except UsageError as unknown:
            try:
                return None, self.status(item_id)
            except UsageError:
                raise unknown from None
        return entry, next(iter(self.statuses(ids=[entry.item.id])), None)

    def with_publications(self, statuses: Sequence[ItemStatus]) -> list[ItemStatus]:
        """Return the same statuses with their state in each knowledge base, and their steps.

        What was sent is compared with the library's present text: exactly for a few items, for
        more of them if a file has changed since.
        """
        rows = self.queue.outbox.for_items([status.id for status in statuses])
        steps = self.queue.steps.for_items([status.id for status in statuses])
        exact = len(rows) <= _COMPARED_EXACTLY
        entries = self._entries_of(rows)
        return [
            replace(
                status,
                publications=tuple(
                    self._publication(row, entries.get(status.id), exact=exact)
                    for row in rows.get(status.id, ())
                ),
                steps=tuple(map(_step_status, steps.get(status.id, ()))),
            )
            for status in statuses
        ]

    def without_step(
        self,
        name: str,
        states: Mapping[str, int] | None = None,
        steps: Mapping[str, Mapping[str, int]] | None = None,
    ) -> int:
        """Return how many finished items never had a step whose parts are on this machine.

        0 where the parts are missing. `states` and `steps`: the counts of the queue and of its
        steps, if they have just been read. Raises LibraryError.
        """
        from kb.pipeline.step_parts import lacking

        states = self.queue.counts() if states is None else states
        asked = (self.queue.steps.counts() if steps is None else steps).get(name, {})
        count = sum(states.get(each, 0) for each in (DONE, HELD)) - sum(asked.values())
        return count if count > 0 and lacking(name) is None else 0

    def publications(self, entry: LibraryEntry) -> tuple[Publication, ...]:
        """Return an entry's state in each knowledge base, those known from its files included."""
        rows = self.queue.outbox.for_items([entry.item.id]).get(entry.item.id, ())
        found = {row.sink: self._publication(row, entry, exact=True) for row in rows}
        for sink, record in entry.published.items():
            if sink not in found and isinstance(record, dict):
                changed = self._content.differs(entry, sink)
                status = str(record.get("status", ""))
                if status == SYNCED and publish_record.in_other_project(
                    record, self.settings.odin_project_id
                ):
                    status = MISSING
                found[sink] = Publication(
                    sink, CHANGED if changed and status == SYNCED else status, changed=changed
                )
        return tuple(found[sink] for sink in sorted(found))

    def _publication(
        self, row: OutboxEntry, entry: LibraryEntry | None, *, exact: bool
    ) -> Publication:
        changed = entry is not None and (
            self._content.differs(entry, row.sink)
            if exact
            else self._content.differs_since(entry, row.sink, row.updated_at)
        )
        return Publication(
            row.sink, CHANGED if changed and row.status == SYNCED else row.status, row.error,
            row.hint, row.attempts, row.due_at, row.problem, changed,
        )  # fmt: skip

    @property
    def _content(self) -> PublishedContent:
        from kb.jobs.published_content import PublishedContent

        return PublishedContent(self.settings, self.library, self.queue.database)

    def _entries_of(self, ids: Collection[str]) -> dict[str, LibraryEntry]:
        if len(ids) <= _COMPARED_EXACTLY:
            found = self.library.find_all(ids)
        else:
            found = [entry for entry in self.listing().entries if entry.item.id in ids]
        return {entry.item.id: entry for entry in found}

    def resolve_ids(self, ids: Sequence[str]) -> list[str]:
        """Return full ids of items given by id or by its beginning. Raises UsageError."""
        return [self.row(item_id).id for item_id in ids]

    def row(self, item_id: str) -> ItemRow:
        """Return the row of an item given by id or by its beginning. Raises UsageError."""
        rows = self.queue.rows([item_id])
        if not rows:
            rows = self.queue.rows(self.queue.ids_with_prefix(item_id))
        return _exactly_one(rows, item_id, self.settings)

    # In the library

    def entry(self, item_id: str) -> LibraryEntry:
        """Return the entry with this id, or the only one whose id, or its last part, begins so.

        Raises UsageError when there is none or several, or it has no files yet, and LibraryError
        where there is none because the folder is not that of the database: its share may not be
        mounted.
        """
        entry = self.library.find(item_id)
        if entry is not None:
            return entry
        problem = self.queue.library_problem()
        if problem is not None and problem.code in ("library.missing", "library.other"):
            raise problem
        near = [e for e in self.library.entries() if begins_with(e.item.id, item_id)]
        if not near:
            self._refuse_queued(item_id)
        return _exactly_one(near, item_id, self.settings)

    def _refuse_queued(self, item_id: str) -> None:
        """Raise UsageError for an item that the queue knows and the library does not yet."""
        rows = self.queue.rows([item_id]) or self.queue.rows(self.queue.ids_with_prefix(item_id))
        if len(rows) == 1:
            raise UsageError(
                "item.in_queue",
                "{item_id} ({title}) has no transcript yet.",
                hint="Its state, and when it is tried again: kb show {item_id}",
                item_id=rows[0].id,
                title=rows[0].title,
            )

    def transcript(self, item_id: str) -> Transcript:
        """Return the transcript of an item with the results of its steps, such as speakers.

        Raises UsageError or LibraryError.
        """
        from kb.pipeline import enrichment

        return enrichment.read_with_results(self.library, self.entry(item_id))

    def results_changed(self, entry: LibraryEntry) -> tuple[tuple[str, int], ...]:
        """Return kind and time of change (in ns) of the results of an item's steps."""
        from kb.pipeline import enrichment

        return enrichment.results_changed(self.library, entry)

    def captions(self, item_id: str) -> Transcript | None:
        """Return the captions that replace a missing transcript; their warning says so.

        None if there are no captions. Raises UsageError or LibraryError.
        """
        from kb.pipeline import captions  # loads the parsers of captions

        return captions.interim_transcript(self.library, self.entry(item_id))

    def listing(self) -> LibraryListing:
        """Return all entries; only files that have changed on disk are read again.

        Raises LibraryError.
        """
        found = library_cache(self.library.media_folder).listing()
        if found is not self._learnt:
            self.library.learn(found)
            self._learnt = found
        return found

    def read_ahead(self, goes_on: Callable[[], bool]) -> None:
        """Read entries for the first `listing` while `goes_on` returns True."""
        library_cache(self.library.media_folder).read_ahead(goes_on)

    def media_file(self, item_id: str) -> Path | None:
        """Return the medium of an item; one in object storage is fetched. Raises LibraryError.

        None if the file is outside the library folder or its name is not that of a medium.
        """
        entry = self.library.find(item_id)
        if entry is not None and entry.stored and entry.media_path is None:
            settings = self.settings
            entry = StoredMedia.of(self.library, settings).bring_back(
                entry, lambda need: settings.free_space.require(self.library.home, need)
            )
        if entry is None or entry.media_path is None:
            return None
        path = entry.media_path.resolve()  # a link must not lead out of the folder
        folder = self.library.media_folder.resolve()
        if not path.is_relative_to(folder) or path.suffix.lower() not in MEDIA_EXTENSIONS:
            return None
        return path if path.is_file() else None

    def preview(self, item_id: str, kind: previews.Kind) -> bytes | None:
        """Return a preview of an item: `still` a small JPEG, `peaks` JSON; None if it has none.

        It is made once and kept. Raises UsageError without ffmpeg, LibraryError.
        """
        entry = self.library.find(item_id)
        return previews.preview(self.library, entry, kind) if entry is not None else None

    def media_start_s(self, entry: LibraryEntry) -> float:
        """Return the start of the item's container, from which its transcript's times count.

        It is recorded with the item; for an item of an earlier version it is probed once. A medium
        that cannot be read starts at 0.
        """
        if entry.start_s is not None or entry.media_path is None:
            return entry.start_s or 0.0
        from kb.media.probe import probe

        start_s = 0.0
        with suppress(KBError):
            start_s = probe(entry.media_path).start_s
            self.library.amend(entry.item.id, {"media": {"start_s": start_s}})
        return start_s

    def versions(self, item_id: str) -> list[Version]:
        """Return the earlier versions of an item, the oldest first. Raises LibraryError."""
        return Versions(self.library).of(item_id)

    def version(self, item_id: str, number: int) -> tuple[Version, Transcript]:
        """Return an earlier version and its transcript. Raises UsageError and LibraryError."""
        for each in self.versions(item_id):
            if each.number == number and each.transcript_path is not None:
                return each, json_document.read(each.transcript_path)
        raise UsageError(
            "item.no_version",
            "{item_id} has no earlier version {number}.",
            hint="See: kb show {item_id} --versions",
            item_id=item_id,
            number=number,
        )

    def asked_settings(self, item_id: str) -> dict[str, str]:
        """Return preset, model, engine and language of the item's last request.

        Empty for an item without a request, and for one of the version before.
        """
        row = self.queue.items.read(item_id)
        return shown_settings(row.options) if row else {}

    def machine_of(self, item_id: str) -> str:
        """Return the worker that processes the item, else the one that transcribed it last.

        Empty if none did, or long ago. Raises LibraryError.
        """
        row = self.queue.items.read(item_id)
        if row is not None and row.state == RUNNING and row.executor:
            return row.executor
        from kb.jobs.queue.telemetry import read_speeds

        found = read_speeds(self.queue.database, item_ids=[item_id], limit=1)
        return found[0].executor_id if found else ""

    # As text

    def export(
        self,
        item_id: str,
        format: str,
        timestamps: Timestamps | None = None,
        layout: SubtitleLayout | None = None,
    ) -> str:
        """Return an item's transcript in one of the export formats.

        Raises UsageError, and TranscriptionError that names the transcript's file for a time that
        no medium has.
        """
        from kb.pipeline import enrichment

        entry = self.entry(item_id)
        transcript = enrichment.read_with_results(self.library, entry)
        if format != "json":
            check_times(transcript, str(entry.transcript_path))
        return self.render(
            transcript, format, item=entry.item, timestamps=timestamps, layout=layout
        )

    def render(
        self,
        transcript: Transcript,
        format: str,
        *,
        item: MediaItem | None = None,
        timestamps: Timestamps | None = None,
        layout: SubtitleLayout | None = None,
    ) -> str:
        """Return a transcript as text.

        `timestamps` (segment, word) overrides the preset's; `layout` is that of subtitles. Raises
        TranscriptionError for a time that no medium has.
        """
        if timestamps is not None:
            transcript = replace(transcript, timestamps=timestamps)
        if layout is not None:
            transcript = replace(transcript, layout=layout)
        if not self.settings.sound_links:
            transcript = transcript.without_sources()
        return render(transcript, format, item=item)

    def formats(self) -> tuple[str, ...]:
        """Return the names of the export formats."""
        return tuple(FORMATS)

    def mime_type(self, format: str) -> str:
        """Return the media type of an export format. Raises UsageError for an unknown one."""
        return format_named(format).mime_type

    def write(
        self, target: Path, document: str | bytes, *, source: str, overwrite: bool = False
    ) -> Path:
        """Write a document outside the library; return its file: `target`, or a numbered name.

        `source` says what the document is made from (an item's id, the path of a medium): a file
        that was written for another source is left, and the new one gets a number. Raises
        UsageError for any other file in the way unless `overwrite`, and for the library's own
        folders, and LibraryError.
        """
        named = Target(target, source, overwrite=overwrite)
        return self.files.write(named, file_content(document, target.name))

    def check_output(
        self, target: Path, *, source: str, overwrite: bool = False, medium: Path | None = None
    ) -> None:
        """Raise what `write` would raise now, before long work; `medium` is never replaced."""
        self.files.check(Target(target, source, overwrite=overwrite, never=medium))

    @property
    def files(self) -> UserFiles:
        """The writer of files outside the library."""
        return UserFiles(self.settings.home)

    # As documents

    def document(self, transcript: Transcript) -> Mapping[str, Any]:
        """Return a transcript as the JSON values of its exact document."""
        return json_document.to_document(transcript)


def status_of(row: ItemRow | ItemSummary) -> ItemStatus:
    """Return the status of a row of the queue's table, without its publications."""
    return ItemStatus(
        row.id, row.title, row.stage, row.state, row.progress,
        row.error, row.hint, row.attempts, shown_until(row.wait_until, row.problem), row.grade,
        share=overall(row.id, row.state, row.stage, row.progress), problem=row.problem,
        expected_errors=row.expected_errors,
        machine=row.executor if row.state == RUNNING else "",
        failing_since=known_time(row.failing_since),
    )  # fmt: skip


def _step_status(row: StepRow) -> StepStatus:
    return StepStatus(
        row.step, row.status, row.progress, row.error, row.hint, row.due_at, row.problem
    )


class _HasItem(Protocol):
    @property
    def item(self) -> MediaItem: ...


_Candidate = TypeVar("_Candidate", bound=_HasItem)


def _exactly_one(candidates: Sequence[_Candidate], item_id: str, settings: Settings) -> _Candidate:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        ids = ", ".join(entry.item.id for entry in candidates[:5])
        raise UsageError(
            "item.ambiguous",
            "{item_id!r} could be any of: {ids}.",
            hint="Give more of the id.",
            item_id=item_id,
            ids=ids,
        )
    raise UsageError(
        "item.unknown",
        "No item {item_id!r} in {home}.",
        hint="List the items: kb status --all",
        item_id=item_id,
        home=settings.home,
    )
