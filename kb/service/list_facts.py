"""The rows of the library's list in memory, and the counts of their facets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from itertools import chain
from pathlib import Path

from kb.garbage import kept
from kb.library.metadata import LibraryListing
from kb.pipeline.list_filter import FACETS, ListFilter
from kb.service.list_rows import ListRow, row_of, with_state

MOST_VALUES = 200  # of one facet, the most frequent ones
MOST_FILTERS = 20  # whose counts over all items are kept
MANY_ROWS = 1_000  # new ones, none of which is garbage

Counted = tuple[frozenset[str], Mapping[str, Mapping[str, int]]]
"""The ids of the items that a filter allows, and the counts of all facets."""


class ListFacts:
    """The rows of one media folder as its files have them; only changed files are read again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listing: LibraryListing | None = None
        self._rows: tuple[ListRow, ...] = ()
        self._known: tuple[object, ...] = ()
        self._with_states: tuple[ListRow, ...] = ()
        self._by_id: tuple[object, Mapping[str, ListRow]] = ((), {})
        self._counted: tuple[object, dict[ListFilter, Counted]] = ((), {})

    def with_states(
        self, listing: LibraryListing, states: Mapping[str, str], sent: Mapping[str, str]
    ) -> tuple[ListRow, ...]:
        """Return the rows with the states that the queue and the knowledge bases have by id."""
        rows = self.of(listing)
        with self._lock:
            if self._known and self._known[0] is rows and self._known[1:] == (states, sent):
                return self._with_states
        found = tuple(with_state(row, states, sent) for row in rows)
        with self._lock:
            self._known, self._with_states = (rows, states, sent), found
        return found

    def of(self, listing: LibraryListing) -> tuple[ListRow, ...]:
        """Return the rows of a listing as its files have them."""
        with self._lock:
            if listing is not self._listing:
                known = {id(row.entry): row for row in self._rows}
                many = len(listing.entries) - len(known) >= MANY_ROWS
                with kept() if many else nullcontext():
                    self._rows = tuple(
                        known.get(id(entry)) or row_of(entry) for entry in listing.entries
                    )
                self._listing = listing
            return self._rows

    def by_id(self, rows: tuple[ListRow, ...]) -> Mapping[str, ListRow]:
        """Return rows by id; the same mapping for the same rows."""
        with self._lock:
            if self._by_id[0] is not rows:
                self._by_id = rows, {row.id: row for row in rows}
            return self._by_id[1]

    def counted(self, rows: Mapping[str, ListRow], chosen: ListFilter) -> Counted:
        """Return what a filter allows of rows of `by_id`, counted once for each of them."""
        with self._lock:
            known = self._counted[1] if self._counted[0] is rows else {}
            if chosen in known:
                return known[chosen]
        found = counted(list(rows.values()), chosen)
        kept = list(known.items())[-MOST_FILTERS:]
        with self._lock:
            self._counted = rows, {**dict(kept), chosen: found}
        return found


@cache
def list_facts(_media_folder: Path) -> ListFacts:
    """Return the rows of one media folder, the same object for all of this process."""
    return ListFacts()


def counted(rows: Sequence[ListRow], chosen: ListFilter) -> Counted:
    """Return the ids of the rows that a filter allows, and the counts of all facets."""
    shown, counts = count_facets(rows, chosen)
    return frozenset(row.id for row in shown), counts


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
        counted = (row.facets[name] for row in chain(shown, almost.get(name, ())))
        counter = Counter(chain.from_iterable(counted))  # one call: there may be 10,000 rows
        # A value that is chosen stays on the list, or it could not be given up.
        for value in allowed.get(name, ()):
            counter.setdefault(value, 0)
        best = counter.most_common(MOST_VALUES)
        kept = [pair for pair in counter.items() if pair[0] in allowed.get(name, ())]
        counts[name] = dict([*best, *kept])
    return shown, counts
