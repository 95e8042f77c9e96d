"""The filters above the list and above hits: facets with counts, days, and the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st

from kb.service.catalogue import FACETS, ListFilter, Sort
from kb.ui import session
from kb.ui.i18n import format_number, language_text, text
from kb.ui.widgets import messages

_FILTER, _TURN = "list_filter", "list_filter_turn"
_SORT, _REVERSE = "list_sort", "list_reverse"
ORDERS: tuple[Sort, ...] = (
    "published", "title", "channel", "length", "grade", "errors", "doubtful", "transcribed",
)  # fmt: skip
DESCENDING = frozenset(("published", "length", "errors", "doubtful", "transcribed"))
_DAYS = ("after", "before")
_BUTTONS = 12  # values of a facet that have a button each; of more, the others are in a list


def chosen() -> ListFilter:
    """Return the filter that this visitor has chosen."""
    found = st.session_state.get(_FILTER)
    return found if isinstance(found, ListFilter) else ListFilter()


def choose(wanted: ListFilter) -> None:
    """Choose these values and no others. For callbacks.

    The fields get new keys: the browser sends the value of a field in a closed menu again and
    again, and does not take another one for it.
    """
    st.session_state[_FILTER] = wanted
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1


def order() -> tuple[Sort, bool]:
    """Return the chosen order, and True if it is turned."""
    sort = st.session_state.get(_SORT, ORDERS[0])
    return sort if sort in ORDERS else ORDERS[0], bool(st.session_state.get(_REVERSE, False))


def sort_by(column: str) -> None:
    """Sort by a column; the same column again turns the order. For callbacks."""
    sort, reverse = order()
    if column not in ORDERS:
        return
    st.session_state[_REVERSE] = not reverse if column == sort else False
    st.session_state[_SORT] = column


def draw(counts: Mapping[str, Mapping[str, int]], on_change: Callable[[], None]) -> None:
    """Draw a menu for each facet that has a choice, and the button that gives all up."""
    now = chosen()
    with st.container(horizontal=True, vertical_alignment="center", key="facets", gap="small"):
        for name in FACETS:
            values = counts.get(name, {})
            taken = getattr(now, name)
            if len(values) > 1 or taken:
                _facet(name, values, taken, on_change)
        _days(now, on_change)
        if len(now.channel) == 1:
            st.button(
                text("channel_open"), key="filter-channel", type="tertiary",
                on_click=session.open_channel, args=now.channel,
            )  # fmt: skip
        if now:
            st.button(
                text("filter_clear"), key="filter-clear", type="tertiary", on_click=_clear,
                args=(on_change,),
            )  # fmt: skip


def _facet(
    name: str, values: Mapping[str, int], taken: tuple[str, ...], on_change: Callable[[], None]
) -> None:
    label = text(f"facet_{name}")
    if taken:
        first = value_text(name, taken[0])
        more = f" +{len(taken) - 1}" if len(taken) > 1 else ""
        label = f"{label}: **{messages.escape_markdown(first)}**{more}"
    ordered = sorted(values, reverse=True) if name == "year" else list(values)
    first_ones = dict.fromkeys((*taken, *ordered[:_BUTTONS]))
    with st.popover(label, width="content", key=f"facet-{name}"):
        for value in first_ones:
            shown = messages.escape_markdown(value_text(name, value))
            st.button(
                f"{'✓ ' if value in taken else ''}{shown} ({format_number(values.get(value, 0))})",
                key=f"pick-{name}-{value}",
                type="primary" if value in taken else "tertiary",
                on_click=_toggle,
                args=(name, value, on_change),
            )
        others = [value for value in ordered if value not in first_ones]
        if others:
            # Made here: Streamlit also asks for labels where the visitor's language is not known.
            labels = {
                value: f"{value_text(name, value)} ({format_number(values[value])})"
                for value in others
            }
            key = f"more-{name}-{st.session_state.get(_TURN, 0)}"
            st.selectbox(
                text("filter_more"), others, index=None, format_func=labels.__getitem__, key=key,
                placeholder=text("filter_more"), label_visibility="collapsed",
                on_change=_add, args=(name, key, on_change),
            )  # fmt: skip


def _toggle(name: str, value: str, on_change: Callable[[], None]) -> None:
    taken = getattr(chosen(), name)
    kept = tuple(each for each in taken if each != value)
    choose(_with(name, kept if value in taken else (*taken, value)))
    on_change()


def _with(name: str, value: Any) -> ListFilter:
    """Return the filter with another value of one field."""
    values: dict[str, Any] = {name: value}
    return replace(chosen(), **values)


def _add(name: str, key: str, on_change: Callable[[], None]) -> None:
    value = st.session_state.get(key)
    if value:
        _toggle(name, str(value), on_change)


def _days(now: ListFilter, on_change: Callable[[], None]) -> None:
    label = text("facet_days")
    if now.after or now.before:
        label = f"{label}: **{now.after or '…'} – {now.before or '…'}**"
    with st.popover(label, width="content", key="facet-days"):
        for name in _DAYS:
            day, key = getattr(now, name), f"{name}-{st.session_state.get(_TURN, 0)}"
            st.date_input(
                text(f"facet_{name}"), value=date.fromisoformat(day) if day else None,
                min_value=date(1900, 1, 1), format="YYYY-MM-DD", key=key, on_change=_set_day,
                args=(name, key, on_change),
            )  # fmt: skip


def _set_day(name: str, key: str, on_change: Callable[[], None]) -> None:
    day = st.session_state.get(key)
    choose(_with(name, day.isoformat() if isinstance(day, date) else ""))
    on_change()


def value_text(facet: str, value: str) -> str:
    """Return a value of a facet in the page's language."""
    if facet == "language":
        return language_text(value)
    if facet == "state":
        return messages.state(value)
    if facet in ("sent", "review"):
        return text(f"{facet}_{value}")
    return value


def _clear(on_change: Callable[[], None]) -> None:
    choose(ListFilter())
    on_change()
