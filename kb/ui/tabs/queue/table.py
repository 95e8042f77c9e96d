"""The table of the Queue tab: filter, rows, selection, pages."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

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
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.widgets import messages, row_selection
from kb.ui.widgets.clock_note import zone_note
from kb.ui.widgets.tables import guarded_table

PAGE_ROWS = 100
ROWS_SHOWN, ROW_PX, HEAD_PX = 14, 35, 38
# Rows in which a sentence has six lines; text wraps in rows above 64 pixels only.
TALL_ROWS_SHOWN, TALL_ROW_PX = 5, 124
# Pixels of the columns.
_WIDTHS = {
    "title": 120, "state": 120, "next": 95, "error": 150, "tries": 145, "when": 95, "length": 65,
    "stage": 85, "progress": 85,
}  # fmt: skip
_WIDTHS_AT_WORK = {"title": 140, "state": 125, "next": 106, "error": 210}
_LOOKS_SHOWN = (*ACTIVE, "failed")  # states of looks that are named above the table

_TABLE, _SELECTED = "queue_table", "queue_selected"


_FILTER, _FIND, _PAGE = "queue_state", "queue_find", "queue_page"


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


def _table(
    page: QueuePage, *, several: bool, at_work: bool, tall: bool, tries: bool = False
) -> None:
    """Draw the rows: what is read first comes first, within the width of a small window.

    `at_work`: with the columns of work under way. `tall`: with lines for a whole sentence. `tries`:
    with the number of tries, the first failure and the last try of the schedule.
    """
    ids = [row.id for row in page.rows]
    table_key = row_selection.restore_selection(_TABLE, ids, selected())
    at_work = at_work and any(row.state in ACTIVE for row in page.rows)
    columns: dict[str, Any] = {"title": [title(row) for row in page.rows]}
    if not tries:
        columns["state"] = [_state(row, several=several) for row in page.rows]
    columns["next"] = [next_try(row) for row in page.rows]
    columns["error"] = [error_messages.translate_stored(row).message for row in page.rows]
    if at_work:
        columns["stage"] = [stage(row.stage) if row.state == "running" else "" for row in page.rows]
        columns["progress"] = [_progress(row) for row in page.rows]
    if tries:
        columns["tries"] = [_tries(row) for row in page.rows]
    else:
        columns["when"] = [messages.format_datetime(since(row)) for row in page.rows]
        lengths = [row.duration_s for row in page.rows]
        columns["length"] = [messages.format_length(each) if each else "" for each in lengths]
    # A column that is empty takes the room of one that is not.
    for name in ("next", "error", "length"):
        if not any(columns.get(name, ())):
            columns.pop(name, None)
    row_px, most = (TALL_ROW_PX, TALL_ROWS_SHOWN) if tall else (ROW_PX, ROWS_SHOWN)
    guarded_table(
        columns,
        key=table_key,
        height=min(len(ids), most) * row_px + HEAD_PX,
        row_height=row_px,
        on_select=partial(_on_select, table_key),
        selection_mode="multi-row",
        column_config=_config(columns, at_work=at_work),
        alt=text("queue_alt"),
    )


def _config(names: Collection[str], *, at_work: bool) -> dict[str, Any]:
    """Return the columns with their widths.

    With work under way, the first four fit into a window of 900 pixels and all of them into one of
    1280; else all of them fit into 900.
    """
    column = st.column_config
    widths = _WIDTHS | (_WIDTHS_AT_WORK if at_work else {})
    if "tries" in names:  # without the state, which all have
        widths["error"] = 220
    found: dict[str, Any] = {
        name: column.TextColumn(
            text("queue_column_since" if name == "when" else f"queue_column_{name}"),
            width=widths[name],
        )
        for name in names
    }
    if "progress" in found:
        found["progress"] = column.ProgressColumn(
            text("queue_column_progress"), format="percent", min_value=0.0, max_value=1.0,
            width=widths["progress"],
        )  # fmt: skip
    return found


def _tries(row: QueueRow) -> str:
    """Return number, last, first and coming last try of a row that failed."""
    said = [plural_text("queue_tries", row.attempts)]
    if (at := since(row)) is not None:
        said.append(text("queue_tried", time=messages.format_datetime(at)))
    return " · ".join([*said, *first_and_last_try(row)])


def _state(row: QueueRow, *, several: bool) -> str:
    if several and row.machine:
        return text("queue_on", state=messages.state(row.state), machine=row.machine)
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


def _progress(row: QueueRow) -> float | None:
    if row.state not in ("running", "done", "held") or row.source == LISTING:
        return None  # the length of a listing is not known
    # Whole hundredths: all progress bars have the same length.
    return round(row.share, 2)


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


def _pager(page: QueuePage) -> None:
    if page.total <= PAGE_ROWS:
        st.caption(f"{text('queue_help')} {zone_note()}")
        return
    first = _offset() + 1
    last = min(page.total, first + len(page.rows) - 1)
    with st.container(horizontal=True, vertical_alignment="center", key="queue-pager"):
        st.button(
            "‹", key="queue-before", help=text("queue_before"), disabled=first == 1,
            on_click=_go_to_page, args=(_page() - 1,),
        )  # fmt: skip
        st.markdown(
            text(
                "queue_page",
                first=format_number(first),
                last=format_number(last),
                count=format_number(page.total),
            ),
            width="content",
        )
        st.button(
            "›", key="queue-after", help=text("queue_after"), disabled=last >= page.total,
            on_click=_go_to_page, args=(_page() + 1,),
        )  # fmt: skip
        st.caption(f"{text('queue_help')} {zone_note()}", width="content")


def _page() -> int:
    return int(st.session_state.get(_PAGE, 0))


def _offset() -> int:
    return _page() * PAGE_ROWS


def _go_to_page(page: int) -> None:
    st.session_state[_PAGE] = max(0, page)


def selected() -> list[str]:
    """Return the ids of the selected items on all pages."""
    return list(st.session_state.get(_SELECTED, []))


def _on_select(table_key: str) -> None:
    if table_key != row_selection.key(_TABLE):
        return  # a click in a table that has been redrawn meanwhile
    visible = set(row_selection.row_ids(_TABLE))
    on_other_pages = [item_id for item_id in selected() if item_id not in visible]
    st.session_state[_SELECTED] = on_other_pages + row_selection.selected_ids(_TABLE)


def _select_all(states: tuple[str, ...], words: str, listings: bool) -> None:
    found = _jobs().page(states=states, words=words, listings=listings, limit=1_000_000)
    st.session_state[_SELECTED] = [row.id for row in found.rows]


def _clear_selection() -> None:
    st.session_state[_SELECTED] = []


def _jobs() -> JobQueue:
    return session.service().queue
