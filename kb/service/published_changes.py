"""The changes of an act over many items in remote knowledge bases, and their cost.

An act that changes more than `MOST_UNASKED` published items says so first, with the credits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kb.errors import UsageError
from kb.library import LibraryEntry
from kb.pipeline.publish_record import is_published
from kb.settings import Settings

MOST_UNASKED = 20  # published items that an act changes without a confirmation


@dataclass(frozen=True, slots=True)
class PublishedChange:
    """Published items that an act would change; sending them again costs `credits` at most."""

    items: int
    credits: float

    @property
    def needs_confirmation(self) -> bool:
        return self.items > MOST_UNASKED


def published_change(entries: Iterable[LibraryEntry], settings: Settings) -> PublishedChange:
    """Return how many of these items are published, and the cost of sending them again."""
    published = [entry for entry in entries if is_published(entry)]
    words = sum(entry.word_count or 0 for entry in published)
    cost = words / 10_000 * settings.odin_credits_per_10k_words
    return PublishedChange(len(published), round(cost, 2))


def require_sure(entries: Iterable[LibraryEntry], settings: Settings, *, sure: bool) -> None:
    """Raise UsageError if an act would change many published items without a confirmation."""
    found = published_change(entries, settings)
    if found.needs_confirmation and not sure:
        raise UsageError(
            "publish.many_changed",
            "{count:published item|published items} would change; sending them again "
            "costs {credits} credits at most.",
            hint="Nothing was changed. To do it: the same command with --yes",
            count=found.items,
            credits=f"{found.credits:.1f}",
        )
