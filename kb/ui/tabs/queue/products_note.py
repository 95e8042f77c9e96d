"""The films and evidence packs that are under way, on the Queue tab."""

from __future__ import annotations

import streamlit as st

from kb.service import Service
from kb.ui import session
from kb.ui.i18n import text
from kb.ui.tabs.library.panels.product_texts import ordered_text
from kb.ui.widgets import messages

SHOWN = 5


def show_products(service: Service) -> None:
    """Draw a line for each product that has not ended; nothing without any. Raises LibraryError."""
    found = service.products.under_way(SHOWN)
    if not found:
        return
    rows = service.queue.rows([item_id for item_id, _ in found])
    titles = {row.id: row.title for row in rows}
    st.markdown(f"**{text('produce_board')}**")
    for number, (item_id, product) in enumerate(found):
        with st.container(horizontal=True, vertical_alignment="center", key=f"made-{number}"):
            st.markdown(messages.escape_markdown(ordered_text(product)), width="content")
            st.button(
                messages.escape_markdown(titles.get(item_id) or item_id), type="tertiary",
                key=f"made-open|{product.step}|{item_id}", on_click=session.open_item,
                args=(item_id,),
            )  # fmt: skip
