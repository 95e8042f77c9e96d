"""The table of the Queue tab: filter, rows, selection, pages."""

from __future__ import annotations

from functools import partial

import streamlit as st

from kb.service.views import PENDING, JobQueue, QueuePage, QueueRow
from kb.types.clock import known_time
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, text
from kb.ui.widgets import messages, row_selection
from kb.ui.widgets.tables import guarded_table

PAGE_ROWS = 100


ROWS_SHOWN = 14


_TABLE, _SELECTED = "queue_table", "queue_selected"


_FILTER, _FIND, _PAGE = "queue_state", "queue_find", "queue_page"


def _table(page: QueuePage, *, several: bool) -> None:
    ids = [row.id for row in page.rows]
    table_key = row_selection.restore_selection(_TABLE, ids, selected())
    columns = {
        "title": [row.title for row in page.rows],
        "state": [_state(row, several=several) for row in page.rows],
        "stage": [stage(row.stage) if row.state == "running" else "" for row in page.rows],
        "progress": [_progress(row) for row in page.rows],
        "length": [messages.format_length(row.duration_s) for row in page.rows],
        "when": [_when(row) for row in page.rows],
        "attempts": [str(row.attempts or "") for row in page.rows],
        "error": [error_messages.translate_stored(row).message for row in page.rows],
    }
    column = st.column_config
    guarded_table(
        columns,
        key=table_key,
        height=min(len(ids), ROWS_SHOWN) * 35 + 38,
        on_select=partial(_on_select, table_key),
        selection_mode="multi-row",
        column_config={
            "title": column.TextColumn(text("queue_column_title"), width="medium"),
            "state": column.TextColumn(text("queue_column_state"), width="small"),
            "stage": column.TextColumn(text("queue_column_stage"), width="small"),
            "progress": column.ProgressColumn(
                text("queue_column_progress"), format="percent", min_value=0.0, max_value=1.0,
                width="small",
            ),
            "length": column.TextColumn(text("queue_column_length"), width=70),
            "when": column.TextColumn(text("queue_column_when"), width=150),
            "attempts": column.TextColumn(text("queue_column_attempts"), width=70),
            "error": column.TextColumn(text("queue_column_error")),
        },
        alt=text("queue_alt"),
    )  # fmt: skip


def _state(row: QueueRow, *, several: bool) -> str:
    if several and row.machine:
        return text("queue_on", state=messages.state(row.state), machine=row.machine)
    return (
        f"{messages.state(row.state)} ({text('queue_priority')})"
        if row.is_ahead
        else messages.state(row.state)
    )


def stage(name: str) -> str:
    """Return a stage's name for display."""
    return text(f"stage_{name}")


def _progress(row: QueueRow) -> float | None:
    if row.state not in ("running", "done", "held"):
        return None
    # Whole hundredths: all progress bars have the same length.
    return round(row.share, 2)


def _when(row: QueueRow) -> str:
    if row.state == "waiting" and row.wait_until is not None:
        return text("queue_until", time=messages.format_datetime(row.wait_until))
    if row.state == "failed" and row.wait_until is not None:
        return text("queue_next_try", time=messages.format_datetime(row.wait_until))
    if row.state in PENDING:
        return messages.format_datetime(row.enqueued_at)
    return messages.format_datetime(known_time(row.ended_at or row.updated_at))


def _pager(page: QueuePage) -> None:
    if page.total <= PAGE_ROWS:
        st.caption(text("queue_help"))
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
        st.caption(text("queue_help"), width="content")


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


def _select_all(states: tuple[str, ...], words: str) -> None:
    found = _jobs().page(states=states, words=words, limit=1_000_000)
    st.session_state[_SELECTED] = [row.id for row in found.rows]


def _clear_selection() -> None:
    st.session_state[_SELECTED] = []


def _jobs() -> JobQueue:
    return session.service().queue
