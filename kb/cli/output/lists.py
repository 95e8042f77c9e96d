"""Output of lists: items of the library, saved searches, and what they have found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kb.cli.output import console
from kb.cli.output.columns import Column, Columns
from kb.service.notation import format_length, format_timestamp
from kb.types.sentences import counted

if TYPE_CHECKING:
    from kb.service.catalogue import ListPage, ListRow
    from kb.service.saved_searches import NewHits, SearchView

_ITEMS = (
    Column("id", shrinks=True),
    Column("date"),
    Column("title", shrinks=True),
    Column("channel", shrinks=True),
    Column("length", right=True),
    Column("grade"),
    Column("state"),
    Column("tags", shrinks=True),
)
_SEARCHES = (
    Column("name", shrinks=True),
    Column("words", shrinks=True),
    Column("filters", shrinks=True),
    Column("alerts"),
    Column("new", right=True),
)
_HITS = (
    Column("search", shrinks=True),
    Column("item", shrinks=True),
    Column("title", shrinks=True),
    Column("channel", shrinks=True),
    Column("passages", right=True),
    Column("first at", right=True),
)


VALUES = "Values to filter by: kb list --facets"


def print_items(page: ListPage, rows: Sequence[ListRow]) -> None:
    """Print items of a list, and how many there are in all."""
    if rows:
        Columns(_ITEMS, [_item(row) for row in rows]).print()
    hours = page.seconds / 3600
    words = f"{counted(page.total, 'item')}, {hours:.1f} h, {counted(page.counted_words, 'word')}."
    if len(rows) < page.total:
        words += " More: --limit N; all as a document: --json"
    console.print_note(words)


def _item(row: ListRow) -> tuple[str, ...]:
    item, entry = row.entry.item, row.entry
    length = "" if entry.duration_s is None else format_length(entry.duration_s)
    tags = ", ".join(entry.user_tags)
    return (
        item.id, item.published, item.title, item.channel, length, entry.grade, row.state, tags,
    )  # fmt: skip


def print_searches(found: Sequence[SearchView]) -> None:
    """Print saved searches with the number of their alerts that are unseen."""
    if not found:
        console.print_note('No search is saved. Save one with: kb searches add NAME "WORDS"')
        return
    Columns(_SEARCHES, [_search(each) for each in found]).print()
    if any(each.unseen for each in found):
        console.print_note("What is new: kb searches new")


def _search(view: SearchView) -> tuple[str, ...]:
    search = view.search
    filters = ", ".join(
        f"{name} {' or '.join(value) if isinstance(value, list) else value}"
        for name, value in search.filters.as_dict().items()
    )
    new = "" if search.alerts == "off" and not view.unseen else str(view.unseen)
    return (search.name, search.query, filters, search.alerts, new)


def print_new_hits(found: Sequence[NewHits]) -> None:
    """Print new items with the words of saved searches."""
    if not found:
        console.print_note("Nothing new has the words of a saved search.")
        return
    rows = [
        (each.search.name, each.alert.item_id, each.title, each.channel, str(each.alert.hits),
         format_timestamp(each.alert.at_s))
        for each in found
    ]  # fmt: skip
    Columns(_HITS, rows).print()
