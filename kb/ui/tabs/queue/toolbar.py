"""The buttons above the list of items: for a selection or the whole queue; questions and undo."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LaneState, QueueFigures, QueuePage
from kb.ui import session
from kb.ui.i18n import format_number, plural_text, text
from kb.ui.tabs.queue import acts
from kb.ui.tabs.queue.table import (
    clear_selection,
    going,
    jobs,
    rows_list,
    select_all,
    selected,
)
from kb.ui.widgets import into_view, messages
from kb.ui.widgets.asked_button import ASKED_FROM, asked_button

UNDO_S = 60.0
DETAILS_PART = "queue-details"  # key of the container below the list
LOOKED_AT = 500  # selected items whose states decide which buttons are drawn
_FLASH, _PROBLEM = "queue_news", "queue_problem"
_ASKED, _UNDO = "queue_asked", "queue_undo"
_SAID = (*acts.ACTS, "undo")


def show_actions(
    service: Service,
    page: QueuePage,
    shown: tuple[tuple[str, ...], str, bool, str],
    figures: QueueFigures,
    lanes: Sequence[LaneState],
) -> None:
    """Draw the buttons: of a selection those that fit it, else those for the whole queue."""
    chosen = selected()
    none = not chosen
    with st.container(horizontal=True, vertical_alignment="center", key="queue-actions"):
        # Without help texts: one stays on the screen when its button is disabled by the click.
        if chosen and not _question(chosen):
            states = {row.state for row in service.queue.page_rows(chosen[:LOOKED_AT])}
            for name in acts.fitting(states) if len(chosen) <= LOOKED_AT else acts.ACTS:
                st.button(
                    text(f"queue_{name}"), key=f"queue_{name}", on_click=on_act,
                    args=(name, chosen),
                )  # fmt: skip
        if page.total > max(1, len(chosen)):
            st.button(
                text("queue_select_all", count=format_number(page.total)), key="queue-select-all",
                type="tertiary", on_click=select_all, args=shown,
            )  # fmt: skip
        if chosen:
            st.markdown(plural_text("queue_selected", len(chosen)), width="content")
            st.button(
                text("queue_clear"), key="queue-clear", type="tertiary", on_click=clear_selection
            )  # fmt: skip
        if figures.counts["failed"] + figures.listings["failed"] and none:
            st.button(
                text("queue_retry_failed"), key="queue-retry-failed", type="tertiary",
                on_click=run_action, args=("queue_did_retry", lambda: jobs().retry_failed()),
            )  # fmt: skip
        if not any(lane.holds_items for lane in lanes) and none and going(figures):
            st.button(
                text("queue_pause_all"), key="queue-pause-all", type="tertiary",
                on_click=run_action, args=("", lambda: jobs().pause()),
            )  # fmt: skip
        if none:
            _cancel_all(going(figures))


def _question(chosen: Sequence[str]) -> bool:
    """Draw the question about an action on several items; return True if there is one."""
    asked: tuple[str, list[str]] | None = st.session_state.get(_ASKED)
    if asked is None or asked[1] != list(chosen):
        return False
    name, ids = asked
    words = text(f"queue_sure_{name}", count=format_number(len(ids)))
    st.markdown(words, width="content")
    st.button(
        text("sure_yes"), key="queue-sure-yes", on_click=_do, args=(name, ids)
    )  # fmt: skip
    st.button(
        text("sure_no"), key="queue-sure-no", type="tertiary",
        on_click=st.session_state.pop, args=(_ASKED, None),
    )  # fmt: skip
    return True


def on_act(name: str, ids: Sequence[str]) -> None:
    """Do what a button or the menu of a row says; ask first about several items."""
    if name in ("open", "details"):
        rows_list().select(ids)
        into_view.request(DETAILS_PART)
    elif name == "library":
        session.open_item(ids[0])
    elif acts.ACTS[name].asks and len(ids) >= ASKED_FROM:
        st.session_state[_ASKED] = (name, list(ids))
    else:
        _do(name, ids)


def _do(name: str, ids: Sequence[str]) -> None:
    """Do an action on these items."""
    st.session_state.pop(_ASKED, None)
    act_with_undo(name, lambda: acts.ACTS[name].change(jobs(), ids))


def act_with_undo(name: str, action: Callable[[], Sequence[str]]) -> None:
    """Run the change of an action, which returns the changed ids; keep how it is undone."""

    def change() -> Sequence[str]:
        done = list(action())
        if done and acts.ACTS[name].undo is not None:
            until = time.monotonic() + UNDO_S
            st.session_state[_UNDO] = (plural_text(f"queue_did_{name}", len(done)), name, done,
                                       until)  # fmt: skip
        return done

    run_action(f"queue_did_{name}", change)


def show_undo() -> None:
    """Draw the button that undoes the last action, for a minute."""
    words, name, ids, until = st.session_state.get(_UNDO, ("", "", [], 0.0))
    if time.monotonic() > until:
        return

    def undo() -> Sequence[str]:
        st.session_state.pop(_UNDO, None)
        change = acts.ACTS[name].undo
        return change(jobs(), ids) if change is not None else []

    with st.container(horizontal=True, vertical_alignment="center", key="queue-undo"):
        st.markdown(messages.escape_markdown(words), width="content")
        st.button(
            text("queue_undo"), key="queue-undo-button", type="tertiary", on_click=run_action,
            args=("queue_did_undo", undo),
        )  # fmt: skip


def _cancel_all(count: int) -> None:
    """Draw the button that cancels everything; it asks first."""
    if count:
        asked_button(
            text("queue_cancel_all"), plural_text("queue_cancel_all_sure", count), act_with_undo,
            ("cancel", lambda: jobs().cancel_all()), key="queue-cancel-all",
            kind="tertiary", yes=text("queue_cancel_all_yes"),
        )  # fmt: skip


def run_action(message_key: str, action: Callable[[], Sequence[str]]) -> None:
    """Run the action; show its result or error in the next drawing."""
    try:
        done = action()
    except KBError as error:
        st.session_state[_PROBLEM] = error
        return
    if done:
        st.session_state[_FLASH] = plural_text(message_key, len(done))
    elif message_key == "lane_did_resume":
        st.session_state[_FLASH] = text(message_key)
    elif message_key.removeprefix("queue_did_") in _SAID:
        st.session_state[_FLASH] = text("queue_did_nothing")


def flash(words: str) -> None:
    """Show a message in the next drawing of the page."""
    st.session_state[_FLASH] = words


def show_flash() -> None:
    problem: KBError | None = st.session_state.pop(_PROBLEM, None)
    if problem is not None:
        messages.error(problem)
    if message := st.session_state.pop(_FLASH, ""):
        st.toast(message)
