"""The list of the library: filtered by facets, counted, sorted, and searched by title.

The facts of an item come from its file and are kept in memory until that file changes; what the
queue and the knowledge bases know is read from the database for each list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from kb.errors import UsageError
from kb.jobs.queue.client import JobQueue
from kb.pipeline.list_filter import FACETS as FACETS
from kb.pipeline.list_filter import TO_REVIEW as TO_REVIEW
from kb.pipeline.list_filter import ListFilter as ListFilter
from kb.service.items import Items
from kb.service.list_facts import Counted, count_facets, counted, list_facts
from kb.service.list_rows import ListRow as ListRow
from kb.sinks import REMOTE

Sort = Literal[
    "published", "title", "channel", "length", "words", "grade", "coverage", "errors", "doubtful",
    "transcribed",
]  # fmt: skip
SORTS: tuple[str, ...] = get_args(Sort)
_DESCENDING = frozenset(("published", "length", "words", "errors", "doubtful", "transcribed"))


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
        """Return all items, newest publication first.

        While nothing has changed, the same rows are returned.
        """
        listing = self.items.listing()
        states, sent = self.queue.unfinished(), self.queue.outbox.states_in(REMOTE)
        return list_facts(self.items.library.media_folder).with_states(listing, states, sent)

    def by_id(self) -> Mapping[str, ListRow]:
        """Return all items by id; the same mapping while nothing has changed."""
        rows = self.rows()
        return list_facts(self.items.library.media_folder).by_id(rows)

    def counted(
        self, rows: Mapping[str, ListRow], chosen: ListFilter, ids: Collection[str] | None = None
    ) -> Counted:
        """Return the ids of the items that a filter allows, and the counts of all facets.

        `rows` are those of `by_id()`. `ids` limits the items, as to those of hits. All items are
        counted once while nothing has changed.
        """
        facts = list_facts(self.items.library.media_folder)
        if ids is None:
            return facts.counted(rows, chosen)
        found = _among(rows.values(), ids)
        if len(found) == len(rows):
            return facts.counted(rows, chosen)
        return counted(found, chosen)

    def allowed(
        self, chosen: ListFilter | None, rows: Mapping[str, ListRow] | None = None
    ) -> frozenset[str] | None:
        """Return the ids of the items that a filter allows, None where nothing is chosen.

        `rows` are those of `by_id()`, where the caller has them already.
        """
        if not chosen:
            return None
        return self.counted(self.by_id() if rows is None else rows, chosen)[0]

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
            rows = _among(rows, ids)
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
        found = list(self.rows() if rows is None else rows)
        for word in wanted:
            found = [row for row in found if word in row.words]
        first = "".join(wanted)
        return sorted(found, key=lambda row: not row.words.startswith(first))

    def hit_items(self, ids: Iterable[str]) -> dict[str, ListRow]:
        """Return the rows of the items of hits, by id."""
        return {row.id: row for row in _among(self.rows(), ids)}


def _among(rows: Iterable[ListRow], ids: Iterable[str]) -> tuple[ListRow, ...]:
    """Return the rows with these ids, in the order of the list."""
    wanted = set(ids)
    return tuple(row for row in rows if row.id in wanted)


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
