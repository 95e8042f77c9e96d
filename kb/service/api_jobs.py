"""Jobs of programs over HTTP: media by link or upload, their states and their transcripts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kb.errors import UsageError
from kb.jobs.queue.api_jobs import ApiJob, is_under_way
from kb.jobs.queue.api_jobs import ApiJobs as JobStore
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, DONE, HELD
from kb.jobs.worker.webhooks import secret_bytes
from kb.options import RunOptions
from kb.service.ingest import Ingest
from kb.service.items import Items
from kb.service.requests import check_link
from kb.service.results import ItemStatus
from kb.settings import Settings
from kb.sources.listing.filters import VideoFilters
from kb.sources.private_networks import refuse_private_host
from kb.types import MediaItem
from kb.types.safe_text import web_address

UNKNOWN_S = 600.0  # counted for a medium whose length is not known yet


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with its state (`kb.jobs.queue.api_jobs.job_state`) and those of its items."""

    job: ApiJob
    state: str
    items: tuple[ItemStatus, ...]

    @property
    def ended(self) -> bool:
        """True if nothing of the job will change by itself."""
        return not is_under_way(self.state)


@dataclass
class ApiJobs:
    """The jobs of one library. Every method raises LibraryError.

    `caller` is the name of a key: a caller sees its own jobs alone.
    """

    settings: Settings
    ingest: Ingest
    items: Items
    queue: JobQueue

    @property
    def _store(self) -> JobStore:
        return JobStore(self.queue.database)

    def check_webhook(self, address: str) -> None:
        """Raise UsageError for an address that no notice can be sent to."""
        if not web_address(address) or len(address) > 2_000:
            raise UsageError(
                "webhook.address",
                "The webhook is no address of the web.",
                hint="It looks like https://hooks.example.org/kb",
            )
        if secret_bytes(self.settings) is None:
            raise UsageError(
                "webhook.no_secret",
                "No webhook can be named here: KB_WEBHOOK_SECRET is not set, or has another form.",
                hint="Set it to whsec_ and 24 to 64 random bytes in base64.",
            )

    def known(
        self, caller: str, asked: str, idempotency_key: str | None
    ) -> tuple[ApiJob | None, bool]:
        """Return the job of an equal request, and True if its key stands for another request.

        Without a key, a job that has failed or was cancelled stands for no new request.
        """
        if idempotency_key is not None:
            found = self._store.with_key(caller, idempotency_key)
            return found, found is not None and found.asked != asked
        found = self._store.same(caller, asked)
        if found is not None and self.view(found).state in ("failed", "cancelled", "gone"):
            return None, False
        return found, False

    def take_in(
        self,
        caller: str,
        reference: str | Path,
        asked: str,
        options: RunOptions,
        *,
        newest: int = 1,
        idempotency_key: str | None = None,
        webhook: str | None = None,
        allow: Callable[[float], None] = lambda _: None,
    ) -> ApiJob:
        """Queue the media of a link, or an uploaded file, as one job.

        `allow` is called with the sound of what is to be queued, before it is, and may raise.
        Raises UsageError for a link that is none or leads nowhere, and MediaUnavailable.
        """
        filters = None
        if isinstance(reference, str):
            check_link(reference)
            refuse_private_host(self.settings, reference)
            filters = VideoFilters(limit=newest)

        def admit(found: Sequence[MediaItem]) -> None:
            states = self._store.states([item.id for item in found])
            # One that failed or was cancelled is queued again, and its sound was given back.
            allow(sum(_expected_s(each.duration_s) for each in found
                      if states.get(each.id) not in (*ACTIVE, DONE, HELD)))  # fmt: skip

        report = self.ingest.run([str(reference)], options, filters, admit=admit)
        known = [each.id for each in report.skipped]
        shown = reference.name if isinstance(reference, Path) else reference
        return self._store.add(
            caller,
            asked,
            shown,
            report.enqueued,
            known,
            idempotency_key=idempotency_key,
            webhook=webhook,
        )

    def get(self, caller: str, job_id: str) -> JobView | None:
        """Return a job of this caller with its state; None if there is none."""
        job = self._store.get(caller, job_id)
        return self.view(job) if job is not None else None

    def page(self, caller: str, limit: int, cursor: str = "") -> tuple[list[JobView], str]:
        """Return jobs of a caller, newest first, and the cursor of the next part.

        Raises UsageError for a cursor that is none.
        """
        before = self._store.get(caller, cursor) if cursor else None
        if cursor and before is None:
            raise UsageError(
                "jobs.cursor",
                "{cursor!r} is no job of this list.",
                hint="Begin again without a cursor.",
                cursor=cursor[:80],
            )
        found = self._store.page(caller, limit + 1, before)
        shown = found[:limit]
        following = shown[-1].id if len(found) > limit else ""
        return [self.view(job) for job in shown], following

    def cancel(self, view: JobView) -> None:
        """Stop what the job has queued and no other job waits for."""
        ids = self._store.cancel(view.job)
        if ids:
            self.queue.cancel(ids)

    def expected_s(self, job: ApiJob, file_s: float | None) -> float:
        """Return the sound that a job has queued; `file_s` is the length of its file, if any.

        The queue does not know the length of a file yet.
        """
        if not job.own:
            return 0.0  # all of it was there already
        if file_s is not None:
            return file_s
        return sum(_expected_s(each.duration_s) for each in self._store.sounds(job.own).values())

    def view(self, job: ApiJob) -> JobView:
        """Return a job with the states of its items."""
        ids = job.item_ids
        found = self.items.statuses(ids=ids, listings=True, publications=False) if ids else []
        every = {each.id: each for each in found}
        items = tuple(every[each] for each in ids if each in every)
        return JobView(job, job.state([each.state for each in items]), items)


def _expected_s(duration_s: float | None) -> float:
    return UNKNOWN_S if duration_s is None else duration_s


def request_digest(*parts: object) -> str:
    """Return the SHA-256 of a request, by which an equal one is recognized."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
