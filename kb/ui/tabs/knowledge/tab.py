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
from kb.ui.i18n import Count, error_messages, format_number, plural_text, text
from kb.ui.tabs.knowledge import ask, ask_library, connection, sync, upload
from kb.ui.widgets import messages
from kb.ui.widgets.asked_button import ASKED_FROM, asked_button
from kb.ui.widgets.rows import Cell, Column, Row, RowList, Tone

NOT_SENT = "missing"
REFRESH_S, IDLE_REFRESH_S = 2.0, 5.0

_LIST, _ONLY = "published", "knowledge_only"
_SHOWN = 10
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
_TONES: dict[str, Tone] = {
    SYNCED: "good", FAILED: "bad", HELD: "warn", CHANGED: "warn", NOT_SENT: "quiet",
    CANCELLED: "quiet",
}  # fmt: skip


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
            sync.render(_last_change(), session.service().settings.odin_project_id)
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
    busy = any(d.status in (*IN_PROGRESS, SYNCING, WAITING) for d in found.values())
    st.fragment(_item_states, run_every=REFRESH_S if busy else IDLE_REFRESH_S)(ready)


def _item_states(ready: bool) -> None:
    """Draw the state of every item; repeat it more often while an upload is in progress."""
    if session.redraw_requested():
        st.rerun()
    try:
        entries = [e for e in session.library_listing().entries if e.transcript_path is not None]
        found = session.service().publisher.states(entries)
    except KBError as error:
        messages.error(error)
        return
    if not entries:
        st.info(text("knowledge_none"))
        return
    states = [(entry, _state(entry, found.get(entry.item.id))) for entry in entries]
    counts = Counter(kind_of(state) for _, state in states)
    with st.container(horizontal=True, key="figures-knowledge"):
        for kind, _ in _KINDS:
            st.metric(text(kind), format_number(counts[kind]), border=True, width="content")
    only = _select_state(counts)
    shown = [(e, s) for e, s in states if only in ("", kind_of(s))]
    chosen = _list(shown, found, ready=ready)
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
        on_change=RowList(_LIST).to_top,
    )
    return str(chosen or "")


def _list(
    shown: Sequence[tuple[LibraryEntry, str]], found: dict[str, OutboxEntry], *, ready: bool
) -> list[str]:
    """Draw the items; return the ids of the selected ones among them."""
    rows = RowList(_LIST)
    if rows.offset >= len(shown):
        rows.to_top()
    outbox = [found.get(entry.item.id) for entry, _ in shown]
    columns = [
        Column("title", text("knowledge_column_title"), "minmax(12rem, 3fr)"),
        Column("state", text("knowledge_column_state"), "minmax(8rem, 1fr)"),
        Column("words", text("knowledge_words"), "6rem", end=True),
    ]
    if any(each is not None and each.due_at for each in outbox):
        columns.append(Column("since", text("knowledge_column_since"), "9rem", minor=True))
    if any(each is not None and each.error for each in outbox):
        error = text("knowledge_column_error")
        columns.append(Column("error", error, "minmax(8rem, 3fr)", minor=True))
    window = slice(rows.offset, rows.offset + rows.limit)
    rows.draw(
        columns,
        [
            _row(entry, state, each, ready=ready)
            for (entry, state), each in zip(shown[window], outbox[window], strict=True)
        ],
        len(shown),
        label=text("knowledge_items_alt"),
        menu={"open": text("queue_open"), "send": text("published_publish")},
        on_act=_on_act,
        selectable=ready,
        shown=_SHOWN,
    )
    ids = {entry.item.id for entry, _ in shown}
    return [item_id for item_id in rows.selected if item_id in ids] if ready else []


def _row(entry: LibraryEntry, state: str, sent: OutboxEntry | None, *, ready: bool) -> Row:
    sign = messages.PUBLISHED_SIGNS.get(state, "…")
    cells: dict[str, str | Cell] = {
        "title": entry.item.title,
        "state": Cell(f"{sign} {messages.published(state)}", _TONES.get(state, "")),
        "words": "" if entry.word_count is None else format_number(entry.word_count),
        "since": messages.format_datetime(sent.due_at) if sent and sent.due_at else "",
        "error": error_messages.translate_stored(sent).message if sent and sent.error else "",
    }
    may_send = ready and entry.state != "held"
    return Row(entry.item.id, cells, menu=("open", "send") if may_send else ("open",))


def _on_act(name: str, ids: list[str]) -> None:
    if ids and name == "open":
        session.open_item(ids[0])
    elif ids and name == "send":
        _send(ids[:1])


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


def _estimate(states: Sequence[tuple[LibraryEntry, str]], ids: Sequence[str]) -> tuple[Count, str]:
    """Return how many words these items have, and for how many credits they are sent at most."""
    selected = frozenset(ids)
    words = sum(entry.word_count or 0 for entry, _ in states if entry.item.id in selected)
    rate = session.service().settings.odin_credits_per_10k_words
    return Count(words), format_number(words / 10_000 * rate, 2)


def _send(ids: list[str]) -> None:
    """Send these items; those that were sent are no longer selected."""
    rows = RowList(_LIST)
    sent: set[str] = set()
    try:
        for item_id in ids:
            session.service().publisher.send(item_id)
            sent.add(item_id)
    except KBError as error:
        messages.flash_error(_FLASH_KEY, error)
    else:
        messages.flash(_FLASH_KEY, plural_text("knowledge_sent", len(ids)))
    rows.select(item_id for item_id in rows.selected if item_id not in sent)
    session.redraw()
