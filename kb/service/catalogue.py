"""The list of the library: filtered by facets, counted, sorted, and searched by title.

The facts of an item come from its file and are kept in memory until that file changes; what the
queue and the knowledge bases know is read from the database for each list.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.jobs.queue.item_states import DONE, QUEUED
from kb.jobs.queue.outbox_states import DEFERRED, FAILED, IN_PROGRESS, SYNCED, SYNCING
from kb.library import LibraryEntry
from kb.library.metadata import LibraryListing
from kb.pipeline.hold import uncertain_s
from kb.pipeline.list_filter import FACETS as FACETS
from kb.pipeline.list_filter import NOT_SENT, ON_ITS_WAY, SEND_FAILED, SENT, kept_facets
from kb.pipeline.list_filter import TO_REVIEW as TO_REVIEW
from kb.pipeline.list_filter import ListFilter as ListFilter
from kb.service.items import Items
from kb.sinks import REMOTE
from kb.types.safe_text import clean

MOST_VALUES = 200  # of one facet, the most frequent ones

Sort = Literal[
    "published", "title", "channel", "length", "words", "grade", "coverage", "errors", "doubtful",
    "transcribed",
]  # fmt: skip
SORTS: tuple[str, ...] = get_args(Sort)
_DESCENDING = frozenset(("published", "length", "words", "errors", "doubtful", "transcribed"))


@dataclass(frozen=True, slots=True)
class ListRow:
    """One item of the list, with the values of its facets."""

    entry: LibraryEntry
    facets: Mapping[str, tuple[str, ...]]
    doubtful_s: float
    words: str = field(repr=False, default="")

    @property
    def id(self) -> str:
        return self.entry.item.id

    @property
    def state(self) -> str:
        return self.facets["state"][0]

    @property
    def sent(self) -> str:
        return self.facets["sent"][0]

    @property
    def coverage(self) -> float | None:
        """The share of the speech that has words, 0..1; None without a transcript."""
        known = self.entry.transcribed.get("coverage")
        ratio = known.get("ratio") if isinstance(known, Mapping) else None
        return float(ratio) if isinstance(ratio, int | float) else None

    def as_dict(self) -> dict[str, Any]:
        """Return the item as programs get it: plain JSON values, times in seconds."""
        item, entry = self.entry.item, self.entry
        return {
            "id": item.id,
            "title": clean(item.title),
            "channel": clean(item.channel),
            "published": item.published,
            "url": item.url,
            "duration_s": entry.duration_s,
            "words": entry.word_count,
            "language": next(iter(self.facets["language"]), ""),
            "grade": entry.grade,
            "coverage": self.coverage,
            "expected_errors": entry.expected_errors,
            "doubtful_s": self.doubtful_s,
            "state": self.state,
            "sent": self.sent,
            "review": next(iter(self.facets["review"]), ""),
            "speakers": [clean(each) for each in self.facets["speaker"]],
            "tags": [clean(each) for each in entry.user_tags],
        }


@dataclass(frozen=True, slots=True)
class ListPage:
    """A part of a list, and the counts of each facet's values for the whole of it.

    A facet is counted under the choices of all others, so that its count says what a choice of
    that value would show.
    """

    rows: tuple[ListRow, ...]
    total: int
    seconds: float
    counted_words: int
    counts: Mapping[str, Mapping[str, int]]
    ids: tuple[str, ...] = field(repr=False, default=())


@dataclass
class Catalogue:
    """The list of one library. Methods raise LibraryError."""

    items: Items
    queue: JobQueue

    def rows(self) -> tuple[ListRow, ...]:
        """Return all items, newest publication first."""
        listing = self.items.listing()
        states, sent = self.queue.unfinished(), self.queue.outbox.states_in(REMOTE)
        known = _facts(self.items.library.media_folder).of(listing)
        found = []
        for row in known:
            entry = row.entry
            state = states.get(entry.item.id) or _state_of_files(entry)
            delivery = _sent(entry, sent.get(entry.item.id))
            if row.state != state or row.sent != delivery:
                now = {**row.facets, "state": (state,), "sent": (delivery,)}
                row = replace(row, facets=now)
            found.append(row)
        return tuple(found)

    def page(
        self,
        chosen: ListFilter | None = None,
        *,
        sort: Sort = "published",
        reverse: bool = False,
        offset: int = 0,
        limit: int | None = None,
        ids: Collection[str] | None = None,
        rows: Iterable[ListRow] | None = None,
    ) -> ListPage:
        """Return the items that a filter allows, sorted, with the counts of all facets.

        `reverse` turns the sort's own order. `ids` limits the list, as to the items of hits.
        `rows` are those of `rows()`, where the caller has them already.
        """
        rows = self.rows() if rows is None else tuple(rows)
        if ids is not None:
            wanted = set(ids)
            rows = tuple(row for row in rows if row.id in wanted)
        shown, counts = count_facets(rows, chosen or ListFilter())
        ordered = sorted_rows(shown, sort, reverse=reverse)
        end = None if limit is None else offset + limit
        return ListPage(
            tuple(ordered[offset:end]),
            len(ordered),
            sum(row.entry.duration_s or 0.0 for row in ordered),
            sum(row.entry.word_count or 0 for row in ordered),
            counts,
            tuple(row.id for row in ordered),
        )

    def named(self, chosen: ListFilter, rows: Iterable[ListRow] | None = None) -> ListFilter:
        """Return a filter with the values as the library writes them; case does not matter.

        A channel may be given by its id. A value that no item has is kept: one may come.
        """
        wanted = {
            name: {value.casefold() for value in values}
            for name in FACETS
            if (values := getattr(chosen, name))
        }
        if not wanted:
            return chosen
        found: dict[str, dict[str, str]] = {name: {} for name in wanted}
        for row in self.rows() if rows is None else rows:
            for name in wanted:
                for value in row.facets[name]:
                    found[name].setdefault(value.casefold(), value)
            if "channel" in wanted:
                channel_id = str(row.entry.item.extra.get("channel_id") or "").casefold()
                if channel_id:
                    found["channel"].setdefault(channel_id, row.entry.item.channel)
        spelled: dict[str, Any] = {
            name: tuple(found[name].get(each.casefold(), each) for each in getattr(chosen, name))
            for name in wanted
        }
        return replace(chosen, **spelled)

    def titled(self, query: str, rows: Iterable[ListRow] | None = None) -> list[ListRow]:
        """Return the items whose title, channel, tags or note have all words of a query.

        A word may be the beginning of one. Titles that begin with the query come first.
        """
        from kb.sinks.local.tokenizer import tokens  # the index's own folding of words

        wanted = [f" {word}" for word in tokens(query.replace('"', " ").replace("*", " "))]
        if not wanted:
            return []
        found = [
            row
            for row in (self.rows() if rows is None else rows)
            if all(word in row.words for word in wanted)
        ]
        first = "".join(wanted)
        return sorted(found, key=lambda row: not row.words.startswith(first))

    def hit_items(self, ids: Iterable[str]) -> dict[str, ListRow]:
        """Return the rows of the items of hits, by id."""
        wanted = set(ids)
        return {row.id: row for row in self.rows() if row.id in wanted}


def count_facets(
    rows: Sequence[ListRow], chosen: ListFilter
) -> tuple[list[ListRow], dict[str, dict[str, int]]]:
    """Return the rows that a filter allows, and each facet's counts under all other choices."""
    allowed = {
        name: frozenset(values)
        for name in FACETS
        if (values := getattr(chosen, name))
    }  # fmt: skip
    shown: list[ListRow] = []
    almost: dict[str, list[ListRow]] = {name: [] for name in allowed}
    for row in rows:
        published = row.entry.item.published
        if (chosen.after or chosen.before) and not (
            published
            and published >= chosen.after
            and (not chosen.before or published < chosen.before)
        ):
            continue
        failed = ""
        for name, values in allowed.items():
            if values.isdisjoint(row.facets[name]):
                if failed:
                    break
                failed = name
        else:
            if failed:
                almost[failed].append(row)
            else:
                shown.append(row)
    counts: dict[str, dict[str, int]] = {}
    for name in FACETS:
        counter: Counter[str] = Counter()
        for row in (*shown, *almost.get(name, ())):
            counter.update(row.facets[name])
        # A value that is chosen stays on the list, or it could not be given up.
        for value in allowed.get(name, ()):
            counter.setdefault(value, 0)
        best = counter.most_common(MOST_VALUES)
        kept = [pair for pair in counter.items() if pair[0] in allowed.get(name, ())]
        counts[name] = dict([*best, *kept])
    return shown, counts


