"""Requests of programs elsewhere that change the queue: media by link, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.options import RunOptions
from kb.service.ingest import Ingest
from kb.service.items import Items
from kb.service.results import ItemStatus
from kb.sources.listing.filters import VideoFilters
from kb.types.safe_text import clean, hide_credentials

LONGEST_LINK = 2_000  # characters
NO_WORKER = "No worker is running: nothing is processed until one is started (kb worker --detach)."


@dataclass(frozen=True, slots=True)
class RequestedItem:
    """A medium that was asked for: its state in the queue, and the cause where it failed.

    `progress` is its share over all stages, 0..1; `grade` is A, B, C or empty.
    """

    id: str
    title: str
    state: str
    stage: str
    progress: float
    grade: str
    error: str
    hint: str


@dataclass(frozen=True)  # the schema of an answer is made from a class without slots
class Requested:
    """The media of a request; `notes` are sentences about it as a whole."""

    items: tuple[RequestedItem, ...]
    notes: tuple[str, ...] = ()


@dataclass
class Requests:
    """The requests for one library. Every method raises LibraryError, and UsageError."""

    ingest: Ingest
    items: Items
    queue: JobQueue

    def take_in(self, link: str, newest: int) -> Requested:
        """Queue the medium of a link, or the `newest` ones of a channel or playlist.

        What is known already is not queued again; its present state is in the answer. Raises
        UsageError for anything but an http(s) link: a path would make files of this machine
        readable. Raises MediaUnavailable and KnowledgeBaseError too.
        """
        check_link(link)
        report = self.ingest.run([link], RunOptions(), VideoFilters(limit=newest))
        known = [each.id for each in report.skipped]
        listed = self._listed([*report.enqueued, *known])
        notes = [f"{each.message} {each.hint}".strip() for each in report.refused]
        return self._answer(listed, [*notes, *report.notes])

    def status(self, job: str) -> Requested:
        """Return the state of one medium, by its id."""
        return self._answer(self._listed(self.items.resolve_ids([job])))

    def retry(self, job: str) -> Requested:
        """Queue a failed or cancelled medium and its publications again."""
        ids = self.items.resolve_ids([job])
        self.queue.retry_publications(ids)
        again = self.queue.retry(ids)
        return self._answer(self._listed(ids), [] if again else ["There was nothing to try again."])

    def cancel(self, job: str) -> Requested:
        """Stop a medium that is queued, waiting or running, and its waiting publications."""
        ids = self.items.resolve_ids([job])
        dropped = self.queue.cancel_publications(ids)
        done = self.queue.cancel(ids)
        nothing = not done and not dropped
        return self._answer(self._listed(ids), ["It had ended already."] if nothing else [])

    def _listed(self, ids: Sequence[str]) -> list[ItemStatus]:
        wanted = list(dict.fromkeys(ids))
        return self.items.statuses(ids=wanted, listings=True) if wanted else []

    def _answer(self, found: Sequence[ItemStatus], notes: Sequence[str] = ()) -> Requested:
        waits = any(each.state in ("queued", "running") for each in found)
        said = [*notes, NO_WORKER] if waits and not self.queue.workers() else notes
        return Requested(
            tuple(
                RequestedItem(
                    each.id, clean(each.title), each.state, each.stage, round(each.share, 3),
                    each.grade, clean(each.error), clean(each.hint),
                )
                for each in found
            ),
            tuple(clean(note) for note in said),
        )  # fmt: skip


def check_link(link: str) -> None:
    """Raise UsageError for anything but an http(s) link."""
    try:
        parts = urlsplit(link)
        good = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or len(link) > LONGEST_LINK:
        raise UsageError(
            "requests.link",
            "{link!r} is no link that starts with http:// or https://.",
            hint="Give the address of a video, a channel or a playlist.",
            link=hide_credentials(link[:200]),
        )
