"""The list of all recordings that wait for review, below the passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from kb.errors import KBError
from kb.service.review_inbox import WaitingItem
from kb.ui import session
from kb.ui.i18n import format_number, text
from kb.ui.widgets import messages
from kb.ui.widgets.rows import Cell, Column, Row, RowList, Tone

_LIST = "review"
_SHOWN = 8
_GRADES: dict[str, Tone] = {"A": "good", "C": "warn"}


def draw(start_at: Callable[[str], None]) -> None:
    """Draw the list; `start_at` shows an item's first passage."""
    shown = RowList(_LIST)
    try:
        found = session.service().inbox.waiting()
    except KBError as error:
        messages.error(error)
        return
    st.markdown(f"**{text('review_list')}**")
    shown.draw(
        _columns(found),
        [_row(each) for each in found[shown.offset : shown.offset + shown.limit]],
        len(found),
        label=text("review_list_alt"),
        menu={
            "open": text("review_start_here"),
            "library": text("review_open"),
            "accept": text("review_accept"),
        },
        on_act=partial(_on_act, start_at),
        selectable=False,
        shown=_SHOWN,
    )


def _columns(found: Sequence[WaitingItem]) -> list[Column]:
    columns = [Column("title", text("column_title"), "minmax(12rem, 3fr)")]
    if any(each.entry.item.channel for each in found):
        columns.append(Column("channel", text("column_channel"), "minmax(6rem, 1fr)"))
    return [
        *columns,
        Column("grade", text("column_grade"), "4.2rem"),
        Column("errors", text("column_errors"), "6.5rem", end=True, minor=True),
        Column("doubtful", text("column_doubtful"), "6.5rem", end=True),
        Column("state", text("column_state"), "minmax(6rem, 1fr)"),
    ]


def _row(each: WaitingItem) -> Row:
    entry, wrong = each.entry, each.entry.expected_errors
    held = entry.state == "held"
    cells: dict[str, str | Cell] = {
        "title": entry.item.title,
        "channel": entry.item.channel,
        "grade": Cell(entry.grade, _GRADES.get(entry.grade, "")),
        "errors": "" if wrong is None else messages.format_share(wrong),
        "doubtful": f"{format_number(each.seconds, 1)} s" if each.seconds else "",
        "state": Cell(messages.state(entry.state), "warn" if held else "quiet"),
    }
    return Row(entry.item.id, cells, menu=("open", "library", "accept"))


def _on_act(start_at: Callable[[str], None], name: str, ids: list[str]) -> None:
    if not ids:
        return
    if name == "library":
        session.open_item(ids[0])
        return
    try:
        if name == "open":
            start_at(ids[0])
        elif name == "accept":
            service = session.service()
            title = service.items.entry(ids[0]).item.title
            service.inbox.accept_all(ids[0])
            messages.flash("review", text("review_accepted_list", title=title))
    except KBError as error:
        messages.flash_error("review", error)
