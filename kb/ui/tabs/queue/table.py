"""The table of the Queue tab: filter, rows, selection, pages."""

from __future__ import annotations

from functools import partial

import streamlit as st

from kb.jobs.queue.client import Jobs
from kb.jobs.queue.items import NORMAL
from kb.jobs.queue.progress import share
from kb.jobs.queue.views import PENDING, BoardPage, BoardRow
from kb.ui import session
from kb.ui.i18n import error_messages, number, text
from kb.ui.widgets import messages, row_selection

PAGE_ROWS = 100


ROWS_SHOWN = 14


_TABLE, _SELECTED = "queue_table", "queue_selected"


_FILTER, _FIND, _PAGE = "queue_state", "queue_find", "queue_page"


def _table(page: BoardPage) -> None:
    ids = [row.id for row in page.rows]
    drawn = row_selection.put_back(_TABLE, ids, selected())
    columns = {
        "title": [row.title for row in page.rows],
        "state": [_state(row) for row in page.rows],
        "stage": [stage(row.stage) if row.state == "running" else "" for row in page.rows],
        "progress": [_progress(row) for row in page.rows],
        "length": [messages.length(row.duration_s) for row in page.rows],
        "when": [_when(row) for row in page.rows],
        "attempts": [str(row.attempts or "") for row in page.rows],
        "error": [error_messages.told(row.error) for row in page.rows],
    }
    column = st.column_config
    st.dataframe(
        columns,
        hide_index=True,
        key=drawn,
        height=min(len(ids), ROWS_SHOWN) * 35 + 38,
        on_select=partial(_chosen, drawn),
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
            "when": column.TextColumn(text("queue_column_when"), width="small"),
            "attempts": column.TextColumn(text("queue_column_attempts"), width=70),
            "error": column.TextColumn(text("queue_column_error")),
        },
        alt=text("queue_alt"),
    )  # fmt: skip


def _state(row: BoardRow) -> str:
    ahead = row.priority < NORMAL and row.state in PENDING
    return (
        f"{messages.state(row.state)} ({text('queue_priority')})"
        if ahead
        else messages.state(row.state)
    )


def stage(name: str) -> str:
    """A stage as people call it."""
    return text(f"stage_{name}")


def _progress(row: BoardRow) -> float | None:
    if row.state not in ("running", "done", "held"):
        return None
    # Whole hundredths: the bars keep one length below each other.
    return round(share(row.id, row.state, row.stage, row.progress), 2)


def _when(row: BoardRow) -> str:
    if row.state == "waiting" and row.wait_until is not None:
        return text("queue_until", time=messages.moment(row.wait_until))
    if row.state in PENDING:
        return messages.moment(row.enqueued_at)
    return messages.moment(row.ended_at or row.updated_at)


def _pager(page: BoardPage) -> None:
    if page.total <= PAGE_ROWS:
        st.caption(text("queue_help"))
        return
    first = _offset() + 1
    last = min(page.total, first + len(page.rows) - 1)
    with st.container(horizontal=True, vertical_alignment="center", key="queue-pager"):
        st.button(
            "‹", key="queue-before", help=text("queue_before"), disabled=first == 1,
            on_click=_turn_to, args=(_page() - 1,),
        )  # fmt: skip
        st.markdown(
            text("queue_page", first=number(first), last=number(last), count=number(page.total)),
            width="content",
        )
        st.button(
            "›", key="queue-after", help=text("queue_after"), disabled=last >= page.total,
            on_click=_turn_to, args=(_page() + 1,),
        )  # fmt: skip
        st.caption(text("queue_help"), width="content")


def _page() -> int:
    return int(st.session_state.get(_PAGE, 0))


def _offset() -> int:
    return _page() * PAGE_ROWS


def _turn_to(page: int) -> None:
    st.session_state[_PAGE] = max(0, page)


def selected() -> list[str]:
    """Ids of the selected items, on whatever page they are."""
    return list(st.session_state.get(_SELECTED, []))


def _chosen(drawn: str) -> None:
    if drawn != row_selection.key(_TABLE):
        return  # a click in a table that has been drawn anew since
    here = set(row_selection.drawn(_TABLE))
    elsewhere = [item_id for item_id in selected() if item_id not in here]
    st.session_state[_SELECTED] = elsewhere + row_selection.ticked(_TABLE)


def _select_all(states: tuple[str, ...], words: str) -> None:
    found = _jobs().board(states=states, words=words, limit=1_000_000)
    st.session_state[_SELECTED] = [row.id for row in found.rows]


def _clear() -> None:
    st.session_state[_SELECTED] = []


def _jobs() -> Jobs:
    return session.service().jobs