def sorted_rows(rows: Sequence[ListRow], sort: Sort, *, reverse: bool = False) -> list[ListRow]:
    """Return rows in an order; those without the value are last. Raises UsageError."""
    if sort not in SORTS:
        raise UsageError(
            "list.sort_unknown",
            "A list cannot be sorted by {sort!r}.",
            hint="Known: {known}.",
            sort=sort,
            known=", ".join(SORTS),
        )
    key = _KEYS[sort]
    with_value = [row for row in rows if key(row) not in (None, "")]
    without = [row for row in rows if key(row) in (None, "")]
    descending = (sort in _DESCENDING) != reverse
    return [*sorted(with_value, key=key, reverse=descending), *without]


_KEYS: dict[str, Callable[[ListRow], Any]] = {
    "published": lambda row: row.entry.item.published,
    "title": lambda row: row.entry.item.title.casefold(),
    "channel": lambda row: row.entry.item.channel.casefold(),
    "length": lambda row: row.entry.duration_s,
    "words": lambda row: row.entry.word_count,
    "grade": lambda row: row.entry.grade,
    "coverage": lambda row: row.coverage,
    "errors": lambda row: row.entry.expected_errors,
    "doubtful": lambda row: row.doubtful_s or None,
    "transcribed": lambda row: str(row.entry.transcribed.get("at", "")),
}


