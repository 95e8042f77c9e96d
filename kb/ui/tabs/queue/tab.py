"""The Queue tab: running, waiting and failed items with their errors; redrawn each second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import date

import streamlit as st

from kb.errors import KBError, restored
from kb.service import STATES, Service
from kb.service.throughput_meter import throughput_meter
from kb.service.views import (
    ACTIVE,
    PENDING,
    LaneState,
    QueueFigures,
    QueuePage,
    QueueRow,
)
from kb.service.worker_supervisor import worker_supervisor
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.tabs.queue.needs_note import show_needs
from kb.ui.tabs.queue.products_note import show_products
from kb.ui.tabs.queue.table import (
    _FILTER,
    _FIND,
    _PAGE,
    PAGE_ROWS,
    _clear_selection,
    _go_to_page,
    _jobs,
    _offset,
    _pager,
    _select_all,
    _table,
    first_and_last_try,
    going,
    next_try,
    selected,
    show_looks,
    since,
    stage,
    title,
)
from kb.ui.widgets import messages
from kb.ui.widgets.clock_note import show_clock
from kb.ui.widgets.fetches import show_fetches, show_unneeded

BUSY_EVERY_S, IDLE_EVERY_S = 1, 3
DETAILS = 8  # selected items that are shown with all details

_FLASH, _PROBLEM, _BUSY = "queue_news", "queue_problem", "queue_busy"
_SURE = "queue_sure"  # the question before everything is cancelled is shown
_SAID = ("first", "pause", "retry", "cancel", "dismiss", "undismiss")
# What has ended has neither stage nor progress.
ENDED = frozenset(("failed", "held", "done", "cancelled", "dismissed"))
# States of each choice of the filter, by its label; an empty tuple means all states.
_FILTERS: dict[str, tuple[str, ...]] = {
    "queue_all": (),
    "queue_running": ("running",),
    "queue_waiting": PENDING,
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
        workers = service.queue.workers()
        several = service.queue.has_several_machines()
        needs = service.unmet_needs()
        fetches = service.models.fetches()
        unneeded = service.models.unneeded(fetches)
    except KBError as error:
        messages.error(error)
        return
    working = bool(workers)
    _show_flash()
    show_clock(service)
    show_fetches([state for state in fetches if state.name not in unneeded])
    if not sum(figures.counts.values()) + sum(figures.listings.values()):
        st.info(f"{text('queue_empty')} {text('queue_empty_hint')}")
    else:
        _figures(figures, working)
        _lanes(lanes)
        show_needs(needs)
        if going(figures) and not working and worker_supervisor().view(service).state != "starting":
            messages.show_error(text("queue_no_worker"), text("queue_no_worker_hint"), severe=False)
        _rows(service, figures, lanes, several=several)
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
        ("queue_speed", format_number(speed, 1) if speed else "–", text("queue_speed_help")),
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
                on_click=_run_action, args=("queue_did_retry", lambda: _jobs().resume()),
            )  # fmt: skip


def _lane_name(lane: LaneState) -> str:
    name = lane.name
    if lane.machine:
        return text("lane_machine", machine=lane.machine)
    if name == "items":
        return text("lane_items")
    if name.startswith("download"):
        return text("lane_download")
    return text("lane_odin") if "odin" in name else text("lane_other", lane=name)


# Table


def _rows(
    service: Service, figures: QueueFigures, lanes: Sequence[LaneState], *, several: bool
) -> None:
    """Draw the rows; with `several` workers each running item names its own."""
    states, words, listings = _filters(figures)

    def read() -> QueuePage:
        return service.queue.page(
            states=states, words=words, listings=listings, offset=_offset(), limit=PAGE_ROWS
        )

    try:
        page = read()
        if not page.rows and page.total:
            st.session_state[_PAGE] = (page.total - 1) // PAGE_ROWS
            page = read()
    except KBError as error:
        messages.error(error)
        return
    show_looks(figures)
    _actions(page, (states, words, listings), figures, lanes)
    if not page.rows:
        st.caption(text("queue_none"))
        return
    wrong = sum(bool(row.error) for row in page.rows)
    at_work = not states or not ENDED.issuperset(states)
    tall = bool(states or listings) and 2 * wrong > len(page.rows)
    _table(page, several=several, at_work=at_work, tall=tall, tries=states == ("failed",))
    _pager(page)
    _details(service)


def _filters(figures: QueueFigures) -> tuple[tuple[str, ...], str, bool]:
    """Return the chosen states, the words, and if looks and other listings are shown."""
    counts = {
        label: sum(figures.counts[state] for state in states or STATES)
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
            on_change=_go_to_page,
            args=(0,),
            label_visibility="collapsed",
            persist_state="session",
        )
        words = st.text_input(
            text("queue_find"), key=_FIND, placeholder=text("queue_find_placeholder"), live=True,
            on_change=_go_to_page, args=(0,), persist_state="session", width=260,
            label_visibility="collapsed",
        )  # fmt: skip
    return _FILTERS[chosen or "queue_all"], str(words or ""), chosen == "queue_looks"


def _filter_label(label: str, count: int) -> str:
    if label == "queue_all":
        return text(label, count=format_number(count))
    return f"{text(label).capitalize()} {format_number(count)}"


def _actions(
    page: QueuePage,
    shown: tuple[tuple[str, ...], str, bool],
    figures: QueueFigures,
    lanes: Sequence[LaneState],
) -> None:
    chosen = selected()
    none = not chosen
    with st.container(horizontal=True, vertical_alignment="center", key="queue-actions"):
        # Without help texts: one stays on the screen when its button is disabled by the click.
        for label, action in _ACTIONS.items():
            is_back = shown[0] == ("dismissed",)
            if label != ("queue_dismiss" if is_back else "queue_undismiss"):
                st.button(
                    text(label), key=label, disabled=none, on_click=_run_action,
                    args=(f"queue_did_{label.removeprefix('queue_')}", action),
                )  # fmt: skip
        if page.total > max(1, len(chosen)):
            st.button(
                text("queue_select_all", count=format_number(page.total)), key="queue-select-all",
                type="tertiary", on_click=_select_all, args=shown,
            )  # fmt: skip
        if chosen:
            st.markdown(plural_text("queue_selected", len(chosen)), width="content")
            st.button(
                text("queue_clear"), key="queue-clear", type="tertiary", on_click=_clear_selection
            )  # fmt: skip
        if figures.counts["failed"] + figures.listings["failed"] and none:
            st.button(
                text("queue_retry_failed"), key="queue-retry-failed", type="tertiary",
                on_click=_run_action, args=("queue_did_retry", lambda: _jobs().retry_failed()),
            )  # fmt: skip
        if not any(lane.holds_items for lane in lanes) and none:
            st.button(
                text("queue_pause_all"), key="queue-pause-all", type="tertiary",
                on_click=_run_action, args=("", lambda: _jobs().pause()),
            )  # fmt: skip
        if none:
            _cancel_all(going(figures))


def _cancel_all(count: int) -> None:
    """Draw the button that cancels everything, and the question before it."""
    if not count:
        return
    if not st.session_state.get(_SURE):
        st.button(
            text("queue_cancel_all"), key="queue-cancel-all", type="tertiary",
            on_click=st.session_state.update, args=({_SURE: True},),
        )  # fmt: skip
        return
    st.markdown(plural_text("queue_cancel_all_sure", count), width="content")
    st.button(text("queue_cancel_all_yes"), key="queue-cancel-yes", on_click=_confirm_cancel_all)
    st.button(
        text("queue_cancel_all_no"), key="queue-cancel-no", type="tertiary",
        on_click=st.session_state.update, args=({_SURE: False},),
    )  # fmt: skip


def _confirm_cancel_all() -> None:
    st.session_state[_SURE] = False
    _run_action("queue_did_cancel", lambda: _jobs().cancel_all())


# Selected items, by id


def _details(service: Service) -> None:
    chosen = selected()
    if not chosen:
        return
    for row in service.queue.page_rows(chosen[:DETAILS]):
        _detail(row)
    if len(chosen) > DETAILS:
        st.caption(plural_text("queue_more", len(chosen) - DETAILS))


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


# Button actions


_ACTIONS: dict[str, Callable[[], Sequence[str]]] = {
    "queue_first": lambda: _jobs().move_to_front(selected()),
    "queue_pause": lambda: _jobs().pause(selected()),
    "queue_retry": lambda: _jobs().retry(selected()),
    "queue_cancel": lambda: _jobs().cancel(selected()),
    "queue_dismiss": lambda: _jobs().dismiss(selected()),
    "queue_undismiss": lambda: _jobs().restore_dismissed(selected()),
}


def _run_action(message_key: str, action: Callable[[], Sequence[str]]) -> None:
    """Run the action; show its result or error in the next drawing."""
    try:
        done = action()
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    if done:
        st.session_state[_FLASH] = plural_text(message_key, len(done))
    elif message_key.removeprefix("queue_did_") in _SAID and selected():
        st.session_state[_FLASH] = text("queue_did_nothing")


def flash(words: str) -> None:
    """Show a message in the next drawing of the page."""
    st.session_state[_FLASH] = words


def _show_flash() -> None:
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        messages.error(problem)
    if message := st.session_state.pop(_FLASH, ""):
        st.toast(message)
