"""The table of items that `kb status` prints, and what `--watch` shows of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.live import Live
from rich.text import Text

from kb.cli.output.columns import Column, Columns
from kb.cli.output.console import STATE_STYLES, out
from kb.cli.output.items import expected_share, fetch_notes, status_head
from kb.cli.output.times import format_moment
from kb.service import ItemStatus, Service
from kb.service.results import Publication
from kb.types.safe_text import shown

LOOK_S = 1.0  # between two looks of `kb status --watch`
MOST_WATCHED = 500  # items of a look whose changes are printed, the newest and all that run

_QUIET_AT_FIRST = ("queued", "done", "cancelled", "dismissed")

# An id is to be copied: it has its whole width, and the title is shortened for it.
_COLUMNS = (
    Column("id"),
    Column("title", shrinks=True),
    Column("stage"),
    Column("state", shrinks=True),
    Column("done", right=True),
    Column("grade"),
    Column("errors", right=True),
    Column("published"),
)


def print_status(service: Service, items: Sequence[ItemStatus]) -> None:
    """Print totals, the reasons of paused lanes, and one line for each item."""
    for line in status_head(service):
        out.print(line)
    items_table(items, several=service.queue.has_several_machines()).print()
    for line in fetch_notes(service):
        out.print(line)


def items_table(items: Sequence[ItemStatus], *, several: bool) -> Columns:
    """Return the table; with `several` machines it names that of each item."""
    return Columns(_COLUMNS, [_row(item, several=several) for item in items])


def _row(item: ItemStatus, *, several: bool) -> tuple[str | Text, ...]:
    style = STATE_STYLES.get(item.state, "")
    return (
        item.id,
        item.title,
        item.stage,
        Text(_state(item, several=several), style=style),
        f"{item.share:.0%}",
        item.grade,
        expected_share(item.expected_errors),
        _published(item.publications),
    )


def _state(item: ItemStatus, *, several: bool) -> str:
    label = item.state
    if item.machine and several:
        label += f" on {item.machine}"
    if item.state == "waiting" and item.wait_until:
        label += f" until {format_moment(item.wait_until)}"
    elif item.state == "failed" and item.wait_until:
        label += f", next try {format_moment(item.wait_until)}"
    return label


def _published(publications: Sequence[Publication]) -> str | Text:
    """Return the knowledge bases of an item, with its state there: `local, odin waiting`.

    The state is omitted if the item is published.
    """
    if not publications:
        return ""
    text = Text()
    for publication in publications:
        text.append(", " if text else "")
        text.append(publication.sink, style=STATE_STYLES.get(publication.status, ""))
        if publication.status != "synced":
            text.append(f" {publication.status}", style=STATE_STYLES.get(publication.status, ""))
        if publication.changed and publication.status != "changed":
            text.append(" (changed)", style="yellow")
    return text


def watch(service: Service, state: str | None, limit: int | None) -> None:
    """Show the status until the command is stopped: the table of a terminal, else its changes."""
    if not out.is_terminal:
        for line in _changes(service, state, limit or MOST_WATCHED):
            out.file.write(line + "\n")
            sys.stdout.flush()
        return
    with Live(console=out, auto_refresh=False) as live:
        while True:
            live.update(_view(service, state, limit or 20), refresh=True)
            time.sleep(LOOK_S)


def _view(service: Service, state: str | None, limit: int) -> Group:
    items = service.items.statuses(state=state, limit=limit)
    table = items_table(items, several=service.queue.has_several_machines())
    return Group(*status_head(service), *table.texts(out.width), *fetch_notes(service))


def _changes(service: Service, state: str | None, limit: int) -> Iterator[str]:
    """Yield the totals, then a line for each item whose state or stage is new, without end.

    The first look names what runs, waits or has failed. An item that leaves `state` is named with
    the state that it has then.
    """
    seen: dict[str, tuple[str, str]] = {}
    totals = ""
    is_first = True
    while True:
        items = {
            item.id: item
            for item in (
                *service.items.statuses(state=state, limit=limit, publications=False),
                # What runs may be older than the newest.
                *(() if state else service.items.statuses(state="running", publications=False)),
            )
        }
        left = [
            item_id
            for item_id, (was, _) in seen.items()
            if item_id not in items and was in ("running", state)
        ]
        if left:
            ended = service.items.statuses(ids=left, publications=False)
            items |= {item.id: item for item in ended}
        for item in items.values():
            quiet = is_first and state is None and item.state in _QUIET_AT_FIRST
            if seen.get(item.id) != (item.state, item.stage) and not quiet:
                yield _change(item)
            seen[item.id] = (item.state, item.stage)
        is_first = False
        counts = service.queue.counts()
        now = "  ".join(f"{n} {name}" for name, n in counts.items() if n) or "no items"
        if now != totals:
            yield f"{_clock()}  {now}"
        totals = now
        time.sleep(LOOK_S)


def _change(item: ItemStatus) -> str:
    words = [_clock(), item.id, _state(item, several=False)]
    if item.state == "running":
        words.append(item.stage)
    words.append(f"{item.title}: {item.error}" if item.error else item.title)
    return shown("  ".join(words).replace("\n", " "))


def _clock() -> str:
    return time.strftime("%H:%M:%S")