class _Facts:
    """The rows of one media folder as its files have them; only changed files are read again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listing: LibraryListing | None = None
        self._rows: tuple[ListRow, ...] = ()

    def of(self, listing: LibraryListing) -> tuple[ListRow, ...]:
        with self._lock:
            if listing is not self._listing:
                known = {id(row.entry): row for row in self._rows}
                self._rows = tuple(
                    known.get(id(entry)) or _row_of(entry) for entry in listing.entries
                )
                self._listing = listing
            return self._rows


@cache
def _facts(_media_folder: Path) -> _Facts:
    return _Facts()


def _row_of(entry: LibraryEntry) -> ListRow:
    from kb.sinks.local.tokenizer import tokens

    item, known = entry.item, kept_facets(entry)
    facets = {**known, "state": (_state_of_files(entry),), "sent": (_sent(entry, None),)}
    speakers = known["speaker"]
    text = " ".join((item.title, item.channel, *entry.user_tags, entry.user_note, *speakers))
    words = "".join(f" {word}" for word in tokens(text))
    return ListRow(entry, facets, uncertain_s(entry), words)


def _state_of_files(entry: LibraryEntry) -> str:
    """Return an item's state according to its files."""
    if entry.state != "new":
        return entry.state
    return DONE if entry.transcript_path else QUEUED


def _sent(entry: LibraryEntry, status: str | None) -> str:
    """Return the state of an item in the remote knowledge base, from the queue or its file."""
    if status is None:
        record = entry.published.get(REMOTE)
        status = str(record.get("status", "")) if isinstance(record, Mapping) else ""
    if status in (SYNCED, SYNCING):
        return SENT
    if status in IN_PROGRESS or status in DEFERRED:
        return ON_ITS_WAY
    return SEND_FAILED if status == FAILED else NOT_SENT
