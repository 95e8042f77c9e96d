"""Ticked rows of a table, kept by id: Streamlit's selection is by position, and rows move.

A table whose ticks are changed by anything but a click in it goes on under a new key. The browser
sends the ticks it knows with every request, also with one that left before it had heard of the
change: under the old key they would come back, or land on the rows that have moved there since.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st


def key(table: str) -> str:
    """The key under which this table is drawn now."""
    return f"{table}-{st.session_state.get(f'{table}_turn', 0)}"


def key_for_rows(table: str, ids: Sequence[str]) -> str:
    """The key to draw a table of these rows under: another one once they are other rows.

    Ticks do not go on under another key.
    """
    if row_ids(table) != list(ids):
        _next_key(table)
    st.session_state[f"{table}_rows"] = list(ids)
    return key(table)


def row_ids(table: str) -> list[str]:
    """The ids of the rows as the table was drawn last, in their order."""
    rows: list[str] = st.session_state.get(f"{table}_rows", [])
    return rows


def restore_selection(table: str, ids: Sequence[str], chosen: Collection[str]) -> str:
    """Tick the rows where the chosen ids are now; returns the key to draw the table under.

    `ids` are those of the rows in their order. Call it before the table is drawn.
    """
    chosen_ids = set(chosen)
    positions = [position for position, item_id in enumerate(ids) if item_id in chosen_ids]
    known = st.session_state.get(key(table))
    if sorted(known["selection"]["rows"]) != positions if known is not None else bool(positions):
        _next_key(table)
        st.session_state[key(table)] = {
            "selection": {"rows": positions, "columns": [], "cells": []}
        }
    # A selection is positions: they count in the list as it was drawn, not as it is by then.
    st.session_state[f"{table}_rows"] = list(ids)
    return key(table)


def selected_ids(table: str) -> list[str]:
    """The ids of the rows that are ticked now."""
    ids = row_ids(table)
    rows = st.session_state[key(table)]["selection"]["rows"]
    return [ids[row] for row in rows if row < len(ids)]


def _next_key(table: str) -> None:
    st.session_state[f"{table}_turn"] = st.session_state.get(f"{table}_turn", 0) + 1
