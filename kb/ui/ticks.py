"""Ticked rows of a table, kept by id: Streamlit's selection is by position, and rows move."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st


def put_back(table: str, ids: Sequence[str], chosen: Collection[str]) -> None:
    """Tick, in the table with this key, the rows where the chosen ids are now.

    `ids` are those of the rows in their order. Call it before the table is drawn.
    """
    picked = set(chosen)
    wanted = [position for position, item_id in enumerate(ids) if item_id in picked]
    known = st.session_state.get(table)
    if known is None and not wanted:
        return
    if known is None or sorted(known["selection"]["rows"]) != wanted:
        st.session_state[table] = {"selection": {"rows": wanted, "columns": [], "cells": []}}


def ticked(table: str, ids: Sequence[str]) -> list[str]:
    """The ids of the rows that are ticked now."""
    rows = st.session_state[table]["selection"]["rows"]
    return [ids[row] for row in rows if row < len(ids)]
