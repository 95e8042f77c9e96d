"""The Activity tab: runs as cards, and their items with actions; redrawn each second."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

import streamlit as st

from kb.errors import KBError, restored
from kb.service import STATES, Service
from kb.service.throughput_meter import throughput_meter
from kb.service.views import (
    ACTIVE,
    PENDING,
    TURN,
    LaneState,
    QueueFigures,
    QueuePage,
    QueueRow,
    Run,
)
from kb.service.worker_supervisor import worker_supervisor
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.tabs.queue import run_cards
from kb.ui.tabs.queue.needs_note import show_needs
from kb.ui.tabs.queue.products_note import show_products
from kb.ui.tabs.queue.table import (
    _FILTER,
    _FIND,
    PAGE_ROWS,
    _offset,
    _table,
    _to_top,
    first_and_last_try,
    going,
    jobs,
    next_try,
    selected,
    show_looks,
    since,
    stage,
    title,
)
from kb.ui.tabs.queue.toolbar import (
    DETAILS_PART,
    on_act,
    run_action,
    show_actions,
    show_flash,
    show_undo,
)
from kb.ui.tabs.queue.toolbar import flash as flash
from kb.ui.widgets import into_view, messages
from kb.ui.widgets.clock_note import show_clock, zone_note
from kb.ui.widgets.fetches import show_fetches, show_unneeded

BUSY_EVERY_S, IDLE_EVERY_S = 1, 3
DETAILS = 8  # selected items that are shown with all details

_BUSY = "queue_busy"
# States of each choice of the filter, by its label; an empty tuple means all states.
_FILTERS: dict[str, tuple[str, ...]] = {
    "queue_all": (),
    "queue_running": ("running",),
    "queue_waiting": (*PENDING, TURN),
    "queue_failed": ("failed",),
    "queue_held": ("held",),
    "state_done": ("done",),
    "state_cancelled": ("cancelled",),
    "state_dismissed": ("dismissed",),
    "queue_looks": (),  # looks and other listings, which are no items
}


def render() -> None:
    """Draw the tab."""
    busy = bool(st.session_state.get(_BUSY, True))
    st.fragment(_board, run_every=BUSY_EVERY_S if busy else IDLE_EVERY_S)()


def _board() -> None:
    if session.redraw_requested():
        st.rerun()
    service = session.service()
    try:
        figures = service.queue.figures(midnight())
        lanes = service.queue.lanes()
        runs = service.queue.list_runs()
        workers = service.queue.workers()
        several = service.queue.has_several_machines()
        needs = service.unmet_needs()
        fetches = service.models.fetches()
        unneeded = service.models.unneeded(fetches)
    except KBError as error:
        messages.error(error)
        return
    working = bool(workers)
    show_flash()
    show_clock(service)
    show_fetches([state for state in fetches if state.name not in unneeded])
    if not sum(figures.counts.values()) + sum(figures.listings.values()):
        st.info(f"{text('queue_empty')} {text('queue_empty_hint')}")
    else:
        paused = any(lane.holds_items for lane in lanes)
        run_cards.show_runs(service, runs, working=working, paused=paused, act=run_action)
        if not runs:  # a queue of an earlier version
            _figures(figures, working)
        _lanes(lanes)
        show_needs(needs)
        if going(figures) and not working and worker_supervisor().view(service).state != "starting":
            messages.show_error(text("queue_no_worker"), text("queue_no_worker_hint"), severe=False)
        show_undo()
        _rows(service, figures, lanes, runs, several=several)
        try:
            show_products(service)
        except KBError as error:
            messages.error(error)
    show_unneeded([state for state in fetches if state.name in unneeded])
    both = (figures.counts, figures.listings)
    busy = working and any(each["running"] + each["queued"] for each in both)
    if busy != st.session_state.get(_BUSY, True):
        st.session_state[_BUSY] = busy
        st.rerun()  # the whole page: this fragment then updates at the other interval


def midnight() -> float:
    """Return the beginning of today, in seconds since the epoch."""
    return time.mktime(date.today().timetuple())


def _figures(figures: QueueFigures, working: bool) -> None:
    throughput_meter().record(figures.transcribed_s)
    speed = throughput_meter().speed() if working and figures.counts["running"] else None
    left_s = figures.remaining_s / speed if speed and figures.remaining_s else None
    help_parts = [text("queue_left_help", sound=messages.format_timedelta(figures.remaining_s))]
    if left_s is None:
        is_idle = not any(figures.counts[state] for state in ACTIVE)
        help_parts = [text("queue_left_idle" if is_idle else "queue_left_unknown")]
    if figures.unmeasured:
        help_parts.append(plural_text("queue_unmeasured", figures.unmeasured))
    cells = [
        ("queue_running", format_number(figures.counts["running"]), None),
        ("queue_waiting", format_number(figures.pending), None),
        ("queue_done", format_number(figures.done_since), None),
        ("queue_failed", format_number(figures.counts["failed"]), None),
        ("queue_speed", f"{format_number(speed, 1)}×" if speed else "–", text("queue_speed_help")),
        (
            "queue_left",
            messages.format_timedelta(left_s),
            " ".join(help_parts),
        ),
    ]
    with st.container(horizontal=True, key="figures-queue"):
        for label, value, help_text in cells:
            st.metric(text(label), value, help=help_text, border=True, width="content")


def _lanes(lanes: Sequence[LaneState]) -> None:
    for lane in lanes:
        name = _lane_name(lane)
        paused = restored(lane.reason, problem=lane.problem)
        reason = error_messages.translate_error(paused).message.rstrip(".")
        words = (
            text("lane_by_hand", lane=name, reason=reason)
            if lane.paused_by_hand
            else text(
                "lane_until", lane=name, time=messages.format_datetime(lane.until), reason=reason
            )
        )
        with st.container(border=True, key=f"lane-{lane.name}", horizontal=True,
                          vertical_alignment="center"):  # fmt: skip
            st.markdown(f":orange[‖] {messages.escape_markdown(words)}", width="stretch")
            st.button(
                text("lane_resume"), key=f"lane-resume-{lane.name}",
                on_click=run_action, args=("lane_did_resume", _resume_all),
            )  # fmt: skip


def _resume_all() -> Sequence[str]:
    jobs().resume()
    return ()  # the lanes are open, whether an item waited or not


def _lane_name(lane: LaneState) -> str:
    name = lane.name
    if lane.machine:
        return text("lane_machine", machine=lane.machine)
    if name == "items":
        return text("lane_items")
    if name.startswith("download"):
        return text("lane_download")
    return text("lane_odin") if "odin" in name else text("lane_other", lane=name)


# Items


def _rows(service: Service, figures: QueueFigures, lanes: Sequence[LaneState], runs: Sequence[Run],
          *, several: bool) -> None:  # fmt: skip
    """Draw the items; with `several` workers each running item names its own."""
    _show_filter_of_run(runs)
    states, words, listings = _filters(figures)
    shown = (states, words, listings, run_cards.shown_run())

    def read() -> QueuePage:
        return service.queue.page(
            states=states, words=words, listings=listings, run=shown[3], offset=_offset(),
            limit=PAGE_ROWS,
        )  # fmt: skip

    try:
        page = read()
        if not page.rows and page.total:
            _to_top()
            page = read()
    except KBError as error:
        messages.error(error)
        return
    show_looks(figures)
    show_actions(service, page, shown, figures, lanes)
    if not page.rows:
        st.caption(text("queue_none"))
        return
    _table(page, several=several, act=on_act)
    st.caption(f"{text('queue_help')} {zone_note()}")
    _details(service)


def _show_filter_of_run(runs: Sequence[Run]) -> None:
    """Say that the items of one run are listed, with a button for all."""
    chosen = run_cards.shown_run()
    if not chosen:
        return
    name = next((run_cards.run_name(run) for run in runs if run.id == chosen), "")
    with st.container(horizontal=True, vertical_alignment="center", key="queue-of-run"):
        words = messages.escape_markdown(text("run_showing", name=name))
        st.markdown(words, width="content")
        st.button(
            text("run_show_all"), key="run-show-all", type="tertiary",
            on_click=run_cards.show_only, args=("",),
        )  # fmt: skip


def _filters(figures: QueueFigures) -> tuple[tuple[str, ...], str, bool]:
    """Return the chosen states, the words, and if looks and other listings are shown."""
    turn = figures.waiting_turn
    number = {**figures.counts, "running": figures.counts["running"] - turn, TURN: turn}
    counts = {
        label: sum(number[state] for state in states or (*STATES, TURN))
        for label, states in _FILTERS.items()
    } | {"queue_looks": sum(figures.listings.values())}
    with st.container(horizontal=True, vertical_alignment="bottom", key="queue-filters"):
        chosen = st.segmented_control(
            text("queue_filter"),
            list(_FILTERS),
            format_func=lambda label: _filter_label(label, counts[label]),
            default="queue_all",
            required=True,
            key=_FILTER,
            on_change=_to_top,
            label_visibility="collapsed",
            persist_state="session",
        )
        words = st.text_input(
            text("queue_find"), key=_FIND, placeholder=text("queue_find_placeholder"), live=True,
            on_change=_to_top, persist_state="session", width=260,
            label_visibility="collapsed",
        )  # fmt: skip
    return _FILTERS[chosen or "queue_all"], str(words or ""), chosen == "queue_looks"


def _filter_label(label: str, count: int) -> str:
    if label == "queue_all":
        return text(label, count=format_number(count))
    return f"{text(label).capitalize()} {format_number(count)}"


# Selected items, by id


def _details(service: Service) -> None:
    chosen = selected()
    if not chosen:
        return
    with st.container(key=DETAILS_PART):
        for row in service.queue.page_rows(chosen[:DETAILS]):
            _detail(row)
        if len(chosen) > DETAILS:
            st.caption(plural_text("queue_more", len(chosen) - DETAILS))
    into_view.into_view(DETAILS_PART)


def _detail(row: QueueRow) -> None:
    with st.container(border=True, key=f"detail-{row.id}", gap="xsmall"):
        facts = [messages.colored_state(row.state)]
        if row.machine:
            facts.append(messages.escape_markdown(row.machine))
        if row.state in ("running", "failed") and row.stage:
            facts.append(stage(row.stage))
        if row.attempts:
            facts.append(plural_text("queue_tries", row.attempts))
        if row.wait_until is not None and (at := next_try(row)):
            facts.append(text("queue_next_try", time=at))
        elif row.state == "failed":
            facts.append(text("queue_no_next_try"))
        facts += first_and_last_try(row)
        if (moment := since(row)) is not None:
            facts.append(text("queue_since", time=messages.format_datetime(moment)))
        if row.duration_s is not None:
            facts.append(messages.format_length(row.duration_s))
        facts.append(f"`{row.id}`")
        st.markdown(f"**{messages.escape_markdown(title(row))}**  \n{' · '.join(facts)}")
        if row.error:
            messages.stored_error(row, severe=row.state == "failed")
        if row.state in ("done", "held"):
            st.button(
                text("queue_open"), key=f"queue-open-{row.id}", type="tertiary",
                on_click=session.open_item, args=(row.id,),
            )  # fmt: skip
