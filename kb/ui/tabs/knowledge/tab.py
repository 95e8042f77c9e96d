"""The Publish tab: the ODIN project, its state of each item, and its answers.

This package sends no request to ODIN or a language model: questions, comparisons and uploads are
tasks (`kb.ui.widgets.task_progress`), and items are sent by the worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import streamlit as st

from kb.errors import KBError
from kb.service.views import (
    CANCELLED,
    CHANGED,
    FAILED,
    HELD,
    IN_PROGRESS,
    SYNCED,
    SYNCING,
    WAITING,
    LibraryEntry,
    OutboxEntry,
)
from kb.ui import session
from kb.ui.i18n import error_messages, format_number, plural_text, text
from kb.ui.tabs.knowledge import ask, ask_library, connection, sync, upload
from kb.ui.widgets import messages, row_selection
from kb.ui.widgets.asked_button import ASKED_FROM, asked_button
from kb.ui.widgets.tables import guarded_table

NOT_SENT = "missing"
REFRESH_S = 2.0

_TABLE, _ONLY = "knowledge_items", "knowledge_only"
_FLASH_KEY = "knowledge"

# Groups of states that the page counts, in its order.
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("knowledge_in_step", (SYNCED,)),
    ("knowledge_going", (*IN_PROGRESS, SYNCING, WAITING)),
    ("knowledge_unsent", (NOT_SENT, CANCELLED)),
    ("knowledge_changed", (CHANGED,)),
    ("knowledge_failed", (FAILED,)),
    ("knowledge_held", (HELD,)),
)


def render() -> None:
    """Draw the tab."""
    with messages.steady():
        ask_library.render()
    ready = connection.render()
    _show_flash()
    if ready:
        with messages.steady():
            ask.render()
    _items(ready)
    if ready:
        with messages.steady():
            sync.render(_last_change())
        upload.render()


def _last_change() -> float:
    """Return when the state of an item in the project last changed; 0 if that is not known."""
    try:
        return session.service().publisher.last_change()
    except KBError:
        return 0.0


def _show_flash() -> None:
    messages.show_flash(_FLASH_KEY)


# Items


def _items(ready: bool) -> None:
    st.markdown(f"#### {text('knowledge_items')}")
    try:
        entries = [e for e in session.library_listing().entries if e.transcript_path is not None]
        found = session.service().publisher.states(entries)
    except KBError as error:
        messages.error(error)
        return
    if not entries:
        st.info(text("knowledge_none"))
        return
    busy = any(d.status in (*IN_PROGRESS, SYNCING, WAITING) for d in found.values())
    st.fragment(_item_states, run_every=REFRESH_S if busy else None)(ready)


def _item_states(ready: bool) -> None:
    """Draw the state of every item; repeat it while an upload is in progress."""
    if session.redraw_requested():
        st.rerun()
    try:
        entries = [e for e in session.library_listing().entries if e.transcript_path is not None]
        found = session.service().publisher.states(entries)
    except KBError as error:
        messages.error(error)
        return
    states = [(entry, _state(entry, found.get(entry.item.id))) for entry in entries]
    counts = Counter(kind_of(state) for _, state in states)
    with st.container(horizontal=True, key="figures-knowledge"):
        for kind, _ in _KINDS:
            st.metric(text(kind), format_number(counts[kind]), border=True, width="content")
    only = _select_state(counts)
    shown = [(e, s) for e, s in states if only in ("", kind_of(s))]
    chosen = _table(shown, found, selectable=ready)
    if ready:
        _buttons(states, chosen)


def kind_of(state: str) -> str:
    """Return the group in which a state is counted."""
    return next((kind for kind, states in _KINDS if state in states), "knowledge_going")


def _state(entry: LibraryEntry, outbox_entry: OutboxEntry | None) -> str:
    if outbox_entry is not None:
        return outbox_entry.status
    return HELD if entry.state == "held" else NOT_SENT


def _select_state(counts: Counter[str]) -> str:
    labels = {"": text("knowledge_show_all")}
    labels |= {
        kind: f"{text(kind)} ({format_number(counts[kind])})" for kind, _ in _KINDS if counts[kind]
    }
    if len(labels) < 3:
        return ""
    if st.session_state.get(_ONLY) not in labels:
        st.session_state.pop(_ONLY, None)
    chosen = st.segmented_control(
        text("knowledge_column_state"),
        list(labels),
        default="",
        required=True,
        format_func=labels.__getitem__,
        key=_ONLY,
        label_visibility="collapsed",
        persist_state="session",
    )
    return str(chosen or "")


def _table(
    shown: Sequence[tuple[LibraryEntry, str]], found: dict[str, OutboxEntry], *, selectable: bool
) -> list[str]:
    """Draw the items; return the ids of the ticked ones."""
    ids = [entry.item.id for entry, _ in shown]
    waits = [found[i].due_at if i in found else None for i in ids]
    columns: dict[str, list[object]] = {
        "title": [entry.item.title for entry, _ in shown],
        "state": [
            f"{messages.PUBLISHED_SIGNS.get(s, '…')} {messages.published(s)}" for _, s in shown
        ],
        "words": [entry.word_count for entry, _ in shown],
        "since": [messages.format_datetime(until) if until else "" for until in waits],
        "error": [
            error_messages.translate_stored(found[i]).message if i in found else "" for i in ids
        ],
    }
    for name in ("since", "error"):
        if not any(columns[name]):
            del columns[name]
    key = row_selection.key_for_rows(
        _TABLE, ids
    )  # ticks are positions: with other rows they would select others
    column = st.column_config
    options = {"on_select": "rerun", "selection_mode": "multi-row"} if selectable else {}
    guarded_table(
        columns,
        key=key,
        height=min(38 + 35 * max(1, len(ids)), 420),
        column_config={
            "title": column.TextColumn(text("knowledge_column_title"), width="medium"),
            "state": column.TextColumn(text("knowledge_column_state")),
            "words": column.NumberColumn(text("knowledge_words"), format="localized"),
            "since": column.TextColumn(text("knowledge_column_since")),
            "error": column.TextColumn(text("knowledge_column_error"), width="large"),
        },
        alt=text("knowledge_items_alt"),
        **options,
    )
    if not selectable:
        return []
    rows = st.session_state[key].selection.rows if key in st.session_state else []
    return [ids[row] for row in rows if row < len(ids)]


def _buttons(states: Sequence[tuple[LibraryEntry, str]], chosen: Sequence[str]) -> None:
    ready = [e.item.id for e, _ in states if e.state != "held"]
    allowed = frozenset(ready)
    selected = [item_id for item_id in chosen if item_id in allowed]
    unsent = [e.item.id for e, s in states if s in (NOT_SENT, CHANGED)]
    failed = [e.item.id for e, s in states if s == FAILED]
    st.caption(text("knowledge_choose_help"))
    with st.container(horizontal=True, key="knowledge-buttons", vertical_alignment="center"):
        if selected:
            _button("knowledge_send", states, selected, primary=True)
        if unsent:
            _button("knowledge_send_all", states, unsent, primary=not selected)
        if failed:
            _button("knowledge_retry", states, failed, primary=False)
        if of := selected or unsent:
            words, credits = _estimate(states, of)
            st.caption(text("knowledge_estimate", words=words, credits=credits), width="content")


def _button(
    label: str, states: Sequence[tuple[LibraryEntry, str]], ids: list[str], *, primary: bool
) -> None:
    """Draw a button that sends these items; a question with the price comes before several."""
    question = ""
    if len(ids) >= ASKED_FROM:
        _, credits = _estimate(states, ids)
        question = text("knowledge_send_sure", count=format_number(len(ids)), credits=credits)
    asked_button(
        text(label, count=format_number(len(ids))), question, _send, (ids,),
        key=label.replace("_", "-"), kind="primary" if primary else "secondary",
        yes=text("knowledge_send_now"), about=ids,
    )  # fmt: skip


def _estimate(states: Sequence[tuple[LibraryEntry, str]], ids: Sequence[str]) -> tuple[str, str]:
    """Return how many words these items have, and for how many credits they are sent at most."""
    selected = frozenset(ids)
    words = sum(entry.word_count or 0 for entry, _ in states if entry.item.id in selected)
    rate = session.service().settings.odin_credits_per_10k_words
    return format_number(words), format_number(words / 10_000 * rate, 2)


def _send(ids: list[str]) -> None:
    try:
        for item_id in ids:
            session.service().publisher.send(item_id)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
    else:
        messages.flash(_FLASH_KEY, plural_text("knowledge_sent", len(ids)))
    session.redraw()
