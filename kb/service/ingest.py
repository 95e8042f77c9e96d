"""Ingest: scan references and queue the media that they refer to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kb.errors import KBError, LibraryError, MediaUnavailable, RetryLater, UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE, HELD, SkipCode, Skipped
from kb.jobs.queue.machine_needs import steps_elsewhere
from kb.jobs.queue.partial_files import parts_of, with_parts
from kb.jobs.queue.request_settings import ASKED, SHOWN
from kb.jobs.queue.run_forecast import FETCH_FILE_S, Forecast, TimeLeft, expected_s
from kb.jobs.queue.source_factory import KnownIds, available_items, names_one_medium
from kb.library import Library
from kb.options import RunOptions
from kb.pipeline.transcript_files import BROUGHT
from kb.service.brought_transcripts import Reference, is_recognized, lay, lying_beside, references
from kb.service.items import Items
from kb.service.machines import Machines
from kb.service.removal import Removals, complete_removals
from kb.service.results import IngestReport
from kb.service.transcription import Transcription
from kb.settings import Settings
from kb.sinks import SINKS, check_sink
from kb.sources.listing.filters import VideoFilters
from kb.sources.listing.listing import Listing, ListingReport
from kb.sources.listing.scan import (
    Scan,
    disk_shortage,
    downloads_s,
    media_bytes,
    picture_bytes,
    scan,
)
from kb.sources.listing.selection import filters_key
from kb.types import MediaItem
from kb.types.safe_text import command_argument
from kb.types.sentences import counted

_FINISHED = (DONE, HELD)
_QUEUED = (SkipCode.QUEUED, SkipCode.WAITING, SkipCode.PAUSED)
_IDS_NAMED = 5  # in a sentence about several items


@dataclass
class Ingest:
    """Queueing of media for one library; workers process the queue."""

    settings: Settings
    library: Library
    queue: JobQueue
    items: Items
    transcription: Transcription
    machines: Machines
    removals: Removals

    def run(
        self,
        references: Sequence[str],
        options: RunOptions,
        filters: VideoFilters | None = None,
        confirm: Callable[[Mapping[str, int]], bool] = lambda _: True,
        admit: Callable[[Sequence[MediaItem]], None] = lambda _: None,
    ) -> IngestReport:
        """Queue the media of references.

        `confirm` is called with the numbers of `corrections` before items that have any are
        transcribed again; if it returns False, these items are left out. `admit` is called with the
        media before they are queued, and may raise.

        A reference that cannot be used is reported, and the other references are processed. A
        listing that has to wait (quota) is queued as a listing. Raises UsageError when none of
        the references can be used, and KBError for a problem that concerns every item (preset,
        model name, library folder, database).
        """
        self._prepare(options)
        filters = (filters or VideoFilters()).checked()
        found: dict[str, MediaItem] = {}
        skipped: list[Skipped] = []
        refused: list[KBError] = []
        queued_ids: list[str] = []
        listings: list[Listing] = []
        brought: dict[str, Reference] = {}
        asked: set[str] = set()  # named alone: taken in again even if it was removed
        for named in self.references(references):
            reference = named.text
            try:
                known = KnownIds(self.queue.items, self.library)
                # The queue's view estimates the remaining time from the durations.
                listing = self.queue.source_factory.open(
                    reference, filters, known=known, lengths=True
                )
                listings.append(listing)
                of_listing: list[str] = []
                for item in map(named.with_transcripts, available_items(listing)):
                    of_listing.append(item.id)
                    if named.transcripts:
                        brought[item.id] = named
                    if item.id in found:
                        reason = f"the same medium as {item.title!r}"
                        skipped.append(Skipped(item.id, reason, SkipCode.DUPLICATE))
                    found.setdefault(item.id, item)
                if names_one_medium(listing):
                    asked.update(of_listing)
            except RetryLater:
                queued_ids += self.queue.submit_listing(
                    reference, filters, options, self.forecast([], options)
                )
            except (UsageError, MediaUnavailable) as error:
                refused.append(error)
        if not found and not queued_ids and refused:
            raise refused[0].recast(UsageError) from refused[0]
        corrected = self.corrections(found.keys()) if options.again else {}
        if corrected and not confirm(corrected):
            for item_id in corrected:
                del found[item_id]
                skipped.append(Skipped(item_id, "it has corrections by hand", SkipCode.DONE))
        media_items = with_parts(self.queue.items, self._laid(list(found.values()), options))
        admit(media_items)
        if asked:
            complete_removals(self.settings, self.library, self.queue)
        queued, passed = self.queue.submit(
            media_items, options, asked, self.forecast(media_items, options)
        )
        there = {each.id for each in passed}
        self.queue.refresh([item for item in media_items if item.id in there])
        done = {each.id for each in passed if each.code == SkipCode.DONE}
        copies = self._newer_copies(media_items, done)
        queued_ids += queued
        skipped.extend(passed)
        remarks = [named.remark for item_id, named in brought.items() if item_id in queued]
        kept = {each.id for each in passed if each.code in (SkipCode.DONE, SkipCode.HELD)}
        remarks += [named.remark_known for item_id, named in brought.items() if item_id in kept]
        remarks.append(lying_beside(item for item in media_items if item.id in set(queued)))
        others = self._other_requests(passed, options)
        return IngestReport(
            tuple(queued_ids),
            tuple(skipped),
            tuple(self.items.statuses(ids=queued_ids)),
            tuple(refused),
            tuple(dict.fromkeys((*_sentences(listings, remarks), *copies, *others))),
            rejected=sum(each.rejected for each in listings),
            has_filters=any(filters_key(each.filters) for each in listings),
            unavailable=sum(each.report.unavailable for each in listings),
            known=sum(each.skipped for each in listings),
            from_transcripts=tuple(item_id for item_id in queued if item_id in brought),
        )

    def _newer_copies(
        self, media_items: Sequence[MediaItem], done: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Return a sentence for each local file that had another content when it was taken in.

        An item that has only the beginning of a file is replaced now if the whole one is among
        `done` and no person has corrected it; otherwise a worker replaces it.
        """
        by_id = {item.id: item for item in media_items}
        sentences = []
        for item_id, earlier in self.queue.items.earlier_copies(media_items).items():
            item = by_id[item_id]
            parts = [each for each in parts_of(item) if each in earlier]
            others = [each for each in earlier if each not in parts]
            if parts:
                sentences.append(self._replaced(item, parts, now=item_id in done))
            if others:
                sentences.append(
                    f"{item.title} ({item_id}) is a newer copy of a file that is in the library as "
                    f"{', '.join(others)}: both stay, and both are found."
                )
        return tuple(sentences)

    def _replaced(self, whole: MediaItem, parts: Sequence[str], *, now: bool) -> str:
        """Replace the items `parts` if it is time; return the sentence about them."""
        names = ", ".join(parts)
        begin = (
            f"{whole.title} ({whole.id}) is the whole of a file of which only the beginning is in "
            f"the library, as {names}: "
        )
        back = f"For a week it comes back with: kb remove --undo {parts[0]}"
        if not now:
            return f"{begin}that item is replaced when the whole one is done. {back}"
        if corrected := self.corrections(parts):
            return (
                f"{begin}it stays, because {', '.join(corrected)} has corrections by hand. To take "
                f"them over: kb ingest {command_argument(whole.url)} --again"
            )
        self.removals.replace_parts(parts, whole.id)
        return f"{begin}that item was replaced. {back}"

    def _other_requests(self, passed: Sequence[Skipped], options: RunOptions) -> tuple[str, ...]:
        """Return a sentence for each option of this request that items in the queue do not have.

        Such items keep the options that they were queued with, `again` or not.
        """
        given = [name for name in SHOWN if getattr(options, name) is not None]
        ids = [each.id for each in passed if each.code in _QUEUED] if given else []
        if not ids:
            return ()
        wanted = self.queue.stored(options)[ASKED]["settings"]
        found: dict[tuple[str, str], list[str]] = {}
        for row in self.queue.items.rows(ids):
            asked = row.options.get(ASKED)
            # Rows of a version before have no settings of their request.
            stored = asked.get("settings", {}) if isinstance(asked, Mapping) else {}
            for name in given:
                if (value := stored.get(name)) and value != wanted[name]:
                    found.setdefault((name, str(value)), []).append(row.id)
        return tuple(
            _other_request(name, value, str(wanted[name]), ids)
            for (name, value), ids in found.items()
        )

    def corrections(self, ids: Collection[str]) -> dict[str, int]:
        """Return the number of changes by hand of those of these items that have any, by id.

        A new transcription of them keeps a change where its words are found again.
        """
        wanted = frozenset(ids)
        found: dict[str, int] = {}
        for entry in self.items.listing().entries if wanted else ():
            revised = entry.transcribed.get("revised")
            times = revised.get("times") if isinstance(revised, dict) else None
            if entry.item.id in wanted and isinstance(times, int) and times > 0:
                found[entry.item.id] = times
        return found

    def enqueue(self, media_items: Sequence[MediaItem], options: RunOptions) -> IngestReport:
        """Queue media that a scan has found, without another request to their source.

        An item that was removed is taken in again if it is the only one.
        Raises as `run` does for a problem that concerns every item.
        """
        self._prepare(options)
        asked = [item.id for item in media_items] if len(media_items) == 1 else []
        laid = self._laid(media_items, options)
        queued, passed = self.queue.submit(laid, options, asked, self.forecast(laid, options))
        return IngestReport(
            tuple(queued),
            tuple(passed),
            tuple(self.items.statuses(ids=queued)),
            (),
        )

    def enqueue_listing(
        self, reference: str, filters: VideoFilters, options: RunOptions
    ) -> list[str]:
        """Queue a listing and return its id; a worker runs it and queues its media.

        Raises as `run` does for a problem that concerns every item.
        """
        self._prepare(options)
        return self.queue.submit_listing(
            reference, filters.checked(), options, self.forecast([], options)
        )

    def forecast(
        self, items: Sequence[MediaItem], options: RunOptions, speed: float | None = None
    ) -> Forecast:
        """Return what is expected of a run with these items; without any, of one of downloads.

        `speed` is that of the recognizer, if it is known already.
        """
        if speed is None:
            with suppress(KBError):
                speed = self.machines.estimate(options).rtfx
        online = [item for item in items if item.source != "file"]
        size = self.disk_bytes(online, options.keep or self.settings.keep)
        downloads = downloads_s(len(online) or (not items), size, self.settings)
        local = FETCH_FILE_S * (len(items) - len(online))
        return Forecast(speed, (downloads + local) / max(1, len(items)))

    def expected(
        self, items: Sequence[MediaItem], options: RunOptions, speed: float | None = None
    ) -> TimeLeft | None:
        """Return the time that a run of these items takes; None if the speed is not known."""
        forecast = self.forecast(items, options, speed)
        if forecast.speed is None:
            return None
        return expected_s(forecast, len(items), sum(item.duration_s or 0.0 for item in items))

    def references(self, texts: Sequence[str]) -> list[Reference]:
        """Return the references, each with the transcripts that were named beside its medium."""
        return references(texts, self.library, self.settings)

    def needs_model(self, items: Iterable[MediaItem]) -> bool:
        """Return True if the sound of any item is recognized."""
        return any(is_recognized(item) for item in items)

    def _laid(self, media_items: Sequence[MediaItem], options: RunOptions) -> list[MediaItem]:
        """Lay the transcripts of items that are taken in beside their media; return the items."""
        states = self.queue.states_of([item.id for item in media_items if BROUGHT in item.extra])
        return [
            lay(self.library, item) if options.again or states.get(item.id) not in _FINISHED
            else item
            for item in media_items
        ]  # fmt: skip

    def scan(
        self,
        reference: str | Reference,
        filters: VideoFilters | None = None,
        options: RunOptions | None = None,
        on_progress: Callable[[ListingReport], None] | None = None,
    ) -> Scan:
        """Return the media of a reference and the cost of an ingest; nothing is queued.

        `on_progress` is called when the kind of the reference is known, and before every
        further request; it may raise Cancelled. Raises UsageError, QuotaExhausted or another
        RetryLater error, and LibraryError.
        """
        (options or RunOptions()).resolve_preset(self.settings)
        settings = self.settings
        if options and options.keep:
            settings = settings.replace(keep=options.keep)
        known = KnownIds(self.queue.items, self.library)
        named = reference if isinstance(reference, Reference) else Reference(reference)
        opened: list[Listing] = []

        def report_progress() -> None:
            if on_progress and opened:
                on_progress(opened[0].report)

        listing = self.queue.source_factory.open(
            named.text, filters or VideoFilters(), known=known, check=report_progress, lengths=True
        )
        opened.append(listing)
        report_progress()
        speed = self.machines.estimate(options).rtfx
        found = scan(
            listing, settings, states_of=self.queue.states_of, rtfx=speed,
            pictures=self.fetches_pictures(options or RunOptions()),
        )  # fmt: skip
        if named.remark is None:
            return found
        return replace(
            found,
            report=replace(found.report, remarks=(*found.report.remarks, named.remark)),
            items=tuple(
                replace(each, item=named.with_transcripts(each.item)) for each in found.items
            ),
        )

    def playlists(
        self, reference: str, check: Callable[[], None] = lambda: None
    ) -> tuple[str, ...]:
        """Return the titles of a channel's playlists; empty where its source knows none.

        `check` is called before each request and may raise Cancelled. Raises as `scan` does.
        """
        return self.queue.source_factory.playlists(reference, check)

    def sink_names(self) -> tuple[str, ...]:
        """Return the names of all knowledge bases."""
        return tuple(SINKS)

    def disk_bytes(self, items: Sequence[MediaItem], keep: str) -> int:
        """Return the estimated disk space of the items' media, in bytes.

        `keep` has the values of the setting of that name.
        """
        return media_bytes(items, keep, self.settings.home)

    def fetches_pictures(self, options: RunOptions) -> bool:
        """Return True if a run fetches the picture of what it keeps as sound. Raises UsageError."""
        from kb.pipeline import enrichment

        elsewhere = steps_elsewhere(self.queue.database)
        return enrichment.fetches_pictures(options, self.settings, elsewhere)

    def picture_bytes(self, items: Sequence[MediaItem], options: RunOptions) -> int:
        """Return the estimated bytes of the pictures that a run fetches and deletes again."""
        if not self.fetches_pictures(options):
            return 0
        return picture_bytes(items, options.keep or self.settings.keep)

    def disk_shortage(self, needed: int, free: int | None) -> KBError | None:
        """Return the error of a disk that is too small for `needed` bytes; None if it is not."""
        return disk_shortage(needed, free)

    def sinks(self, options: RunOptions) -> tuple[str, ...]:
        """Return the knowledge bases of a run. Raises UsageError for an unknown one."""
        names = options.sinks if options.sinks is not None else self.settings.sink_names
        for name in names:
            check_sink(name)
        return names

    def check(self, options: RunOptions) -> None:
        """Raise for options with which no item could be processed, and for the library's folder.

        Raises as `run` does for a problem that concerns every item.
        """
        self._prepare(options)

    def _prepare(self, options: RunOptions) -> None:
        if self.settings.database_url.get_secret_value():
            # The folder may be that of a share that is not mounted: nothing may be made in it.
            self.queue.tie.require()
        try:
            self.library.prepare()
        except LibraryError as error:
            # No item has been processed yet, so the cause is a setting.
            raise error.recast(UsageError) from error
        self._check_choices(options)

    def _check_choices(self, options: RunOptions) -> None:
        """Raise for an invalid option now; a worker would detect it much later."""
        from kb.asr.engines import check_engine
        from kb.asr.engines.model_lookup import resolve
        from kb.pipeline import enrichment

        transcription_options = self.transcription.options(options)
        check_engine(transcription_options.engine)
        resolve(transcription_options.model)
        enrichment.wanted_steps(options, self.settings)
        sinks = self.sinks(options)
        if options.metadata or set(sinks) - {"local"}:
            from kb.jobs.publisher import check_ready

            check_ready(sinks, self.settings, options.metadata)


def _other_request(name: str, value: str, wanted: str, ids: Sequence[str]) -> str:
    """Return the sentence about queued items whose option is not the wanted one."""
    verb, keep = ("is", "keeps") if len(ids) == 1 else ("are", "keep")
    named = " ".join(ids[:_IDS_NAMED]) + (" …" if len(ids) > _IDS_NAMED else "")
    return (
        f"{counted(len(ids), 'item')} {verb} queued already with {name} {value} and {keep} it, "
        f"instead of {wanted}. To change it: kb cancel {named}, then the same kb ingest again."
    )


def _sentences(listings: Sequence[Listing], remarks: Sequence[KBError | None]) -> list[str]:
    notes = [note for each in listings for note in each.report.notes]
    return notes + [f"{each.message} {each.hint}" for each in remarks if each]
