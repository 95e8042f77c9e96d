"""The one door: everything a face (command line, dashboard) may ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psutil

from gpu.presets import Preset, load_presets
from gpu.status import Machine as Machine
from kb.errors import KBError, LibraryError, MediaUnavailable, RetryLater, UsageError
from kb.inference.session import InferenceSession, TranscriptionOptions
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ENDED, ItemRow, ItemSummary
from kb.jobs.queue.item_states import STATES as STATES
from kb.jobs.queue.listing_jobs import subscription_listing
from kb.jobs.queue.progress import overall
from kb.jobs.queue.source_factory import KnownIds, available_items
from kb.library import Library, LibraryEntry
from kb.options import RunOptions
from kb.pipeline import captions, stages
from kb.pipeline.vocabulary import Vocabulary
from kb.service.corrections import Corrections
from kb.service.machines import Hardware
from kb.service.results import IngestReport as IngestReport
from kb.service.results import ItemStatus as ItemStatus
from kb.service.results import Publication, ReindexReport, Skipped
from kb.service.results import SearchResult as SearchResult
from kb.service.review import Review
from kb.service.revisions import Revisions
from kb.settings import Settings, get_settings
from kb.sinks import check_sink, open_search
from kb.sinks.base import SearchMode
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.listing.scan import Scan, scan
from kb.sources.subscriptions import Subscriptions, subscription_key
from kb.transcript import FORMATS, render
from kb.transcript.passages import passages
from kb.types import MediaItem, Revision, Timestamps, Transcript

if TYPE_CHECKING:
    from kb.jobs.publisher import Publisher

SHORT_WAIT_S = 60.0  # a transient fault's first tries again; longer waits are only listed

ItemListener = Callable[[MediaItem, ItemStatus], None]


class Service:
    """All that a face needs, over one library folder and one set of settings."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        self.library = Library(self.settings.home)
        self.inference_session = InferenceSession(self.settings)
        self.queue = JobQueue(self.settings, self.library)

    def close(self) -> None:
        """Frees the model, if one was loaded, and lets go of the database."""
        self.inference_session.close()
        self.queue.close()

    # This machine and the others

    @cached_property
    def hardware(self) -> Hardware:
        """Machines, their speed, and the models they can run."""
        return Hardware(self.settings, self.queue)

    def machine(self) -> Machine:
        """What this machine is doing now, with the last hour's history. Never raises."""
        return self.hardware.machine()

    # Choices

    def presets(self) -> dict[str, Preset]:
        """All presets by name. Raises SettingsError naming file and line."""
        file = self.settings.presets_file
        return load_presets(Path(file) if file else None)

    def transcription_options(self, options: RunOptions) -> TranscriptionOptions:
        """What a run with these options uses. Raises SettingsError."""
        return self.inference_session.transcription_options(options)

    def sinks(self, options: RunOptions) -> tuple[str, ...]:
        """The knowledge bases of a run. Raises UsageError for an unknown one."""
        names = options.sinks if options.sinks is not None else self.settings.sink_names
        for name in names:
            check_sink(name)
        return names

    # Words, without the library

    def transcribe(
        self,
        path: Path,
        options: RunOptions,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Transcript:
        """The words of one file; nothing is kept. Raises any KBError."""
        from kb.media import sha256_of
        from kb.media.probe import probe

        probe(path)  # a bad path is told before a model is loaded
        transcription_options = self.transcription_options(options)
        return self.inference_session.transcribe(
            path,
            transcription_options,
            sha256=sha256_of(path),
            progress=progress,
            cancelled=cancelled,
        )

    # Ingest

    def ingest(
        self,
        references: Sequence[str],
        options: RunOptions,
        filters: VideoFilters | None = None,
    ) -> IngestReport:
        """Queues media to be taken into the library; workers do the rest.

        A reference that leads nowhere is reported and the others go on. A listing that has
        to wait (quota) is queued itself. Raises UsageError when nothing of what was given can
        be used, and KBError for what concerns every item (preset, model name, library folder,
        database).
        """
        self._prepare(options)
        filters = (filters or VideoFilters()).checked()
        found: dict[str, MediaItem] = {}
        skipped: list[Skipped] = []
        refused: list[KBError] = []
        queued_ids: list[str] = []
        for reference in references:
            try:
                known = KnownIds(self.queue.items)
                # With lengths: whoever looks at the queue wants to know when it will be empty.
                listing = self.queue.source_factory.open(
                    reference, filters, known=known, lengths=True
                )
                for item in available_items(listing):
                    if item.id in found:
                        skipped.append(Skipped(item.id, f"the same medium as {item.title!r}"))
                    found.setdefault(item.id, item)
            except RetryLater:
                queued_ids += self.queue.submit_listing(reference, filters, options)
            except (UsageError, MediaUnavailable) as error:
                refused.append(error)
        if not found and not queued_ids and refused:
            raise UsageError(refused[0].message, hint=refused[0].hint) from refused[0]
        queued, passed = self.queue.submit(list(found.values()), options)
        queued_ids += queued
        skipped.extend(Skipped(item_id, reason) for item_id, reason in passed)
        return IngestReport(
            tuple(queued_ids), tuple(skipped), tuple(self.statuses(ids=queued_ids)), tuple(refused)
        )

    def enqueue(self, media_items: Sequence[MediaItem], options: RunOptions) -> IngestReport:
        """Queues media that a scan has found, without looking at their source again.

        Raises as `ingest` does for what concerns every item.
        """
        self._prepare(options)
        queued, passed = self.queue.submit(media_items, options)
        skipped = tuple(Skipped(item_id, reason) for item_id, reason in passed)
        return IngestReport(tuple(queued), skipped, tuple(self.statuses(ids=queued)), ())

    def enqueue_listing(
        self, reference: str, filters: VideoFilters, options: RunOptions
    ) -> list[str]:
        """Queues a listing itself: a worker makes it, and queues what it gives; its id.

        Raises as `ingest` does for what concerns every item.
        """
        self._prepare(options)
        return self.queue.submit_listing(reference, filters.checked(), options)

    def _prepare(self, options: RunOptions) -> None:
        try:
            self.library.prepare()
        except LibraryError as error:
            # Nothing was started: this is about a setting, not about an item.
            raise UsageError(error.message, hint=error.hint) from error
        self._check_choices(options)

    def scan(
        self,
        reference: str,
        filters: VideoFilters | None = None,
        options: RunOptions | None = None,
        on_progress: Callable[[ListingReport], None] | None = None,
    ) -> Scan:
        """What a reference would bring, and at what cost; nothing is queued.

        `on_progress` is called as soon as it is known what the reference is, and before every
        further request; it may raise Cancelled. Raises UsageError, QuotaExhausted or another
        RetryLater error, and LibraryError.
        """
        (options or RunOptions()).resolve_preset(self.settings)
        settings = self.settings
        if options and options.keep:
            settings = settings.replace(keep=options.keep)
        known = KnownIds(self.queue.items)
        opened: list[Listing] = []

        def report_progress() -> None:
            if on_progress and opened:
                on_progress(opened[0].report)

        listing = self.queue.source_factory.open(
            reference, filters or VideoFilters(), known=known, check=report_progress, lengths=True
        )
        opened.append(listing)
        report_progress()
        speed = self.hardware.estimate(options).rtfx
        return scan(listing, settings, states_of=self.queue.states_of, rtfx=speed)

    # Knowledge bases elsewhere

    @cached_property
    def publisher(self) -> Publisher:
        """Publishing, syncing and asking, in the foreground."""
        from kb.jobs.publisher import (
            Publisher,  # brings an HTTP client, which most commands do not need
        )

        return Publisher(self.settings, self.library, self.queue.database)

    # Subscriptions

    @property
    def subscriptions(self) -> Subscriptions:
        """What is followed."""
        return Subscriptions(self.queue.database, self.library)

    def unfollow(self, reference: str) -> bool:
        """Stops following, a look that is under way included; whether it was followed."""
        key = subscription_key(reference)
        listing_ids = [
            subscription_listing(each).id for each in self.subscriptions.list() if each.key == key
        ]
        followed = self.subscriptions.unfollow(reference)
        self.queue.cancel(listing_ids)
        return followed

    def _check_choices(self, options: RunOptions) -> None:
        """A bad choice is told now, and not by a worker an hour later."""
        from kb.asr.engines import check_engine
        from kb.asr.engines.model_lookup import resolve

        transcription_options = self.transcription_options(options)
        check_engine(transcription_options.engine)
        resolve(transcription_options.model)
        sinks = self.sinks(options)
        if options.metadata or set(sinks) - {"local"}:
            from kb.jobs.publisher import check_ready

            check_ready(sinks, self.settings, options.metadata)

    def follow(
        self,
        ids: Sequence[str],
        listener: ItemListener | None = None,
        every_s: float = 0.5,
        options: RunOptions | None = None,
    ) -> list[ItemStatus]:
        """Waits until none of the items is queued or running; returns how each stands.

        A worker is started if none is alive. `listener` is told every change. Raises
        LibraryError when no worker stays alive.
        """
        last: dict[str, ItemStatus] = {}
        pending = list(ids)
        starter = _WorkerStarter(self, options)
        while pending:
            for row in self.queue.rows(pending):
                status = _status(row)
                if listener and last.get(row.id) != status:
                    listener(row.item, status)
                last[row.id] = status
            pending = [i for i in pending if i in last and last[i].state not in ENDED]
            if not any(_is_worth_waiting(last[item_id]) for item_id in pending):
                break
            starter.ensure_running()
            time.sleep(every_s)
        return self._with_publications([last[item_id] for item_id in ids if item_id in last])

    def start_worker(
        self, *, exit_when_idle: bool = False, options: RunOptions | None = None
    ) -> int:
        """Starts a worker that outlives this process; returns its pid."""
        from kb.jobs.worker.spawn import start_detached

        return start_detached(self.settings, exit_when_idle=exit_when_idle, options=options)

    # The queue

    def statuses(
        self, *, state: str | None = None, limit: int | None = None, ids: Sequence[str] = ()
    ) -> list[ItemStatus]:
        """Where items stand, newest first."""
        found = [_status(row) for row in self.queue.summaries(state=state, limit=limit, ids=ids)]
        return self._with_publications(found)

    def status(self, item_id: str) -> ItemStatus:
        """Where one item stands. Raises UsageError for an unknown id."""
        return self._with_publications([_status(self._row(item_id))])[0]

    def _with_publications(self, statuses: Sequence[ItemStatus]) -> list[ItemStatus]:
        """The same, with what each knowledge base says of them."""
        entries = self.queue.outbox.for_items([status.id for status in statuses])
        return [
            replace(
                status,
                publications=tuple(
                    Publication(d.sink, d.status, d.error, d.hint, d.attempts, d.due_at)
                    for d in entries.get(status.id, ())
                ),
            )
            for status in statuses
        ]

    def resolve_ids(self, ids: Sequence[str]) -> list[str]:
        """Full ids of items given by id or by its beginning. Raises UsageError."""
        return [self._row(item_id).id for item_id in ids]

    def _row(self, item_id: str) -> ItemRow:
        rows = self.queue.rows([item_id])
        if not rows:
            rows = self.queue.rows(self.queue.ids_with_prefix(item_id))
        return _exactly_one(rows, item_id, self.settings)

    # The library

    def entry(self, item_id: str) -> LibraryEntry:
        """The entry with this id, or the only one whose id ends with it.

        Raises UsageError when there is none or several.
        """
        entry = self.library.find(item_id)
        if entry is not None:
            return entry
        near = [e for e in self.library.entries() if e.item.short_id.startswith(item_id)]
        return _exactly_one(near, item_id, self.settings)

    def transcript(self, item_id: str) -> Transcript:
        """The exact transcript of an item. Raises UsageError or LibraryError."""
        return stages.read_transcript(self.library, self.entry(item_id))

    def captions(self, item_id: str) -> Transcript | None:
        """Captions that stand in for a transcript that is not there yet, as its warning says.

        None where there are none. Raises UsageError or LibraryError.
        """
        return captions.interim_transcript(self.library, self.entry(item_id))

    @cached_property
    def revisions(self) -> Revisions:
        """Changes of transcripts by hand."""
        return Revisions(self.settings, self.library, self.queue)

    @property
    def vocabulary(self) -> Vocabulary:
        """What recognizers are told beforehand, by channel."""
        return Vocabulary(self.library)

    @property
    def corrections(self) -> Corrections:
        """Corrections across a channel."""
        return Corrections(self.revisions)

    @cached_property
    def review(self) -> Review:
        """What is doubtful, and what somebody decides about it."""
        return Review(self.settings, self.library, self.queue, self.revisions)

    def edit(
        self,
        item_id: str,
        segment_index: int,
        new_text: str,
        *,
        expected: str | None = None,
        by: str = "",
    ) -> Revision | None:
        """Replaces the text of one segment, counted from 0; see `Revisions.edit`.

        Files, local index and remote knowledge bases follow. Returns what was changed, None
        if nothing was. Raises UsageError (no such segment, changed meanwhile, item on the
        queue), LibraryError and KnowledgeBaseError.
        """
        item_id = self.entry(item_id).item.id
        return self.revisions.edit(item_id, segment_index, new_text, expected=expected, by=by)

    def export(self, item_id: str, format: str, timestamps: Timestamps | None = None) -> str:
        """An item's transcript in one of the export formats. Raises UsageError."""
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
        """A transcript as text; `timestamps` (segment, word) overrides the preset's."""
        if timestamps is not None:
            transcript = replace(transcript, timestamps=timestamps)
        return render(transcript, format, item=item)

    def formats(self) -> tuple[str, ...]:
        """Names of the export formats."""
        return tuple(FORMATS)

    def search(self, query: str, mode: SearchMode = "keyword", limit: int = 20) -> SearchResult:
        """Passages that answer a query, best first. Raises UsageError or KnowledgeBaseError."""
        sink = open_search("local", self.settings)
        began = time.perf_counter()
        hits = sink.search(query, mode=mode, limit=limit)
        return SearchResult(
            query, mode, round((time.perf_counter() - began) * 1000, 1), tuple(hits)
        )

    def _interim_passages(self, entry: LibraryEntry, problems: list[str]) -> Sequence[Any]:
        try:
            return captions.interim_passages(self.library, entry)
        except KBError as error:
            problems.append(error.message)
            return ()

    def reindex(self) -> ReindexReport:
        """Adopts files laid into the folder and rebuilds the index from all transcripts."""
        from kb.sinks.local.sink import LocalSink

        self.library.prepare()
        self.library.sweep_temporary()
        adopted = self.library.adopt()
        listing = self.library.scan()
        problems = [p.message for p in (*adopted.problems, *listing.problems)]
        count = 0

        def ready() -> Iterator[tuple[MediaItem, Sequence[Any]]]:
            nonlocal count
            for entry in listing.entries:
                if entry.transcript_path is None:
                    if shown := self._interim_passages(entry, problems):
                        yield entry.item, shown
                    continue
                try:
                    transcript = stages.read_transcript(self.library, entry)
                except KBError as error:
                    problems.append(error.message)
                    continue
                path = f"media/{entry.media_path.name}" if entry.media_path else ""
                count += 1
                yield entry.item, passages(transcript, entry.item, path=path)

        total = LocalSink(self.settings).rebuild(ready())
        self.queue.adopt_folder()
        self.subscriptions.restore()
        return ReindexReport(count, total, len(adopted.entries), tuple(problems))


class _WorkerStarter:
    """Keeps a worker alive as long as somebody waits for one."""

    TRIES = 3

    def __init__(self, service: Service, options: RunOptions | None) -> None:
        self._service = service
        self._options = options
        self._pid: int | None = None
        self._tries = 0

    def ensure_running(self) -> None:
        """Starts a worker if none is alive and none is on its way."""
        if self._service.queue.workers():
            self._pid, self._tries = None, 0
        elif self._pid is None or not psutil.pid_exists(self._pid):
            if self._tries >= self.TRIES:
                raise LibraryError(
                    "The worker ends as soon as it is started.",
                    hint=f"See {self._service.settings.home / 'logs' / 'worker.log'}, or run in "
                    "the foreground: kb worker",
                )
            self._tries += 1
            self._pid = self._service.start_worker(exit_when_idle=True, options=self._options)


def _is_worth_waiting(status: ItemStatus) -> bool:
    """Whether waiting for an item is worth it: not for a quota or a premiere."""
    if status.state == "waiting":
        return (status.wait_until or 0.0) - time.time() < SHORT_WAIT_S
    return status.state in ("queued", "running")


def _status(row: ItemRow | ItemSummary) -> ItemStatus:
    return ItemStatus(
        row.id, row.title, row.stage, row.state, row.progress,
        row.error, row.hint, row.attempts, row.wait_until, row.grade,
        share=overall(row.id, row.state, row.stage, row.progress),
    )  # fmt: skip


class _Named(Protocol):
    @property
    def item(self) -> MediaItem: ...


_Found = TypeVar("_Found", bound=_Named)


def _exactly_one(candidates: Sequence[_Found], item_id: str, settings: Settings) -> _Found:
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        ids = ", ".join(entry.item.id for entry in candidates[:5])
        raise UsageError(f"{item_id!r} could be any of: {ids}.", hint="Give more of the id.")
    raise UsageError(f"No item {item_id!r} in {settings.home}.", hint="List the items: kb status")
