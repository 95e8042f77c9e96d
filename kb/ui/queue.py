"""The Queue tab: what runs, what waits, what failed and why; drawn anew each second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial

import streamlit as st

from kb.errors import KBError
from kb.jobs.board import PENDING, BoardFigures, BoardPage, BoardRow
from kb.jobs.client import Jobs, LaneState
from kb.jobs.names import FOR_EVER
from kb.jobs.rows import ACTIVE, STATES
from kb.jobs.shares import share
from kb.jobs.store import FIRST, NORMAL
from kb.service import Service
from kb.ui import session, show, ticks, wording
from kb.ui.runner import keeper, meter
from kb.ui.texts import counted, number, text

PAGE_ROWS = 100
BUSY_EVERY_S, IDLE_EVERY_S = 1, 3
ROWS_SHOWN = 14
DETAILS = 8  # selected items that are shown in full

_TABLE, _SELECTED = "queue_table", "queue_selected"
_FILTER, _FIND, _PAGE = "queue_state", "queue_find", "queue_page"
_NEWS, _PROBLEM, _BUSY = "queue_news", "queue_problem", "queue_busy"
# What the filter offers, by its label; an empty tuple is everything.
_FILTERS: dict[str, tuple[str, ...]] = {
    "queue_all": (),
    "queue_running": ("running",),
    "queue_waiting": PENDING,
    "queue_failed": ("failed",),
    "queue_held": ("held",),
    "state_done": ("done",),
    "state_cancelled": ("cancelled",),
}


def render() -> None:
    """Draw the tab."""
    busy = bool(st.session_state.get(_BUSY, True))
    st.fragment(_board, run_every=BUSY_EVERY_S if busy else IDLE_EVERY_S)()


def _board() -> None:
    if session.redraw_asked():
        st.rerun()
    service = session.service()
    try:
        figures = service.jobs.figures(midnight())
        lanes = service.jobs.lanes()
        working = bool(service.jobs.workers())
    except KBError as error:
        show.error(error)
        return
    _news()
    if not sum(figures.counts.values()):
        st.info(f"{text('queue_empty')} {text('queue_empty_hint')}")
    else:
        _figures(figures, working)
        _lanes(lanes)
        going = sum(figures.counts[state] for state in ACTIVE)
        if going and not working and keeper().view(service).state != "starting":
            show.trouble(text("queue_no_worker"), text("queue_no_worker_hint"), severe=False)
        _rows(service, figures, lanes)
    busy = working and bool(figures.counts["running"] + figures.counts["queued"])
    if busy != st.session_state.get(_BUSY, True):
        st.session_state[_BUSY] = busy
        st.rerun()  # the whole page: this part then renews itself at the other pace


def midnight() -> float:
    """The beginning of today, in seconds since the epoch."""
    return time.mktime(date.today().timetuple())


def _figures(figures: BoardFigures, working: bool) -> None:
    meter().take(figures.read_s)
    speed = meter().speed() if working and figures.counts["running"] else None
    left_s = figures.left_s / speed if speed else None
    told = [text("queue_left_help", sound=show.span(figures.left_s))]
    if left_s is None:
        told = [text("queue_left_unknown")]
    if figures.unmeasured:
        told.append(counted("queue_unmeasured", figures.unmeasured))
    cells = [
        ("queue_running", number(figures.counts["running"]), None),
        ("queue_waiting", number(figures.pending), None),
        ("queue_done", number(figures.done_since), None),
        ("queue_failed", number(figures.counts["failed"]), None),
        ("queue_speed", number(speed, 1) if speed else "–", text("queue_speed_help")),
        ("queue_left", show.span(left_s if figures.left_s else 0), " ".join(told)),
    ]
    with st.container(horizontal=True, key="figures-queue"):
        for label, value, help_text in cells:
            st.metric(text(label), value, help=help_text, border=True, width="content")


def _lanes(lanes: Sequence[LaneState]) -> None:
    for lane in lanes:
        name = _lane_name(lane.name)
        reason = lane.reason.rstrip(".")
        words = (
            text("lane_by_hand", lane=name, reason=reason)
            if lane.until >= FOR_EVER
            else text("lane_until", lane=name, time=show.moment(lane.until), reason=reason)
        )
        with st.container(border=True, key=f"lane-{lane.name}", horizontal=True,
                          vertical_alignment="center"):  # fmt: skip
            st.markdown(f":orange[‖] {show.plain(words)}", width="stretch")
            st.button(
                text("lane_resume"), key=f"lane-resume-{lane.name}",
                on_click=_acting, args=("queue_did_retry", lambda: _jobs().resume()),
            )  # fmt: skip


def _lane_name(name: str) -> str:
    if name == "items":
        return text("lane_items")
    if name.startswith("download"):
        return text("lane_download")
    return text("lane_odin") if "odin" in name else text("lane_other", lane=name)


# The table


def _rows(service: Service, figures: BoardFigures, lanes: Sequence[LaneState]) -> None:
    states, words = _filters(figures)
    try:
        page = service.jobs.board(
            states=states, words=words, offset=_offset(), limit=PAGE_ROWS
        )  # fmt: skip
        if not page.rows and page.total:
            st.session_state[_PAGE] = (page.total - 1) // PAGE_ROWS
            page = service.jobs.board(states=states, words=words, offset=_offset(), limit=PAGE_ROWS)
    except KBError as error:
        show.error(error)
        return
    _actions(page, states, words, figures, lanes)
    if not page.rows:
        st.caption(text("queue_none"))
        return
    _table(page)
    _pager(page)
    _details(service)


def _filters(figures: BoardFigures) -> tuple[tuple[str, ...], str]:
    counts = {
        label: sum(figures.counts[state] for state in states or STATES)
        for label, states in _FILTERS.items()
    }
    with st.container(horizontal=True, vertical_alignment="bottom", key="queue-filters"):
        chosen = st.segmented_control(
            text("queue_filter"),
            list(_FILTERS),
            format_func=lambda label: _filter_label(label, counts[label]),
            default="queue_all",
            required=True,
            key=_FILTER,
            on_change=_turn_to,
            args=(0,),
            label_visibility="collapsed",
            persist_state="session",
        )
        words = st.text_input(
            text("queue_find"), key=_FIND, placeholder=text("queue_find_placeholder"), live=True,
            on_change=_turn_to, args=(0,), persist_state="session", width=260,
            label_visibility="collapsed",
        )  # fmt: skip
    return _FILTERS[chosen or "queue_all"], str(words or "")


def _filter_label(label: str, count: int) -> str:
    if label == "queue_all":
        return text(label, count=number(count))
    return f"{text(label).capitalize()} {number(count)}"


def _actions(
    page: BoardPage,
    states: tuple[str, ...],
    words: str,
    figures: BoardFigures,
    lanes: Sequence[LaneState],
) -> None:
    chosen = selected()
    none = not chosen
    with st.container(horizontal=True, vertical_alignment="center", key="queue-actions"):
        # Without help texts: one stays on the screen when its button is disabled by the click.
        for label, action in _ACTIONS.items():
            st.button(
                text(label), key=label, disabled=none,
                on_click=_acting, args=(f"queue_did_{label.removeprefix('queue_')}", action),
            )  # fmt: skip
        if page.total > max(1, len(chosen)):
            st.button(
                text("queue_select_all", count=number(page.total)), key="queue-select-all",
                type="tertiary", on_click=_select_all, args=(states, words),
            )  # fmt: skip
        if chosen:
            st.markdown(counted("queue_selected", len(chosen)), width="content")
            st.button(
                text("queue_clear"), key="queue-clear", type="tertiary", on_click=_clear
            )  # fmt: skip
        if figures.counts["failed"] and none:
            st.button(
                text("queue_retry_failed"), key="queue-retry-failed", type="tertiary",
                on_click=_acting, args=("queue_did_retry", lambda: _jobs().retry_failed()),
            )  # fmt: skip
        if not any(lane.name == "items" for lane in lanes) and none:
            st.button(
                text("queue_pause_all"), key="queue-pause-all", type="tertiary",
                on_click=_acting, args=("", lambda: _jobs().pause()),
            )  # fmt: skip


def _table(page: BoardPage) -> None:
    ids = [row.id for row in page.rows]
    drawn = ticks.put_back(_TABLE, ids, selected())
    columns = {
        "title": [row.title for row in page.rows],
        "state": [_state(row) for row in page.rows],
        "stage": [stage(row.stage) if row.state == "running" else "" for row in page.rows],
        "progress": [_progress(row) for row in page.rows],
        "length": [show.length(row.duration_s) for row in page.rows],
        "when": [_when(row) for row in page.rows],
        "attempts": [str(row.attempts or "") for row in page.rows],
        "error": [wording.told(row.error) for row in page.rows],
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
    return f"{show.state(row.state)} ({text('queue_priority')})" if ahead else show.state(row.state)


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
        return text("queue_until", time=show.moment(row.wait_until))
    if row.state in PENDING:
        return show.moment(row.enqueued_at)
    return show.moment(row.ended_at or row.updated_at)


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


# What is selected, by id


def selected() -> list[str]:
    """Ids of the selected items, on whatever page they are."""
    return list(st.session_state.get(_SELECTED, []))


def _chosen(drawn: str) -> None:
    if drawn != ticks.key(_TABLE):
        return  # a click in a table that has been drawn anew since
    here = set(ticks.drawn(_TABLE))
    elsewhere = [item_id for item_id in selected() if item_id not in here]
    st.session_state[_SELECTED] = elsewhere + ticks.ticked(_TABLE)


def _select_all(states: tuple[str, ...], words: str) -> None:
    found = _jobs().board(states=states, words=words, limit=1_000_000)
    st.session_state[_SELECTED] = [row.id for row in found.rows]


def _clear() -> None:
    st.session_state[_SELECTED] = []


def _details(service: Service) -> None:
    chosen = selected()
    if not chosen:
        return
    for row in service.jobs.board_rows(chosen[:DETAILS]):
        _detail(row)
    if len(chosen) > DETAILS:
        st.caption(counted("queue_more", len(chosen) - DETAILS))


def _detail(row: BoardRow) -> None:
    with st.container(border=True, key=f"detail-{row.id}", gap="xsmall"):
        facts = [show.colored_state(row.state)]
        if row.state in ("running", "failed") and row.stage:
            facts.append(stage(row.stage))
        if row.attempts:
            facts.append(counted("queue_tries", row.attempts))
        facts.append(f"`{row.id}`")
        st.markdown(f"**{show.plain(row.title)}**  \n{' · '.join(facts)}")
        if row.error:
            show.trouble(row.error, row.hint, severe=row.state == "failed")
        if row.state in ("done", "held"):
            st.button(
                text("queue_open"), key=f"queue-open-{row.id}", type="tertiary",
                on_click=session.open_item, args=(row.id,),
            )  # fmt: skip


# What buttons do


def _jobs() -> Jobs:
    return session.service().jobs


_ACTIONS: dict[str, Callable[[], Sequence[str]]] = {
    "queue_first": lambda: _jobs().prioritise(selected(), FIRST),
    "queue_pause": lambda: _jobs().pause(selected()),
    "queue_retry": lambda: _jobs().retry(selected()),
    "queue_cancel": lambda: _jobs().cancel(selected()),
}


def _acting(news: str, action: Callable[[], Sequence[str]]) -> None:
    """Do it, and keep what it did (or what went wrong) for the drawing that follows."""
    try:
        done = action()
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    if done:
        st.session_state[_NEWS] = counted(news, len(done))
    elif news.removeprefix("queue_did_") in ("first", "pause", "retry", "cancel") and selected():
        st.session_state[_NEWS] = text("queue_did_nothing")


def tell(words: str) -> None:
    """Say something when the board is drawn the next time."""
    st.session_state[_NEWS] = words


def _news() -> None:
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        show.error(problem)
    if told := st.session_state.pop(_NEWS, ""):
        st.toast(told)
