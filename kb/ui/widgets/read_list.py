"""A list of rows to read: a row with more to say than it has room for opens its text below.

Cells of the list are cut where they are too long, and a telephone shows no tooltip.
"""

from __future__ import annotations

import zlib
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
    titles = [_words(row.get(columns[0].name, "")) for row in rows]
    # What tells the rows apart: their numbers change with what is listed.
    marks = [
        zlib.crc32(f"{title}\n{words}".encode("utf-8", "replace")) if words else 0
        for title, words in zip(titles, texts, strict=False)
    ]
    window = range(found.offset, min(len(rows), found.offset + found.limit))
    found.draw(
        columns,
        [Row(str(n), rows[n], opens=bool(texts and texts[n])) for n in window],
        len(rows),
        label=label,
        on_act=partial(_open, name, marks),
        selectable=False,
        shown=shown,
    )
    if (opened := _opened(name, marks)) is not None:
        title = messages.escape_markdown(titles[opened])
        said = "  \n".join(map(messages.escape_markdown, texts[opened].splitlines()))
        st.info(f"**{title}**  \n{said}")


def _opened(name: str, marks: Sequence[int]) -> int | None:
    """Return the row whose text is open; forget it if another row has its number now."""
    number, mark = st.session_state.get(_key(name)) or (-1, 0)
    if mark and 0 <= number < len(marks) and marks[number] == mark:
        return int(number)
    st.session_state.pop(_key(name), None)
    return None


def _open(name: str, marks: Sequence[int], act: str, ids: list[str]) -> None:
    if act == "open" and ids and int(ids[0]) < len(marks):
        row = int(ids[0]), marks[int(ids[0])]
        # A second click closes it.
        same = st.session_state.get(_key(name)) == row
        st.session_state[_key(name)] = None if same else row


def _words(cell: str | Cell) -> str:
    return cell.text if isinstance(cell, Cell) else cell


def _key(name: str) -> str:
    return f"read_{name}"
