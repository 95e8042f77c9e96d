"""A page with one list of rows, for the browser test of the list."""

from __future__ import annotations

import os

import streamlit as st

from kb.ui.widgets.rows import Cell, Column, Row, RowList

COUNT = int(os.environ.get("ROWS_COUNT", "10000"))
COLUMNS = (
    Column("title", "Title", "minmax(8rem, 3fr)", sort=True),
    Column("state", "State", "8rem"),
    Column("progress", "Progress", "9rem"),
    Column("link", "Link", "6rem", minor=True),
    Column("length", "Length", "5rem", sort=True, end=True),
)
STATES = (
    ("done", "good"),
    ("failed", "bad"),
    ("held", "warn"),
    ("running", "live"),
    ("queued", ""),
)
MENU = {"open": "Open", "retry": "Retry", "cancel": "Cancel", "first": "Start next"}
MENUS = {"failed": ("open", "retry"), "queued": ("open", "cancel", "first")}


def row(number: int) -> Row:
    """Return the row of a number."""
    state, tone = STATES[number % len(STATES)]
    return Row(
        f"id-{number}",
        {
            "title": f"Talk {number} on the harbour in winter and the castle of the long title",
            "state": Cell(state, tone),  # type: ignore[arg-type]
            "progress": Cell(f"{number % 100} %", share=number % 100 / 100),
            "link": Cell("address", link=f"https://example.org/{number}"),
            "length": f"{number % 60}:00",
        },
        tone=tone,  # type: ignore[arg-type]
        menu=MENUS.get(state, ("open", "cancel")),
    )


def note(name: str, ids: list[str]) -> None:
    """Keep an action, to be shown."""
    st.session_state["last"] = f"{name} {' '.join(ids)}"
    if name == "first":
        st.session_state["first"] = int(ids[0].removeprefix("id-"))


@st.fragment
def body() -> None:
    """Draw the list, and what came from it."""
    found = RowList("test")
    reverse = bool(st.session_state.get("reverse"))

    def sort(column: str) -> None:
        st.session_state["reverse"] = not reverse
        st.session_state["last"] = f"sort {column}"
        found.to_top()

    numbers = list(range(COUNT - 1, -1, -1) if reverse else range(COUNT))
    first = st.session_state.get("first")
    if first is not None:
        numbers.remove(first)
        numbers.insert(0, first)
    rows = [row(number) for number in numbers[found.offset : found.offset + found.limit]]
    # As where the list has a column more while something is at work
    columns = COLUMNS if first is None else (*COLUMNS, Column("more", "More", "4rem"))
    found.draw(
        columns, rows, COUNT, label="Talks", menu=MENU, on_act=note, on_sort=sort,
        sorted_by="title", descending=reverse,
    )  # fmt: skip
    st.markdown(f"last: {st.session_state.get('last', 'none')}")
    st.markdown(f"selected: {len(found.selected)} {' '.join(found.selected[:5])}")


st.set_page_config(layout="wide")
st.title("Rows")
body()
