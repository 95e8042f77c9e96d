"""Tables of the page; their own CSV download gives no spreadsheet a formula of strangers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from kb.types.safe_text import spreadsheet_cell, web_address

LINKS = "link"  # name of a column that holds addresses


def guarded_table(columns: Mapping[str, Any], **options: Any) -> None:
    """Draw a table; `options` are those of `st.dataframe`, the index is hidden.
    A cell without a value is empty.

    Text cells are guarded as those of an exported CSV, because the table offers a download as CSV.
    A column named `link` shows web addresses only.
    """
    guarded = {
        name: [_link(cell) if name == LINKS else _cell(cell) for cell in cells]
        for name, cells in columns.items()
    }
    st.dataframe(guarded, hide_index=True, **{"placeholder": "", **options})


def _cell(cell: object) -> object:
    return spreadsheet_cell(cell) if isinstance(cell, str) else cell


def _link(cell: object) -> str | None:
    return web_address(str(cell)) or None if cell else None
