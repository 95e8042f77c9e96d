"""Steps after the words of one item, and their states."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.ui.i18n import has_text, text
from kb.ui.widgets import messages

SIGNS = {"done": "synced", "failed": "failed", "skipped": "held", "cancelled": "cancelled"}


def render(service: Service, entry: LibraryEntry) -> None:
    """Draw the steps; nothing for an item without any."""
    try:
        found = [each for status in service.items.statuses(ids=[entry.item.id])
                 for each in status.steps if not each.is_product]  # fmt: skip
    except KBError as error:
        messages.error(error)
        return
    if not found:
        return
    st.markdown(f"**{text('steps_title')}**")
    for each in found:
        name = text(f"step_{each.step}") if has_text(f"step_{each.step}") else each.step
        share = f" ({each.progress:.0%})" if each.status == "running" and each.progress else ""
        sign = messages.publish_sign(SIGNS.get(each.status, each.status))
        st.markdown(f"{sign} {name}: {text(f'step_{each.status}')}{share}")
        if each.error:
            messages.stored_error(each, severe=each.status == "failed")
