"""Stretches of an item that recur in its channel: intros and sponsor reads."""

from __future__ import annotations

import streamlit as st

from kb.errors import KBError
from kb.service import Service
from kb.service.views import LibraryEntry
from kb.types.recurring import RecurringStretch
from kb.ui.i18n import plural_text, text
from kb.ui.widgets import messages
from kb.ui.widgets.player import format_timestamp

MOST = 12  # stretches that are listed


def render(service: Service, entry: LibraryEntry) -> None:
    """Draw the stretches; nothing for an item without any."""
    try:
        found = service.enrichment.recurring(entry)
    except KBError as error:
        messages.error(error)
        return
    if not found:
        return
    st.markdown(f"**{text('recurring_title')}**")
    for each in found[:MOST]:
        start, end = format_timestamp(each.start_s), format_timestamp(each.end_s)
        place = text("recurring_place", start=start, end=end, count=each.items, way=_way(each))
        st.caption(place)
    if (more := len(found) - MOST) > 0:
        st.caption(plural_text("recurring_more", more))


def _way(stretch: RecurringStretch) -> str:
    if stretch.by_sound and stretch.by_text:
        return text("recurring_both")
    return text("recurring_sound" if stretch.by_sound else "recurring_text")
