"""One channel as a place: what the library has of it, and what is followed, said and recurring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.follow_states import FollowState
from kb.jobs.queue.known_numbers import NO_ITEM
from kb.pipeline.vocabulary import ChannelWords, Vocabulary
from kb.service.catalogue import TO_REVIEW, Catalogue, ListRow
from kb.service.follows import Follows
from kb.types.recurring import RecurringStretch

if TYPE_CHECKING:  # it loads what the steps compute with
    from kb.service.enrichment import Enrichment

RECURRING_ITEMS = 30  # newest items whose recurring parts are read at once
_YOUTUBE_ID = "UC"  # how the lasting ids of YouTube's channels begin


@dataclass(frozen=True, slots=True)
class Month:
    """A month (`2026-03`) with the number of its items and their seconds."""

    name: str
    items: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ChannelView:
    """The items of one channel in numbers; `rows` are the items, the newest first.

    `expected_errors` is the share of likely wrong words over all words of its items, None where
    none was estimated. `address` is empty if the source has none. `speakers` are the names with the
    number of their items, the most frequent first.
    """

    name: str
    address: str
    rows: tuple[ListRow, ...] = field(repr=False)
    seconds: float
    words: int
    with_words: int
    to_review: int
    expected_errors: float | None
    months: tuple[Month, ...]
    speakers: Mapping[str, int]
    followed: FollowState | None

    @property
    def known(self) -> int | None:
        """The number of recordings that the followed source is known to have; None if unknown."""
        return self.followed.known if self.followed else None

    @property
    def taken_in(self) -> int:
        """The number of the known recordings that are in the library or on their way."""
        if self.followed is None:
            return len(self.rows)
        return sum(n for name, n in self.followed.counts.items() if name not in NO_ITEM)


@dataclass
class Channels:
    """The channels of one library. Methods raise LibraryError."""

    catalogue: Catalogue
    queue: JobQueue
    follows: Follows
    vocabulary: Vocabulary
    enrichment: Enrichment

    def view(self, name: str) -> ChannelView:
        """Return a channel by its name. Raises UsageError if the library has no item of it."""
        rows = tuple(row for row in self.catalogue.rows() if name in row.facets["channel"])
        if not rows:
            raise UsageError(
                "channel.unknown",
                "No recording of a channel {name!r}.",
                hint="List the items with their channels: kb list",
                name=name,
            )
        months: dict[str, list[float]] = {}
        for row in rows:
            if len(row.entry.item.published) >= len("2026-03"):
                months.setdefault(row.entry.item.published[:7], []).append(
                    row.entry.duration_s or 0.0
                )
        speakers = Counter(each for row in rows for each in row.facets["speaker"])
        ids = {str(row.entry.item.extra.get("channel_id") or "") for row in rows} - {""}
        return ChannelView(
            name,
            _address(ids),
            rows,
            sum(row.entry.duration_s or 0.0 for row in rows),
            sum(row.entry.word_count or 0 for row in rows),
            sum(row.entry.transcript_path is not None for row in rows),
            sum(TO_REVIEW in row.facets["review"] for row in rows),
            _expected_errors(rows),
            tuple(Month(m, len(found), sum(found)) for m, found in sorted(months.items())),
            dict(speakers.most_common()),
            self._followed(name, ids),
        )

    def words(self, name: str) -> ChannelWords:
        """Return the channel's vocabulary, and the names detected in its items."""
        return self.vocabulary.for_channel(name, self.queue.database)

    def recurring(self, view: ChannelView) -> list[tuple[ListRow, tuple[RecurringStretch, ...]]]:
        """Return those of the newest items that have recurring parts, with these."""
        found = ((row, self.enrichment.recurring(row.entry)) for row in view.rows[:RECURRING_ITEMS])
        return [(row, stretches) for row, stretches in found if stretches]

    def _followed(self, name: str, ids: set[str]) -> FollowState | None:
        for state in self.follows.states():
            each = state.subscription
            named = any(address and each.is_named(address) for address in map(_of_id, ids))
            if named or each.channel_id in ids or (each.title or "").casefold() == name.casefold():
                return state
        return None


def _address(ids: set[str]) -> str:
    """Return the address of the channel; empty for none and where a name has several channels."""
    return _of_id(next(iter(ids))) if len(ids) == 1 else ""


def _of_id(channel_id: str) -> str:
    known = channel_id.startswith(_YOUTUBE_ID)
    return f"https://www.youtube.com/channel/{channel_id}" if known else ""


def _expected_errors(rows: tuple[ListRow, ...]) -> float | None:
    known = [
        (row.entry.expected_errors, row.entry.word_count or 0)
        for row in rows
        if row.entry.expected_errors is not None
    ]
    words = sum(count for _, count in known)
    return sum(share * count for share, count in known) / words if words else None
