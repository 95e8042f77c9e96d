"""Selected rows of a table, kept by id: Streamlit selects by position, and rows move.

A table gets a new key when its selection is changed by anything but a click in it. The browser
sends its selection with every request, including a request that it sent before it received the
change. With the old key, the old selection would return, or select rows that moved there since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st


def key(table: str) -> str:
    """Return the current key of this table."""
    return f"{table}-{st.session_state.get(f'{table}_turn', 0)}"


def key_for_rows(table: str, ids: Sequence[str]) -> str:
    """Return the key of a table with these rows; other rows than before get a new key.

    A new key clears the selection.
    """
    if row_ids(table) != list(ids):
        _next_key(table)
    st.session_state[f"{table}_rows"] = list(ids)
    return key(table)


def row_ids(table: str) -> list[str]:
    """Return the ids of the rows that the table was last drawn with, in their order."""
    rows: list[str] = st.session_state.get(f"{table}_rows", [])
    return rows


def restore_selection(table: str, ids: Sequence[str], chosen: Collection[str]) -> str:
    """Select the rows of the chosen ids and return the key of the table.

    `ids` are the ids of the rows in their order. It must be called before the table is drawn.
    """
    chosen_ids = set(chosen)
    positions = [position for position, item_id in enumerate(ids) if item_id in chosen_ids]
    known = st.session_state.get(key(table))
    if sorted(known["selection"]["rows"]) != positions if known is not None else bool(positions):
        _next_key(table)
        st.session_state[key(table)] = {
            "selection": {"rows": positions, "columns": [], "cells": []}
        }
    # The positions of a selection refer to the rows that were drawn, not to later rows.
    st.session_state[f"{table}_rows"] = list(ids)
    return key(table)


def selected_ids(table: str) -> list[str]:
    """Return the ids of the selected rows."""
    ids = row_ids(table)
    rows = st.session_state[key(table)]["selection"]["rows"]
    return [ids[row] for row in rows if row < len(ids)]


def _next_key(table: str) -> None:
    st.session_state[f"{table}_turn"] = st.session_state.get(f"{table}_turn", 0) + 1
