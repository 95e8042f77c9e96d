"""The filters above the list and above hits: facets with counts, days, and the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import streamlit as st

from kb.service.catalogue import FACETS, ListFilter, Sort
from kb.ui.i18n import format_number, language_text, text
from kb.ui.widgets import messages

_KEY = "list_"
_SORT, _REVERSE = "list_sort", "list_reverse"
ORDERS: tuple[Sort, ...] = (
    "published", "title", "channel", "length", "grade", "errors", "doubtful", "transcribed",
)  # fmt: skip
DESCENDING = frozenset(("published", "length", "errors", "doubtful", "transcribed"))
_DAYS = ("after", "before")


def chosen() -> ListFilter:
    """Return the filter that this visitor has chosen."""
    state = st.session_state
    values: dict[str, Any] = {
        name: tuple(state.get(f"{_KEY}{name}") or ()) for name in FACETS
    }  # fmt: skip
    values |= {name: _day(state.get(f"{_KEY}{name}")) for name in _DAYS}
    return ListFilter(**values)


def choose(wanted: ListFilter) -> None:
    """Choose these values and no others. For callbacks."""
    for name in FACETS:
        st.session_state[f"{_KEY}{name}"] = list(getattr(wanted, name))
    for name in _DAYS:
        day = getattr(wanted, name)
        st.session_state[f"{_KEY}{name}"] = date.fromisoformat(day) if day else None


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
    # Made here: Streamlit also asks for labels where the visitor's language is not known.
    labels = {
        value: f"{value_text(name, value)} ({format_number(count)})"
        for value, count in values.items()
    }
    ordered = sorted(labels, reverse=True) if name == "year" else list(labels)
    with st.popover(label, width="content", key=f"facet-{name}"):
        st.multiselect(
            text(f"facet_{name}"),
            ordered,
            format_func=lambda value: labels.get(value, value),
            key=f"{_KEY}{name}",
            placeholder=text("filter_any"),
            on_change=on_change,
            persist_state="session",
        )


def _days(now: ListFilter, on_change: Callable[[], None]) -> None:
    label = text("facet_days")
    if now.after or now.before:
        label = f"{label}: **{now.after or '…'} – {now.before or '…'}**"
    with st.popover(label, width="content", key="facet-days"):
        for name in _DAYS:
            st.date_input(
                text(f"facet_{name}"), value=None, min_value=date(1900, 1, 1),
                format="YYYY-MM-DD", key=f"{_KEY}{name}", on_change=on_change,
                persist_state="session",
            )  # fmt: skip


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


def _day(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else ""
