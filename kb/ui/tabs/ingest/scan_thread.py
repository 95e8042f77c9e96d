"""Scans of references before their ingest: in a thread, step by step, for one visitor.

This module does not call `st.*`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from kb.errors import Cancelled, KBError, RetryLater
from kb.options import RunOptions
from kb.service import IngestReport, Service
from kb.service.brought_transcripts import Reference
from kb.service.notation import VideoFilters
from kb.service.views import ListingReport, Scan, ScannedItem
from kb.service.worker_supervisor import worker_supervisor
from kb.settings import Settings
from kb.types import MediaItem

log = logging.getLogger(__name__)

AT_ONCE = 4  # sources that are looked at beside each other


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The scan of one reference so far: the report at first, later the scan or the error.

    `temporary`: the error passes without a change by the user, so that the listing can be queued.
    """

    reference: str
    report: ListingReport | None = None
    scan: Scan | None = None
    error: KBError | None = None
    temporary: bool = False

    @property
    def done(self) -> bool:
        return self.scan is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """The references and filters of a scan. Equal requests are scanned once."""

    references: tuple[str, ...] = ()
    filters: VideoFilters = VideoFilters()  # noqa: RUF009 - frozen itself


class ScanThread:
    """One scan, started when it is made. A newer scan of the same visitor cancels it."""

    def __init__(self, settings: Settings, request: ScanRequest) -> None:
        self.request = request
        self._settings = settings
        self._lock = threading.Lock()
        self._results = [ScanResult(reference) for reference in request.references]
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="look", daemon=True)
        self._thread.start()

    @property
    def results(self) -> list[ScanResult]:
        """The results so far, in the order of the references."""
        with self._lock:
            return list(self._results)

    @property
    def done(self) -> bool:
        """True when every reference has been scanned."""
        return all(finding.done for finding in self.results)

    def cancel(self) -> None:
        """Cancel the scan at its next request."""
        self._cancelled.set()

    def _run(self) -> None:
        service = Service(self._settings)
        try:
            # Beside each other: one source that does not answer must not hold up the others.
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look") as pool:
                for number, reference in enumerate(self._references(service)):
                    pool.submit(self._scan, number, reference)
        finally:
            service.close()

    def _references(self, service: Service) -> list[Reference]:
        """Return the references; a transcript beside its medium is none of its own."""
        found = service.ingest.references(self.request.references)
        with self._lock:
            self._results = [ScanResult(each.text) for each in found]
        return found

    def _scan(self, number: int, reference: Reference) -> None:
        if self._cancelled.is_set():
            return

        def on_report(report: ListingReport) -> None:
            if self._cancelled.is_set():
                raise Cancelled("page.replaced", "Something else is looked at now.")
            self._update(number, report=report)

        service = Service(self._settings)  # with a database connection of its own
        try:
            found = service.ingest.scan(reference, self.request.filters, on_progress=on_report)
            self._update(number, scan=found, report=found.report)
        except Cancelled:
            pass
        except KBError as error:
            self._update(number, error=error, temporary=isinstance(error, RetryLater))
        except Exception as error:
            # An error in a thread is not shown automatically: the page must show it.
            log.exception("Looking at %r failed", reference.text)
            self._update(number, error=unexpected_error(error))
        finally:
            service.close()

    def _update(self, number: int, **changes: object) -> None:
        with self._lock:
            self._results[number] = replace(self._results[number], **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """Items to queue, and listings that a worker has to make.

    `references` has all references of the page: a medium may have its transcript among them.
    """

    items: tuple[MediaItem, ...]
    listings: tuple[str, ...]
    filters: VideoFilters
    options: RunOptions
    references: tuple[str, ...] = ()


class IngestThread:
    """Submits a request to the queue in a thread: thousands of items take seconds."""

    def __init__(self, settings: Settings, request: IngestRequest) -> None:
        self.request = request
        self.report: IngestReport | None = None
        self.error: KBError | None = None
        self._settings = settings
        self._thread = threading.Thread(target=self._run, name="sending", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it ends within `timeout_s` seconds."""
        self._thread.join(timeout_s)
        return self.done

    def _run(self) -> None:
        service = Service(self._settings)
        try:
            enqueued: list[str] = []
            request = self.request
            items = list(request.items)
            for reference in self._listings(service):
                if reference.transcripts:
                    # Files of this machine: a worker would list the medium without them.
                    found = service.ingest.scan(reference, request.filters)
                    result = ScanResult(reference.text, scan=found)
                    items += items_to_ingest([result], again=request.options.again)
                else:
                    enqueued += service.ingest.enqueue_listing(
                        reference.text, request.filters, request.options
                    )
            report = service.ingest.enqueue(items, request.options)
            self.report = replace(report, enqueued=(*enqueued, *report.enqueued))
            if self.report.enqueued and self._settings.app_worker:
                worker_supervisor().start(service, request.options)
        except KBError as error:
            self.error = error
        except Exception as error:
            log.exception("Queueing failed")
            self.error = unexpected_error(error)
        finally:
            service.close()

    def _listings(self, service: Service) -> list[Reference]:
        """Return the references to list; a transcript among them belongs to its medium."""
        request = self.request
        named = service.ingest.references(request.references or request.listings)
        return [each for each in named if each.text in request.listings]


def unexpected_error(error: Exception) -> KBError:
    """Return an internal error of the program as a message for the page."""
    return KBError(
        "page.unexpected",
        "{kind}: {reason}",
        hint="The server's log has the details.",
        kind=type(error).__name__,
        reason=error,
    )


def items_to_ingest(results: Sequence[ScanResult], *, again: bool) -> list[MediaItem]:
    """Return the items of finished scans that would be queued, each once."""
    found: dict[str, MediaItem] = {}
    for finding in results:
        for each in finding.scan.items if finding.scan else ():
            if would_ingest(each, again=again):
                found.setdefault(each.item.id, each.item)
    return list(found.values())


def would_ingest(each: ScannedItem, *, again: bool) -> bool:
    """Return True for an item that is queued; `again`: also if it is in the library."""
    return each.should_ingest or (again and each.state in ("done", "held"))


def unfinished_references(results: Sequence[ScanResult]) -> list[str]:
    """Return references that a worker has to list: unfinished, or with a temporary error."""
    return [f.reference for f in results if not f.done or f.temporary]
