"""Acts on many items of the list at once, and what they would change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb.errors import KBError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import ACTIVE, HELD
from kb.library import LibraryEntry
from kb.service.items import Items
from kb.service.published_changes import published_change
from kb.service.removal import Removals, Removed
from kb.service.review import Review
from kb.settings import Settings
from kb.sinks import REMOTE


@dataclass(frozen=True, slots=True)
class BulkPlan:
    """The effect of an act on items, before it is done.

    `ready` are the ids that it applies to, `busy` the number of those in the queue, `held` of
    those that wait for review, `without_words` of those without a transcript. `published` items
    are in the remote knowledge base; sending the ready ones costs `credits` at most.
    """

    ready: tuple[str, ...]
    busy: int = 0
    held: int = 0
    without_words: int = 0
    published: int = 0
    credits: float = 0.0


@dataclass(frozen=True, slots=True)
class BulkResult:
    """The ids that an act was done to, and the errors of the others."""

    done: tuple[str, ...]
    failed: tuple[tuple[str, KBError], ...] = ()


@dataclass
class Bulk:
    """Acts over one library. Methods raise LibraryError; errors of single items are returned."""

    settings: Settings
    queue: JobQueue
    items: Items
    review: Review
    removals: Removals

    def plan(self, ids: Sequence[str]) -> BulkPlan:
        """Return what is known of these items before an act on them; no file is read for it."""
        wanted = frozenset(ids)
        entries = [each for each in self.items.listing().entries if each.item.id in wanted]
        states = self.queue.unfinished()
        idle = [entry for entry in entries if states.get(entry.item.id) not in ACTIVE]
        words = sum(entry.word_count or 0 for entry in self._publishable(idle))
        return BulkPlan(
            tuple(entry.item.id for entry in idle),
            len(entries) - len(idle),
            sum(entry.state == HELD for entry in idle),
            sum(entry.transcript_path is None for entry in idle),
            published_change(idle, self.settings).items,
            round(words / 10_000 * self.settings.odin_credits_per_10k_words, 2),
        )

    def publish(self, ids: Sequence[str]) -> BulkResult:
        """Queue items for the remote knowledge base; those held or without words stay here."""
        wanted = frozenset(ids)
        found = [each for each in self.items.listing().entries if each.item.id in wanted]
        ready = [entry.item.id for entry in self._publishable(found)]
        return self._each(ready, lambda item_id: self.queue.send(item_id, [REMOTE]))

    def transcribe_again(self, ids: Sequence[str], model: str) -> BulkResult:
        """Queue items for another transcription with a model; see `Review.retry`."""
        return self._each(ids, lambda item_id: self.review.retry(item_id, model=model))

    def remove(self, ids: Sequence[str], *, remote: bool = False) -> list[Removed]:
        """Move items to the trash; see `Removals.remove`."""
        return self.removals.remove(ids, remote=remote)

    def _publishable(self, entries: Sequence[LibraryEntry]) -> list[LibraryEntry]:
        return [each for each in entries if each.transcript_path and each.state != HELD]

    def _each(self, ids: Sequence[str], act: Callable[[str], object]) -> BulkResult:
        done, failed = [], []
        for item_id in ids:
            try:
                act(item_id)
            except KBError as error:
                failed.append((item_id, error))
            else:
                done.append(item_id)
        return BulkResult(tuple(done), tuple(failed))
