"""A list of rows to read: a row with more to say than it has room for opens its text below.

Cells of the list are cut where they are too long, and a telephone shows no tooltip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from kb.ui.widgets import messages
from kb.ui.widgets.rows import Cell, Column, Row, RowList

SHOWN = 8


def read_list(
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, str | Cell]],
    *,
    label: str,
    texts: Sequence[str] = (),
    shown: int = SHOWN,
) -> None:
    """Draw the cells of each row; `label` names the list for screen readers.

    `texts` has the whole text of each row in the same order, empty where the row has it all.
    """
    found = RowList(name)
    if found.offset >= len(rows):
        found.to_top()
    window = range(found.offset, min(len(rows), found.offset + found.limit))
    found.draw(
        columns,
        [Row(str(n), rows[n], opens=bool(texts and texts[n])) for n in window],
        len(rows),
        label=label,
        on_act=partial(_open, name),
        selectable=False,
        shown=shown,
    )
    opened = st.session_state.get(_key(name))
    if isinstance(opened, int) and opened < len(texts) and texts[opened]:
        first = rows[opened].get(columns[0].name, "")
        title = messages.escape_markdown(first.text if isinstance(first, Cell) else first)
        said = "  \n".join(map(messages.escape_markdown, texts[opened].splitlines()))
        st.info(f"**{title}**  \n{said}")


def _open(name: str, act: str, ids: list[str]) -> None:
    if act == "open" and ids:
        number = int(ids[0])
        # A second click closes it.
        same = st.session_state.get(_key(name)) == number
        st.session_state[_key(name)] = None if same else number


def _key(name: str) -> str:
    return f"read_{name}"
