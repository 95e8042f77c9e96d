"""The ingest behind the page: put on the queue by one visitor, followed by all.

The only place of the dashboard that asks for work. The work itself is done by worker processes
and goes on without the page; the thread here reads what was named, starts a worker where none
is alive, and keeps uploaded files until they are in the library. It calls no `st.*`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from kb.errors import KBError, UsageError
from kb.jobs.options import RunOptions
from kb.service import IngestReport, ItemStatus, Service
from kb.settings import get_settings
from kb.types import MediaItem
from kb.ui import uploads
from kb.ui.texts import text

GOING = ("queued", "running")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it stands: what a page shows of it.

    `items` in the order in which they were taken up; `skipped` are titles with the reason;
    `refused` what could not be used at all; `error` what ended the whole run. `elapsed_s`
    stops when the run ends.
    """

    started: bool = False
    running: bool = False
    elapsed_s: float = 0.0
    items: tuple[ItemStatus, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    refused: tuple[KBError, ...] = ()
    error: KBError | None = None

    @property
    def ended(self) -> tuple[ItemStatus, ...]:
        """The items that have come to their end, or wait for something."""
        return tuple(item for item in self.items if item.state not in GOING)


class Runner:
    """One run at a time for all who look at the dashboard; any thread may call any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._items: dict[str, ItemStatus] = {}
        self._view = RunView()
        self._began = 0.0

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        with self._lock:
            return self._view.running

    def start(
        self, references: Sequence[str], options: RunOptions, temporary: Path | None = None
    ) -> None:
        """Begin an ingest and return at once; `temporary` is removed when it has ended.

        Raises UsageError while another run goes on; `temporary` then stays with the caller.
        """
        self._begin(lambda service: self._ingest(service, tuple(references), options), temporary)

    def resume(self, ids: Sequence[str]) -> None:
        """Go on with items that lie on the queue; returns at once. Raises as `start` does."""
        self._begin(lambda service: self._follow(service, tuple(ids)), None)

    def view(self) -> RunView:
        """The present run, or the last one."""
        with self._lock:
            if not self._view.running:
                return self._view
            return replace(
                self._view,
                elapsed_s=time.monotonic() - self._began,
                items=tuple(self._items.values()),
            )

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the run has ended, or for `timeout_s` seconds."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _begin(self, work: Callable[[Service], None], temporary: Path | None) -> None:
        with self._lock:
            if self._view.running:
                raise UsageError(text("busy"), hint=text("busy_hint"))
            self._items = {}
            self._view = RunView(started=True, running=True)
            self._began = time.monotonic()
            self._thread = threading.Thread(
                target=self._run, args=(work, temporary), name="ingest", daemon=True
            )
            self._thread.start()

    def _run(self, work: Callable[[Service], None], temporary: Path | None) -> None:
        service = Service(get_settings())
        problem: KBError | None = None
        try:
            work(service)
        except KBError as error:
            problem = error
        except Exception as error:
            # A thread ends without a word to anybody: the page has to say that it did.
            log.exception("The ingest failed")
            problem = KBError(f"{type(error).__name__}: {error}", hint=text("see_log"))
        finally:
            service.close()
            uploads.discard(temporary)
            with self._lock:
                self._view = replace(
                    self._view,
                    running=False,
                    elapsed_s=time.monotonic() - self._began,
                    items=tuple(self._items.values()),
                    error=problem,
                )

    def _ingest(self, service: Service, references: Sequence[str], options: RunOptions) -> None:
        report = service.ingest(references, options)
        with self._lock:
            self._items = {status.id: status for status in _in_order(report)}
            self._view = replace(
                self._view, skipped=_skipped(service, report), refused=report.refused
            )
        self._follow(service, report.enqueued)

    def _follow(self, service: Service, ids: Sequence[str]) -> None:
        if ids:
            service.follow(ids, self._listen)

    def _listen(self, item: MediaItem, status: ItemStatus) -> None:
        with self._lock:
            self._items[item.id] = status


@cache
def runner() -> Runner:
    """The runner of this process: modules are imported once, however often a script runs."""
    return Runner()


def on_the_queue(service: Service, limit: int = 50) -> list[ItemStatus]:
    """Items that run or wait for their turn, whoever asked for them; running ones first."""
    found = [status for state in reversed(GOING) for status in service.statuses(state=state)]
    return found[:limit]


def _in_order(report: IngestReport) -> list[ItemStatus]:
    known = {status.id: status for status in report.items}
    return [known[item_id] for item_id in report.enqueued if item_id in known]


def _skipped(service: Service, report: IngestReport) -> tuple[tuple[str, str], ...]:
    titles = {status.id: status.title for status in service.statuses()} if report.skipped else {}
    return tuple((titles.get(item.id, item.id), item.reason) for item in report.skipped)
