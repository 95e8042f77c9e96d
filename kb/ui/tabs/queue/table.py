"""The list of the items: what is shown of each, and what is selected."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from kb.service.views import (
    ACTIVE,
    LISTING,
    PENDING,
    JobQueue,
    QueueFigures,
    QueuePage,
    QueueRow,
    end_of_tries,
)
from kb.types.clock import known_time
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.tabs.queue import acts
from kb.ui.widgets import messages
from kb.ui.widgets.rows import Cell, Column, Row, RowList, Tone

PAGE_ROWS = 100  # of a window
TONES: dict[str, Tone] = {
    "failed": "bad", "held": "warn", "running": "live", "done": "good", "turn": "quiet",
    "cancelled": "quiet", "dismissed": "quiet",
}  # fmt: skip
_LOOKS_SHOWN = (*ACTIVE, "failed")  # states of looks that are named above the table

_FILTER, _FIND = "queue_state", "queue_find"


def going(figures: QueueFigures) -> int:
    """Return the number of items, looks and listings that have not ended."""
    return sum(figures.counts[state] + figures.listings[state] for state in ACTIVE)


def show_looks(figures: QueueFigures) -> None:
    """Name the looks and other listings that have not ended, or have failed."""
    parts = [
        f"{format_number(figures.listings[state])} {messages.colored_state(state)}"
        for state in _LOOKS_SHOWN
        if figures.listings[state]
    ]
    if parts:
        st.markdown(f":small[{text('queue_looks_now', states=' · '.join(parts))}]")


def _table(page: QueuePage, *, several: bool, act: Callable[[str, list[str]], None]) -> None:
    """Draw the rows; with `several` workers each running item names its own.

    `act` is called with the name of an action and ids (`kb.ui.tabs.queue.acts`).
    """
    rows = [_row(row, several=several) for row in page.rows]
    rows_list().draw(
        _columns(page), rows, page.total, label=text("queue_alt"), menu=acts.labels(), on_act=act
    )


def rows_list() -> RowList:
    """Return the list of the items, with what is selected in it."""
    return RowList("queue", PAGE_ROWS)


def _columns(page: QueuePage) -> list[Column]:
    found = [
        Column("title", text("queue_column_title"), "minmax(9rem, 3fr)"),
        Column("channel", text("queue_column_channel"), "minmax(6rem, 1.4fr)", minor=True),
        Column("state", text("queue_column_state"), "minmax(8rem, 1.2fr)"),
    ]
    if any(row.error or next_try(row) for row in page.rows):
        found.append(Column("note", text("queue_column_note"), "minmax(8rem, 2.4fr)"))
    if any(row.state == "running" for row in page.rows):
        found.append(Column("progress", text("queue_column_progress"), "8rem"))
    found.append(Column("when", text("queue_column_since"), "6.5rem", minor=True))
    found.append(Column("length", text("queue_column_length"), "4.5rem", end=True))
    return found


def _row(row: QueueRow, *, several: bool) -> Row:
    tone = TONES.get("turn" if row.waits_its_turn else row.state, "")
    cells: dict[str, str | Cell] = {
        "title": title(row),
        "channel": row.channel or (text("queue_local") if row.source == "file" else row.source),
        "state": Cell(
            _state(row, several=several), tone,
            note=text("state_turn_help") if row.waits_its_turn else "",
        ),
        "note": _note(row),
        "when": messages.format_datetime(since(row)),
        "length": messages.format_length(row.duration_s) if row.duration_s else "",
    }  # fmt: skip
    if row.state == "running" and row.source != LISTING:
        share = round(row.share, 2)
        done = text("queue_percent", share=format_number(100 * share))
        cells["progress"] = Cell(done, share=share)
    return Row(row.id, cells, tone, menu=("details", *acts.fitting({row.state}), *_opens(row)))


def _opens(row: QueueRow) -> tuple[str, ...]:
    return ("library",) if row.state in ("done", "held") else ()


def _note(row: QueueRow) -> Cell:
    """Return what is wrong and when it is tried again."""
    message = error_messages.translate_stored(row).message
    time = next_try(row) if row.wait_until is not None else ""
    again = text("queue_next_try", time=time) if time and message else time
    tone: Tone = "bad" if row.state == "failed" else "warn" if row.state == "held" else "quiet"
    return Cell(" · ".join(filter(None, (message, again))), tone)


def _state(row: QueueRow, *, several: bool) -> str:
    if row.waits_its_turn:
        return f"{messages.STATE_SIGNS['waiting']} {text('state_turn')}"
    if several and row.machine:
        return text("queue_on", state=messages.state(row.state), machine=row.machine)
    if row.state == "running" and row.stage:
        return f"{messages.STATE_SIGNS['running']} {stage(row.stage)}"
    return (
        f"{messages.state(row.state)} ({text('queue_priority')})"
        if row.is_ahead
        else messages.state(row.state)
    )


def title(row: QueueRow) -> str:
    """Return the title of a row; that of a listing in the page's language."""
    return text("queue_listing", source=row.reference) if row.source == LISTING else row.title


def stage(name: str) -> str:
    """Return a stage's name for display."""
    return text(f"stage_{name}")


def next_try(row: QueueRow) -> str:
    """Return the time at which an item is tried again by itself; a dash if it failed for good."""
    if row.state == "failed" or (row.state == "waiting" and row.wait_until is not None):
        return messages.format_datetime(row.wait_until)
    return ""


def first_and_last_try(row: QueueRow) -> list[str]:
    """Return the times of the first failure and of the last try, as far as there are any."""
    began = known_time(row.failing_since)
    if row.state != "failed" or began is None:
        return []
    said = [text("queue_first_failure", time=messages.format_datetime(began))]
    until = end_of_tries(began, row.wait_until, session.service().settings.retry_days)
    if until is not None:
        said.append(text("queue_last_try", time=messages.format_datetime(until)))
    return said


def since(row: QueueRow) -> float | None:
    """Return the time since which a row has its state; None if it is unknown."""
    known = row.enqueued_at if row.state in PENDING else row.ended_at or row.updated_at
    return known_time(known)


def _offset() -> int:
    return rows_list().offset


def _to_top() -> None:
    rows_list().to_top()


def selected() -> list[str]:
    """Return the ids of the selected items, those out of view included."""
    return rows_list().selected


def select_all(states: tuple[str, ...], words: str, listings: bool, run: str) -> None:
    """Select all items of a filter, those out of view included. For callbacks."""
    found = jobs().page(states=states, words=words, listings=listings, run=run, limit=1_000_000)
    rows_list().select(row.id for row in found.rows)


def clear_selection() -> None:
    """Select nothing. For callbacks."""
    rows_list().select(())


def jobs() -> JobQueue:
    """Return the queue of this visitor's library."""
    return session.service().queue
